"""Location -> Glance JSON, alone and as members of an image."""

import urllib.parse
from collections.abc import Iterable, Mapping
from typing import Any

from imagesvc.backend.store import Stores
from imagesvc.domain.foreign_location import ForeignLocation
from imagesvc.domain.image import Image

Location = tuple[str, str]  # store id, storage key
Place = Location | ForeignLocation


def url(place: Place, stores: Stores) -> str:
    """A foreign URL, or `imagesvc+TYPE://STORE/KEY`: names alone, for what opens a store stays in the configuration.

    No client can open the latter; the type is that of the store's driver, `unknown` for a store that is
    no longer configured.
    """
    if isinstance(place, ForeignLocation):
        return place.url
    store_id, key = place
    store = stores.find(store_id)
    kind = store.driver if store else "unknown"
    return f"imagesvc+{kind}://{store_id}/{urllib.parse.quote(key)}"


def render(place: Place, stores: Stores) -> dict[str, Any]:
    """One place."""
    metadata = place.shown_metadata if isinstance(place, ForeignLocation) else {"store": place[0]}
    return {"url": url(place, stores), "metadata": metadata}


class ShownLocations:
    """What images tell everyone of their places: nothing, unless the operator wants it."""

    def __init__(
        self, locations: Any, stores: Stores, *, direct_url: bool, all_: bool, most: int = -1
    ) -> None:
        self._locations = locations
        self._stores = stores
        self._direct_url = direct_url
        self._all = all_
        self.most = most

    @property
    def all(self) -> bool:
        """Whether images show all of their places, so that a patch may change them."""
        return self._all

    def urls(self, image: Image) -> tuple[str, ...]:
        """The URLs of an image's places, in the order in which they came."""
        places = self._locations.of((image,)).get(image.id, ())
        return tuple(url(place, self._stores) for place in places)

    def members(self, images: Iterable[Image]) -> Mapping[str, dict[str, Any]]:
        """Image id -> members beside those of `image_view`; asks nothing if none are shown."""
        images = tuple(images)
        if not (self._direct_url or self._all):
            return {}
        found = self._locations.of(images)
        return {image.id: self._members(found.get(image.id, ())) for image in images}

    def _members(self, places: tuple[Place, ...]) -> dict[str, Any]:
        members: dict[str, Any] = {}
        if self._all:
            members["locations"] = [render(place, self._stores) for place in places]
        if self._direct_url and places:
            members["direct_url"] = url(self._best(places), self._stores)
        return members

    def _best(self, places: tuple[Place, ...]) -> Place:
        """The place that is read first."""
        keys = dict(place for place in places if not isinstance(place, ForeignLocation))
        if not keys:
            return places[0]
        best = self._stores.order(keys)[0]
        return best, keys[best]
