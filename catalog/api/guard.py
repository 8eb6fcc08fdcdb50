"""What is decided before a request is read: who may write, and how much is taken."""

import hmac
from collections.abc import Iterable

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from catalog.api.errors import problem
from catalog.api.settings import ServerSettings

SAFE = frozenset(("GET", "HEAD", "OPTIONS"))


class Guard:
    """Refuses writes without the token, bodies that are too large, and nothing else.

    Every method but GET, HEAD and OPTIONS is a write, on any path but those of ``questions``: a
    route that is added later is closed until it is named there.
    """

    def __init__(
        self, app: ASGIApp, settings: ServerSettings, questions: Iterable[str] = ("/search",)
    ) -> None:
        self.app = app
        self.token = settings.token.get_secret_value().encode()
        self.limit = settings.max_body
        self.questions = frozenset(questions)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        refusal = self._refusal(scope)
        if refusal is not None:
            await refusal(scope, receive, send)
            return
        body = _Body(receive, self.limit)
        started = False

        async def sent(message: Message) -> None:
            nonlocal started
            # Whatever the application made of a body cut short, the limit is what is said.
            if body.exceeded:
                return
            started = True
            await send(message)

        await self.app(scope, body.receive, sent)
        if body.exceeded and not started:
            await _too_large(self.limit)(scope, receive, send)

    def _refusal(self, scope: Scope) -> Response | None:
        headers = dict(scope["headers"])
        length = headers.get(b"content-length", b"0")
        if not length.isdigit():
            return problem(400, "BadRequest", "the Content-Length is no number")
        if scope["method"] not in SAFE and scope["path"] not in self.questions:
            if not self.token:
                return problem(
                    403, "Forbidden", "this server takes no writes: none is let in without a token"
                )
            if not self._may_write(headers.get(b"authorization", b"")):
                answer = problem(
                    401, "Unauthorized", "a write needs the header Authorization: Bearer TOKEN"
                )
                answer.headers["WWW-Authenticate"] = "Bearer"
                return answer
        return _too_large(self.limit) if int(length) > self.limit else None

    def _may_write(self, header: bytes) -> bool:
        scheme, _, given = header.partition(b" ")
        # In constant time, so that a token cannot be guessed byte by byte.
        return hmac.compare_digest(given.strip(), self.token) and scheme.lower() == b"bearer"


class _Body:
    """The messages of a body, until there are too many bytes of them."""

    def __init__(self, receive: Receive, limit: int) -> None:
        self._receive = receive
        self._left = limit
        self.exceeded = False

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.request":
            self._left -= len(message.get("body", b""))
            if self._left < 0:
                self.exceeded = True
                return {"type": "http.disconnect"}
        return message


def _too_large(limit: int) -> Response:
    return problem(413, "TooLarge", f"the body is larger than the {limit} bytes that are read")
