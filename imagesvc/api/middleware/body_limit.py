"""Refuses oversize bodies, and those in a coding, before they are read."""

from typing import Any

import falcon

from imagesvc import errors
from imagesvc.api import media
from imagesvc.errors import Reason

# Header -> what is undone before the body is read. Anything else would be stored as it came.
_CODINGS = {"Transfer-Encoding": "chunked", "Content-Encoding": "identity"}


class BodyLimit:
    """A resource may name `body_bytes_max`; None there means that it takes a stream."""

    def process_resource(
        self, req: falcon.Request, resp: falcon.Response, resource: Any, params: dict[str, Any]
    ) -> None:
        """Compare the declared length; a chunked body is bounded when it is read."""
        for header, known in _CODINGS.items():
            if req.get_header(header, default=known).strip().lower() != known:
                raise errors.InvalidRequest(
                    f"{header} may only be {known}.", reason=Reason.MEDIA_TYPE
                )
        limit = getattr(resource, "body_bytes_max", media.BODY_BYTES_DEFAULT)
        req.context.body_bytes_max = limit
        if limit is not None and (req.content_length or 0) > limit:
            raise media.too_large(limit)
