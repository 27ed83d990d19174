"""Gives each request its id and each answer the header that names it."""

import re
import uuid
from typing import Any

import falcon

from imagesvc import context

HEADER = "X-Openstack-Request-Id"

_GLOBAL_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


class RequestId:
    """A new id a request; an id sent by the caller is kept beside it, for the log."""

    def process_request(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Make the id."""
        req.context.request_id = f"req-{uuid.uuid4()}"
        sent = req.get_header(HEADER) or ""
        req.context.global_request_id = sent if _GLOBAL_ID.fullmatch(sent) else ""
        context.current_request_id.set(req.context.request_id)

    def process_response(
        self, req: falcon.Request, resp: falcon.Response, resource: Any, succeeded: bool
    ) -> None:
        """Name the id, on errors too."""
        resp.set_header(HEADER, req.context.request_id)
