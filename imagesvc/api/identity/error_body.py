"""A failure as the identity door writes it."""

import falcon
import msgspec

from imagesvc.api import error


class Dialect:
    """Keystone's body; statuses are those of the native column."""

    column = "native"

    def write(self, req: falcon.Request, resp: falcon.Response, failure: error.Failure) -> None:
        """Write the body."""
        title = falcon.code_to_http_status(failure.status).partition(" ")[2]
        resp.content_type = falcon.MEDIA_JSON
        resp.data = msgspec.json.encode(
            {"error": {"code": failure.status, "title": title, "message": failure.text}}
        )
