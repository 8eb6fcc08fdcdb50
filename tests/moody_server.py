"""A web server that fails as told, to be run by itself: ``python moody_server.py FOLDER``.

It prints its port. ``/RULE/NAME`` gives a file of the folder, with ranges, by a rule: ``ok``; a
status such as ``503``; ``close`` (no answer); ``hang``; ``slowdown`` (as S3 says it); ``NxRULE``:
only the first N requests; ``beyond-BYTE-RULE``: only requests that end beyond a byte. GDAL holds
Python's lock while it opens files, so no thread of the same process could answer it.
"""

import http.server
import re
import sys
import time
from pathlib import Path

BUSY = b"<?xml version='1.0'?><Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"
ASKED: dict[str, int] = {}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        rule, name = self.path.split("/")[-2:]
        path = Path(sys.argv[1]) / name
        if name == "count":
            return self.say(200, str(ASKED.get(rule, 0)).encode())
        if not path.is_file():
            return self.say(404)
        size = path.stat().st_size
        first, last = 0, size - 1
        if found := re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", "")):
            first, last = int(found[1]), min(last, int(found[2] or last))
        if found := re.fullmatch(r"beyond-(\d+)-(.+)", rule):
            rule = found[2] if self.command == "GET" and last >= int(found[1]) else "ok"
        if found := re.fullmatch(r"(\d+)x(.+)", rule):
            ASKED[rule] = ASKED.get(rule, 0) + 1
            rule = found[2] if ASKED[rule] <= int(found[1]) else "ok"
        else:
            ASKED[rule] = ASKED.get(rule, 0) + 1
        if rule.isdigit():
            return self.say(int(rule))
        if rule == "slowdown":
            return self.say(503, BUSY)
        if rule in ("close", "hang"):
            time.sleep(30 if rule == "hang" else 0)
            self.close_connection = True
            return self.connection.close()
        body = path.read_bytes()[first : last + 1]
        return self.say(206 if "Range" in self.headers else 200, body, f"{first}-{last}/{size}")

    def say(self, status: int, body: bytes = b"", place: str = "") -> None:
        self.send_response(status)
        if place:
            self.send_header("Accept-Ranges", "bytes")
            self.send_header("Content-Range", f"bytes {place}")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def handle(self) -> None:
        try:
            super().handle()
        except (OSError, ValueError):
            self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Say nothing."""


if __name__ == "__main__":
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    sys.stdout.write(f"{server.server_address[1]}\n")
    sys.stdout.flush()
    server.serve_forever()
