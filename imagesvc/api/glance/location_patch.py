"""Operations of a patch on /locations: one that adds, one that replaces, or some that remove."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from imagesvc import errors
from imagesvc.api import pace
from imagesvc.api.glance.location_view import ShownLocations
from imagesvc.context import RequestContext
from imagesvc.domain import image_import
from imagesvc.domain.image import Image
from imagesvc.domain.image_import import ImportRequest, Method
from imagesvc.domain.image_property import Change
from imagesvc.domain.state import ImageStatus
from imagesvc.errors import Reason

NAME = "locations"
END = "-"
_URL_LENGTH_MAX = 8192
_VALUE_NAMES = frozenset({"url", "metadata", "validation_data"})


@dataclasses.dataclass(frozen=True, slots=True)
class LocationChange:
    """What a patch asks for: `add` (at `position`, None: the end), those that there shall `be`, or
    the positions to `remove`, one after the other."""

    add: ImportRequest | None = None
    position: int | None = None
    be: tuple[ImportRequest, ...] | None = None
    remove: tuple[int, ...] = ()


class LocationPatch:
    """Carries out a patch of locations; images must show them, or it is refused.

    Those that stay URLs elsewhere are the business of `foreign`.
    """

    def __init__(
        self, images: Any, locations: Any, imports: Any, foreign: Any, shown: ShownLocations
    ) -> None:
        self._images = images
        self._locations = locations
        self._imports = imports
        self._foreign = foreign
        self._shown = shown

    def apply(self, caller: RequestContext, image_id: str, changes: Sequence[Change]) -> bool:
        """True if the patch was one of locations, and is done or begun."""
        wanted = split(changes, allowed=self._shown.all)
        if wanted is None:
            return False
        image = self._images.get(caller, image_id)
        if self._foreign.takes(image):
            self._change_foreign(caller, image, wanted)
        elif wanted.remove:
            self._locations.remove(caller, image_id, wanted.remove)
        elif wanted.be is None:
            self._add(caller, image_id, wanted.add, wanted.position)
        else:
            self._replace(caller, image_id, wanted.be)
        return True

    def _change_foreign(self, caller: RequestContext, image: Image, wanted: LocationChange) -> None:
        if wanted.remove:
            self._foreign.remove(caller, image.id, wanted.remove)
        elif wanted.be is None:
            self._add_foreign(caller, image.id, wanted.add, wanted.position)
        elif image.status != ImageStatus.QUEUED:
            self._foreign.replace(caller, image.id, wanted.be)
        else:
            self._add_foreign(caller, image.id, _first(wanted.be), None)

    def _add_foreign(
        self, caller: RequestContext, image_id: str, request: Any, position: int | None
    ) -> None:
        with pace.transfer():  # it waits for a server of the caller's choice
            self._foreign.add(caller, image_id, request, position)

    def _replace(
        self, caller: RequestContext, image_id: str, wanted: tuple[ImportRequest, ...]
    ) -> None:
        """The same places again are fine; a queued image gets its first one."""
        there = self._there(caller, image_id)
        if there and {one.uri for one in wanted} == set(there):
            return
        first = _first(wanted)
        if there:
            raise _others()
        self._add(caller, image_id, first, None)

    def _add(
        self, caller: RequestContext, image_id: str, request: Any, position: int | None
    ) -> None:
        there = self._there(caller, image_id)
        if position is not None and position > len(there):
            raise errors.InvalidRequest(f"There is no position {position} to add a location at.")
        if len(there) >= self._shown.most >= 0:
            raise errors.TooLarge(
                what="The list of locations", limit=self._shown.most, unit="locations"
            )
        if not request.uri.lower().startswith(("http://", "https://")):
            raise errors.InvalidRequest("A location that is added must be an http or https URL.")
        self._imports.add_location(caller, image_id, request, copy=True)

    def _there(self, caller: RequestContext, image_id: str) -> tuple[str, ...]:
        """The URLs of its places; one of which a queued image was to be made counts no more."""
        image = self._images.get(caller, image_id)
        return () if image.status == ImageStatus.QUEUED else self._shown.urls(image)


def split(changes: Sequence[Change], *, allowed: bool) -> LocationChange | None:
    """The change of locations that a patch is; None if it names none.

    Raises Forbidden where images do not show locations, InvalidRequest for what is no such
    change, or one that is mixed with others: it begins a job, which the others cannot be part of.
    """
    own = [change for change in changes if change.path[0] == NAME]
    if not own:
        return None
    if not allowed:
        raise errors.Forbidden("locations is read-only.", reason=Reason.READ_ONLY)
    if len(own) != len(changes) or (len(own) > 1 and {one.op for one in own} != {"remove"}):
        raise errors.InvalidRequest(
            "A patch that changes locations may hold one add, one replace or removes, and "
            "nothing else."
        )
    first = own[0]
    if first.op == "remove":
        return LocationChange(remove=tuple(_index(one) for one in own))
    if first.op == "replace":
        return _replace(first)
    return LocationChange(add=_request(first.value), position=_place(first))


def _replace(change: Change) -> LocationChange:
    if len(change.path) != 1 or not isinstance(change.value, list):
        raise errors.InvalidRequest("replace takes /locations and a list of locations.")
    if not change.value:
        raise errors.Forbidden("The only copy of an image cannot be removed.")
    requests = tuple(_request(value) for value in change.value)
    if len({request.uri for request in requests}) != len(requests):
        raise errors.InvalidRequest("A location is named twice.")
    return LocationChange(be=requests)


def _first(wanted: tuple[ImportRequest, ...]) -> ImportRequest:
    """The one location of an image that had none. Raises InvalidRequest for more."""
    if len(wanted) > 1:
        raise _others()
    return wanted[0]


def _others() -> errors.InvalidRequest:
    return errors.InvalidRequest(
        "The locations of an image are not exchanged for others; add or remove one."
    )


def _place(change: Change) -> int | None:
    return None if change.path[1:] == (END,) else _index(change)


def _index(change: Change) -> int:
    word = change.path[1] if len(change.path) == 2 else ""
    if not (word.isascii() and word.isdigit() and len(word) < 4):
        raise errors.InvalidRequest(f"{change.op} takes /locations/ and a position.")
    return int(word)


def _request(value: Any) -> ImportRequest:
    if not isinstance(value, dict) or not value.keys() <= _VALUE_NAMES:
        raise errors.InvalidRequest("A location is an object of url, metadata and validation_data.")
    url = value.get("url")
    if not isinstance(url, str) or not 0 < len(url) <= _URL_LENGTH_MAX:
        raise errors.InvalidRequest("A location needs its url.")
    if not isinstance(value.get("metadata", {}), dict):
        raise errors.InvalidRequest("The metadata of a location is an object.")
    digest, md5 = _digests(value.get("validation_data"))
    metadata = value.get("metadata", {})
    return ImportRequest(Method.WEB_DOWNLOAD, uri=url, digest=digest, md5=md5, metadata=metadata)


def _digests(given: Any) -> tuple[tuple[str, str] | None, str | None]:
    """Malformed digests are a conflict in this dialect."""
    if given is None:
        return None, None
    try:
        return _read(given)
    except errors.InvalidRequest as exc:  # clients of Glance expect 409 for these alone
        raise errors.Conflict(f"validation_data is not valid: {exc.text}") from exc


def _read(given: Any) -> tuple[tuple[str, str] | None, str | None]:
    if not isinstance(given, Mapping) or not all(isinstance(one, str) for one in given.values()):
        raise errors.InvalidRequest("it must be an object of strings.")
    md5 = given.get("checksum")
    if md5 is not None:
        (_, md5) = image_import.check_digest("md5", md5) or ("", None)
    digest = image_import.check_digest(given.get("os_hash_algo"), given.get("os_hash_value"))
    return digest, md5
