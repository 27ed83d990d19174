"""One line a request."""

import logging
import time
from typing import Any
from urllib import parse

import falcon

LOG = logging.getLogger("imagesvc.access")


class AccessLog:
    """Facts as key=value. The query is left out: signed URLs carry their signature there."""

    def process_request(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Start the clock."""
        req.context.started = time.monotonic()

    def process_response(
        self, req: falcon.Request, resp: falcon.Response, resource: Any, succeeded: bool
    ) -> None:
        """Write the line; `ms` ends where the body of the answer begins."""
        caller = getattr(req.context, "caller", None)
        LOG.info(
            "request method=%s path=%s status=%s bytes_in=%s bytes_out=%s ms=%.1f "
            "request_id=%s global_request_id=%s user=%s project=%s remote=%s",
            req.method,
            parse.quote(req.path),
            falcon.http_status_to_code(resp.status),
            req.env.get("CONTENT_LENGTH") or "-",
            resp.content_length or len(resp.data or b"") or "-",
            (time.monotonic() - req.context.started) * 1000,
            getattr(req.context, "request_id", "-"),
            getattr(req.context, "global_request_id", "") or "-",
            caller.user_id if caller else "-",
            caller.project_id if caller else "-",
            req.remote_addr,
        )
