"""The cache of images, which this service does not keep.

Every call is 404, as that of a Glance whose cache is off, and no version tells of one.
"""

from typing import NoReturn

import falcon

from imagesvc import errors


class CacheResource:
    """All that a cache would hold (Glance v2, "Cache"): 404, there is none."""

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Refuse to list it."""
        _refuse()

    def on_delete(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Refuse to clear it."""
        _refuse()


class CacheImageResource:
    """One image in a cache: 404, there is none."""

    def on_put(self, req: falcon.Request, resp: falcon.Response, image_id: str) -> None:
        """Refuse to queue it."""
        _refuse()

    def on_delete(self, req: falcon.Request, resp: falcon.Response, image_id: str) -> None:
        """Refuse to drop it."""
        _refuse()


def _refuse() -> NoReturn:
    raise errors.NotFound("This service keeps no cache of images.")
