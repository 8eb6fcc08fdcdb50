"""The service on a port, until it is stopped."""

import contextlib
import gc
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING

from jobs.errors import RequestError
from jobs.service import create_service

if TYPE_CHECKING:
    from jobs.workspace import Workspace


def serve(workspace: "Workspace", host: str, port: int, say: Callable[[str], None]) -> None:
    """Answer at an address until interrupted; ``RequestError`` where it cannot be listened at."""
    import uvicorn

    from catalog.api.settings import ServerSettings

    settings = ServerSettings()
    app = create_service(workspace, settings)
    _collect_seldom()
    listening = _listening(host, port)
    address = f"http://{_shown(host)}:{listening.getsockname()[1]}"
    writes = "with the token" if settings.token.get_secret_value() else "refused, no token is set"
    say(f"serving {address} (writes: {writes}); stop with Ctrl-C")
    config = uvicorn.Config(app, log_level="warning", server_header=False, proxy_headers=True)
    with contextlib.suppress(KeyboardInterrupt):  # that is how it ends
        uvicorn.Server(config).run(sockets=[listening])


def _collect_seldom() -> None:
    """Let Python look for garbage in cycles once in many requests.

    A page of items is ten thousand objects without a cycle: looking through them and all modules,
    as often as Python does by itself, is a fifth of a search.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


def _listening(host: str, port: int) -> socket.socket:
    found = None
    try:
        family, kind, number, _, place = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        found = socket.socket(family, kind, number)
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind(place)
        found.listen(2048)  # who connects before the server runs waits for it
    except OSError as error:
        if found is not None:
            found.close()
        raise RequestError(
            f"cannot listen at {host}:{port}: {error.strerror or error}; give another --host or --port"
        ) from None
    return found


def _shown(host: str) -> str:
    return f"[{host}]" if ":" in host else host
