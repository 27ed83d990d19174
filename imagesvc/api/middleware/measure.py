"""Counts each request for the metrics."""

import time
from typing import Any

import falcon

from imagesvc.api import meter

UNMATCHED = "unmatched"


class Measure:
    """Comes first, so that its time holds that of all others."""

    def __init__(self, counters: meter.Meter) -> None:
        self._meter = counters

    def process_request(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Start the clock."""
        req.context.measured_from = time.monotonic()

    def process_response(
        self, req: falcon.Request, resp: falcon.Response, resource: Any, succeeded: bool
    ) -> None:
        """Count; the time ends where the body of the answer begins."""
        reader = getattr(req.context, "body_reader", None)
        self._meter.count(
            req.method,
            req.uri_template or UNMATCHED,
            falcon.http_status_to_code(resp.status),
            seconds=time.monotonic() - req.context.measured_from,
            received=reader.count_bytes if reader else 0,
            sent=_size(req, resp),
        )


def _size(req: falcon.Request, resp: falcon.Response) -> int:
    if req.method == "HEAD":
        return 0
    if resp.stream is not None:
        return int(resp.content_length or 0)
    return len(resp.render_body() or b"")
