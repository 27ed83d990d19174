"""What the caller's project uses, and how much it may (Glance v2, "Quota usage")."""

from typing import Any

import falcon

from imagesvc import errors
from imagesvc.domain.quota import Resource

# Name in the answer, and in what it is told: images, whole MiB, uploads.
_NAMES = {
    Resource.IMAGES: ("image_count_total", 1),
    Resource.STORED_BYTES: ("image_size_total", 1 << 20),
    Resource.UPLOADS: ("image_count_uploading", 1),
}


class UsageResource:
    """Of the caller's own project alone. What is set aside for work under way counts as used."""

    def __init__(self, quotas: Any) -> None:
        self._quotas = quotas

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Show it; a limit of -1 is none."""
        caller = req.context.caller
        if caller.project_id is None:
            raise errors.Forbidden("Usage is told of a project; the token names none.")
        found = self._quotas.show(caller, caller.project_id)
        resp.media = {"usage": {_NAMES[one.resource][0]: _row(one) for one in found}}


def _row(quota: Any) -> dict[str, int]:
    unit = _NAMES[quota.resource][1]
    limit = quota.limit if quota.limit < 0 else quota.limit // unit
    return {"usage": (quota.used + quota.reserved) // unit, "limit": limit}
