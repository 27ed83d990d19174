"""Refuses oversize bodies before they are read."""

from typing import Any

import falcon

from imagesvc.api import media


class BodyLimit:
    """A resource may name `body_bytes_max`; None there means that it takes a stream."""

    def process_resource(
        self, req: falcon.Request, resp: falcon.Response, resource: Any, params: dict[str, Any]
    ) -> None:
        """Compare the declared length; a chunked body is bounded when it is read."""
        limit = getattr(resource, "body_bytes_max", media.BODY_BYTES_DEFAULT)
        req.context.body_bytes_max = limit
        if limit is not None and (req.content_length or 0) > limit:
            raise media.too_large(limit)
