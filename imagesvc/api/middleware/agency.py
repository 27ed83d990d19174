"""Requests by which the service of another region works in a project here: by an agency alone."""

import urllib.parse
from typing import Any

import falcon

from imagesvc import errors
from imagesvc.domain.agency import HEADERS, Claim
from imagesvc.manager.agency import AgencyManager

_LENGTH_MAX = 255


class ByAgency:
    """Resources for which the class says `serves_regions = True` may be asked so, no others."""

    def __init__(self, agencies: AgencyManager) -> None:
        self._agencies = agencies

    def process_resource(
        self, req: falcon.Request, resp: falcon.Response, resource: Any, params: dict[str, Any]
    ) -> None:
        """Set `req.context.caller` to whom the agency makes of it.

        Raises Forbidden, InvalidRequest for headers that are not all there.
        """
        given = [req.get_header(name) for name in HEADERS]
        if given == [None] * len(HEADERS):
            return
        if not getattr(resource, "serves_regions", False):
            raise errors.Forbidden("Nobody works for another project here.")
        words = [urllib.parse.unquote(value or "") for value in given]
        if not all(0 < len(word) <= _LENGTH_MAX and word.isprintable() for word in words):
            raise errors.InvalidRequest(f"The headers {', '.join(HEADERS)} come together.")
        req.context.caller = self._agencies.act(req.context.caller, Claim(*words))
