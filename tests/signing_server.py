"""A web server that wants signatures or keys, to be run by itself: ``python signing_server.py FOLDER``.

It prints its port. ``/sign?href=URL`` answers as the Planetary Computer's service does, as recorded:
``{"msft:expiry": ..., "href": URL?sig=...}``. ``/blob/NAME`` gives a file of the folder to who has
that signature, ``/eodata/NAME`` to who signs as S3 has it with the key ``KEY``; 403 to all others.
"""

import http.server
import json
import re
import sys
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

SIGNATURE = "st=2026-01-01T00%3A00%3A00Z&sig=recorded%3D"


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        asked = urlsplit(self.path)
        if asked.path == "/sign":
            href = parse_qs(asked.query)["href"][0]
            answer = {"msft:expiry": "2099-01-01T00:00:00Z", "href": f"{href}?{SIGNATURE}"}
            return self.say(200, json.dumps(answer).encode())
        _, kind, name = asked.path.split("/", 2)
        key = "Credential=KEY/" in self.headers.get("Authorization", "")
        allowed = {"blob": asked.query == SIGNATURE, "eodata": key}
        path = Path(sys.argv[1]) / name
        if not allowed.get(kind):
            return self.say(403)
        if not path.is_file():
            return self.say(404)
        held = path.read_bytes()
        if found := re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", "")):
            first, last = int(found[1]), min(int(found[2]), len(held) - 1)
            return self.say(206, held[first : last + 1], f"{first}-{last}/{len(held)}")
        return self.say(200, held)

    def say(self, status: int, body: bytes = b"", place: str = "") -> None:
        self.send_response(status)
        if place:
            self.send_header("Content-Range", f"bytes {place}")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


if __name__ == "__main__":
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    sys.stdout.write(f"{server.server_address[1]}\n")
    sys.stdout.flush()
    server.serve_forever()
