"""Serves one file over HTTP with Range, as the service does for drivers that fetch an image."""

import contextlib
import http.server
import re
import threading
from collections.abc import Iterator
from pathlib import Path

_RANGE = re.compile(r"bytes=(\d+)-(\d*)$")


@contextlib.contextmanager
def served(path: Path, address: str) -> Iterator[str]:
    """Give a URL to the file, at that address of this machine, as long as the block runs."""

    class Handler(http.server.BaseHTTPRequestHandler):
        """GET and HEAD of the one file."""

        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            data = path.read_bytes()
            found = _RANGE.match(self.headers.get("Range", ""))
            begin = int(found[1]) if found else 0
            end = min(int(found[2]) + 1 if found and found[2] else len(data), len(data))
            if found and begin >= len(data):
                self.send_response(416)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            self.send_response(206 if found else 200)
            self.send_header("Content-Length", str(end - begin))
            self.send_header("Accept-Ranges", "bytes")
            if found:
                self.send_header("Content-Range", f"bytes {begin}-{end - 1}/{len(data)}")
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(data[begin:end])

        do_HEAD = do_GET

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    with http.server.ThreadingHTTPServer((address, 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://{address}:{server.server_address[1]}/image"
        finally:
            server.shutdown()
            thread.join()
