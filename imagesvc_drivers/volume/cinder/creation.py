"""Making volumes, all or none: what stands in Cinder is all that is known of it.

Each volume bears the name of the work and its number in it, so whoever begins again with the same token meets
those that were asked for. Where two processes asked at once the older volume of a number stays.
Owners of volumes may change what these bear: a number that is none counts as if it were not there.
"""

import contextlib
import re
from collections.abc import Mapping
from typing import Any

from imagesvc.crashpoint import crashpoint
from imagesvc.interface import errors
from imagesvc.interface.operation import Progress, ProgressState
from imagesvc.interface.volume import VolumeSpec
from imagesvc_drivers.volume.cinder import view
from imagesvc_drivers.volume.cinder.client import (
    DOOMED,
    IMAGE,
    INDEX,
    MADE,
    WORK,
    CinderClient,
    Volume,
)

_NUMBER = re.compile(r"[0-9]{1,4}")
_COUNT_MAX = 10_000
# Why a creation is undone, as `DOOMED` says it: taken back, or the words of a refusal.
_WITHDRAWN = "yes"
_MARK_CHARS_MAX = 255
_DELETABLE = ("available", "error", "error_deleting", "error_restoring")


def begin(cinder: CinderClient, work: str, spec: VolumeSpec, count: int) -> None:
    """Ask for the volumes that are not there yet.

    Raises as `create_volume` where there is none. Those that are there when another is refused are
    removed by whoever follows, who is told why.
    """
    known = _volumes(cinder, work)
    if any(DOOMED in each["metadata"] for each in known) or _are_given_out(known):
        return
    if known and all(_failed(each) for each in known):
        _remove(cinder, known)  # work that failed begins anew
        known = []
    there = {_number(each, count) for each in known}
    for index in range(count):
        if index in there:
            continue
        try:
            cinder.create_volume(_body(work, spec, count, index))
        except errors.DriverError as exc:
            if exc.retryable or not _refuse(cinder, work, exc.user_message):
                raise
            return
        crashpoint("volume.cinder.asked")


def progress(cinder: CinderClient, work: str, count: int) -> Progress:
    """How far it is. Once one volume failed the others are removed, and that one last."""
    found = _volumes(cinder, work)
    if not found:
        return Progress(ProgressState.CANCELLED)
    doomed = [each["metadata"][DOOMED] for each in found if DOOMED in each["metadata"]]
    if doomed:
        return _undone(cinder, found, next((each for each in doomed if each != _WITHDRAWN), ""))
    made = _first_of_each(cinder, found, count)
    if _are_given_out(found):  # one that is missing was removed by its owner
        return _through(made)
    failed = [each for each in made if _failed(each)]
    if failed or len(made) < count:
        others = [each for each in found if each not in failed]
        if others:
            _remove(cinder, others)
            return Progress(ProgressState.RUNNING)
        reason = _reason(cinder, failed[0])
        _remove(cinder, failed)
        return Progress(ProgressState.FAILED, error=reason)
    size_bytes = sum(each["size"] for each in made) * view.GIB
    ready = [each for each in made if each["status"] not in ("creating", "downloading")]
    if len(ready) < count:
        done_bytes = sum(each["size"] for each in ready) * view.GIB
        return Progress(ProgressState.RUNNING, done_bytes, size_bytes)
    for each in made:
        if MADE not in each["metadata"]:
            cinder.mark(each["id"], {MADE: "yes"})
            crashpoint("volume.cinder.made")
    return _through(made)


def doom(cinder: CinderClient, work: str) -> None:
    """Have the volumes of a creation that is not through removed, as soon as Cinder lets go."""
    found = _volumes(cinder, work)
    if _are_given_out(found):
        return
    _mark(cinder, found, _WITHDRAWN)
    _remove(cinder, found)


def _refuse(cinder: CinderClient, work: str, reason: str) -> bool:
    """Have the volumes that there are removed by whoever follows; whether there are any."""
    found = _volumes(cinder, work)
    _mark(cinder, found, reason[:_MARK_CHARS_MAX] or _WITHDRAWN)
    return bool(found)


def _mark(cinder: CinderClient, found: list[Volume], why: str) -> None:
    for each in found:
        with contextlib.suppress(errors.NotFound):
            cinder.mark(each["id"], {DOOMED: why})


def _undone(cinder: CinderClient, found: list[Volume], reason: str) -> Progress:
    """How far removing them is. With a reason all go at once, for they are all that knows it."""
    free = all(each["status"] in _DELETABLE for each in found)
    if free or not reason:
        _remove(cinder, found)
    if free and reason:
        return Progress(ProgressState.FAILED, error=reason)
    return Progress(ProgressState.RUNNING)


def _through(made: list[Volume]) -> Progress:
    size_bytes = sum(each["size"] for each in made) * view.GIB
    ids = [each["id"] for each in made]
    return Progress(ProgressState.DONE, size_bytes, size_bytes, result=ids)


def _are_given_out(found: list[Volume]) -> bool:
    """Whether a creation is through: its volumes are their owner's, and whether one stays too."""
    return bool(found) and all(MADE in each["metadata"] for each in found)


def _volumes(cinder: CinderClient, work: str) -> list[Volume]:
    """The volumes of a creation by number and age; those that are through first."""
    found = [
        each
        for each in cinder.volumes({WORK: work})
        # Cinder may be told not to know this filter, and then gives all.
        if each["metadata"].get(WORK) == work and not view.is_gone(each)
    ]
    return sorted(found, key=_rank)


def _rank(found: Volume) -> tuple[int, bool, str, str]:
    marks: Mapping[str, str] = found["metadata"]
    number = _number(found, _COUNT_MAX)
    last = _COUNT_MAX if number is None else number
    return last, MADE not in marks, found["created_at"], found["id"]


def _number(found: Volume, count: int) -> int | None:
    """Which of `count` volumes it is; None for what is no number of them."""
    said = str(found["metadata"].get(INDEX, ""))
    number = int(said) if _NUMBER.fullmatch(said) else count
    return number if number < count else None


def _first_of_each(cinder: CinderClient, found: list[Volume], count: int) -> list[Volume]:
    """One volume of each number; others of that number are removed unless they were given out."""
    made: dict[int, Volume] = {}
    for each in found:
        number = _number(each, count)
        if number is None:
            continue
        if made.setdefault(number, each) is not each and MADE not in each["metadata"]:
            _remove(cinder, [each])
    return list(made.values())


def _failed(found: Volume) -> bool:
    """Whether making it failed; one that was given out may be in trouble of its own later."""
    return str(found["status"]).startswith("error") and MADE not in found["metadata"]


def _reason(cinder: CinderClient, found: Volume) -> str:
    reasons = cinder.reasons(found["id"])
    return f"Cinder could not make the volume: {reasons[0] if reasons else 'it does not say why.'}"


def _remove(cinder: CinderClient, found: list[Volume]) -> None:
    """Remove what Cinder lets go of; the rest by the next call."""
    for each in found:
        if each["status"] in _DELETABLE:
            with contextlib.suppress(errors.NotFound, errors.InvalidArgument):
                cinder.delete_volume(each["id"])


def _body(work: str, spec: VolumeSpec, count: int, index: int) -> dict[str, Any]:
    """What Cinder is asked for."""
    marks = {WORK: work, INDEX: str(index)}
    body: dict[str, Any] = {
        "name": spec.name if count == 1 else f"{spec.name}-{index + 1}",
        "size": -(-spec.size_bytes // view.GIB),
        "metadata": marks,
    }
    if spec.source is not None:
        marks[IMAGE] = spec.source.image_id
        body["imageRef"] = spec.source.image_id
    return body
