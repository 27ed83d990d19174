"""A failure as Glance writes it: HTML, or JSON for those who ask for it.

glanceclient sends `Accept: */*` and takes JSON errors for nested objects, so JSON goes only
to clients that name application/json.
"""

import html

import falcon
import msgspec

from imagesvc.api import error

_PAGE = "<html>\n <head>\n  <title>{line}</title>\n </head>\n <body>\n  <h1>{line}</h1>\n  {text}<br /><br />\n\n </body>\n</html>"


class Dialect:
    """The column and the body of Glance."""

    column = "glance"

    def write(self, req: falcon.Request, resp: falcon.Response, failure: error.Failure) -> None:
        """Write the body."""
        line = falcon.code_to_http_status(failure.status)
        if "application/json" in (req.get_header("Accept") or ""):
            body = {"message": failure.text, "code": line, "title": line.partition(" ")[2]}
            resp.content_type = falcon.MEDIA_JSON
            resp.data = msgspec.json.encode(body)
        else:
            resp.content_type = "text/html; charset=UTF-8"
            resp.text = _PAGE.format(line=html.escape(line), text=html.escape(failure.text))
