"""A page of runs that go on, served to this machine alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock

from vrft_pl.types import InputError

HOST = "127.0.0.1"


class LivePage:
    """Makes the page anew when the runs have written something.

    Args:
        stamp: When they were written last.
        make: The page of that time.
    """

    def __init__(self, stamp: Callable[[], float], make: Callable[[float], str]) -> None:
        self.stamp, self.make = stamp, make
        self._made: tuple[float, bytes] = (-1.0, b"")
        self._lock = Lock()

    def page(self) -> bytes:
        """The page as it is now."""
        with self._lock:
            if (stamp := self.stamp()) != self._made[0]:
                self._made = stamp, self.make(stamp).encode(errors="backslashreplace")
            return self._made[1]

    def news(self) -> bytes:
        """When the runs were written last, as JSON."""
        return json.dumps({"stamp": self.stamp()}).encode()


def serve(page: LivePage, port: int = 0) -> ThreadingHTTPServer:
    """Listen on the loopback address; the caller serves.

    Args:
        page: What to serve.
        port: 0 takes a free one.
    """
    answers = {"/": (page.page, "text/html; charset=utf-8"), "/stamp": (page.news, "application/json")}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            named = (self.headers.get("Host") or "").rsplit(":", 1)[0]
            if named not in (HOST, "localhost"):
                self.send_error(403, "Expected a request to this machine by its own name")  # no other site's script
                return
            make, kind = answers.get(self.path.partition("?")[0], (None, ""))
            if make is None:
                self.send_error(404)
                return
            try:
                content = make()
            except InputError as error:
                self.send_error(503, explain=str(error))  # the folder is gone, or not whole yet
                return
            self.send_response(200)
            for name, value in (
                ("Content-Type", kind),
                ("Content-Length", str(len(content))),
                ("Cache-Control", "no-store"),
                ("X-Content-Type-Options", "nosniff"),
                ("X-Frame-Options", "DENY"),
            ):
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:  # the name the base class has
            """Say nothing of each request."""

    return ThreadingHTTPServer((HOST, port), Handler)
