"""An HTTP server on the loopback interface that serves files as badly as a test asks for."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Served:
    """What the server has and does.

    Attributes:
        files: path → content.
        etags: path → ETag; none where it is missing.
        ranges: whether it knows ranges.
        cut: bytes after which a connection is closed, in turn; 0 or none left: not.
        statuses: sent instead of the file, in turn.
        retry_after: sent with them.
        claimed: a ``Content-Length`` that is not the body's.
        pause: seconds before each 4 KiB.
        redirects: path → where else to ask.
        asked: (path, Range, If-Range) of each request.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    etags: dict[str, str] = field(default_factory=dict)
    ranges: bool = True
    cut: list[int] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    retry_after: str = ""
    claimed: int | None = None
    pause: float = 0.0
    redirects: dict[str, str] = field(default_factory=dict)
    asked: list[tuple[str, str | None, str | None]] = field(default_factory=list)
    url: str = ""


@contextlib.contextmanager
def serving(served: Served) -> Iterator[Served]:
    """Serve until the block ends; ``served.url`` has no slash at its end."""

    class Handler(_Handler):
        given = served

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    served.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield served
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    given: Served

    def log_message(self, format: str, *args: Any) -> None:
        """Silent."""

    def do_GET(self) -> None:
        served = self.given
        served.asked.append((self.path, self.headers["Range"], self.headers["If-Range"]))
        if served.statuses:
            self.send_response(served.statuses.pop(0))
            if served.retry_after:
                self.send_header("Retry-After", served.retry_after)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        if self.path in served.redirects:
            self.send_response(302)
            self.send_header("Location", served.redirects[self.path])
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        if self.path not in served.files:
            self.send_error(404)
            return
        self._send(served.files[self.path], served.etags.get(self.path))

    def _send(self, data: bytes, etag: str | None) -> None:
        served, start = self.given, 0
        wanted, condition = self.headers["Range"], self.headers["If-Range"]
        if served.ranges and wanted and condition in (None, etag):
            start = int(wanted.removeprefix("bytes=").rstrip("-"))
            if start >= len(data):
                self.send_error(416)
                return
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        else:
            self.send_response(200)
        self.send_header("Content-Length", str(served.claimed or len(data) - start))
        if etag:
            self.send_header("ETag", etag)
        self.end_headers()
        end = len(data)
        if served.cut:
            end = start + (served.cut.pop(0) or len(data))
        with contextlib.suppress(OSError):
            self._body(data[start:end])
        if end < len(data) or served.claimed:
            self.close_connection = True

    def _body(self, data: bytes) -> None:
        if not self.given.pause:
            self.wfile.write(data)
            return
        for at in range(0, len(data), 4096):
            self.wfile.write(data[at : at + 4096])
            self.wfile.flush()
            time.sleep(self.given.pause)
