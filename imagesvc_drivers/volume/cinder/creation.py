"""Making volumes, all or none: what stands in Cinder is all that is known of it.

Each volume bears the name of the work and its number in it, so whoever begins again with the same token meets
those that were asked for. Where two processes asked at once the older volume of a number stays.
"""

import contextlib
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

_DELETABLE = ("available", "error", "error_deleting", "error_restoring")


def begin(cinder: CinderClient, work: str, spec: VolumeSpec, count: int) -> None:
    """Ask for the volumes that are not there yet. Raises as `create_volume`, and leaves none."""
    known = _volumes(cinder, work)
    if any(DOOMED in each["metadata"] for each in known):
        return
    if known and all(_failed(each) for each in known):
        _remove(cinder, known)  # work that failed begins anew
        known = []
    there = {each["metadata"][INDEX] for each in known}
    for index in range(count):
        if str(index) in there:
            continue
        try:
            cinder.create_volume(_body(work, spec, count, index))
        except errors.DriverError as exc:
            if not exc.retryable:
                doom(cinder, work)
            raise
        crashpoint("volume.cinder.asked")


def progress(cinder: CinderClient, work: str, count: int) -> Progress:
    """How far it is. Once one volume failed the others are removed, and that one last."""
    found = _volumes(cinder, work)
    if not found:
        return Progress(ProgressState.CANCELLED)
    if any(DOOMED in each["metadata"] for each in found):
        _remove(cinder, found)
        return Progress(ProgressState.RUNNING)
    made = _first_of_each(cinder, found)
    failed = [each for each in made if _failed(each)]
    if failed or len(made) < count:
        others = [each for each in found if each not in failed]
        if others:
            _remove(cinder, others)
            return Progress(ProgressState.RUNNING)
        reason = _reason(cinder, failed[0])
        _remove(cinder, failed)
        crashpoint("volume.cinder.removed")
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
    ids = [each["id"] for each in made]
    return Progress(ProgressState.DONE, size_bytes, size_bytes, result=ids)


def doom(cinder: CinderClient, work: str) -> None:
    """Have the volumes of a creation that is not through removed, as soon as Cinder lets go."""
    found = _volumes(cinder, work)
    if found and all(MADE in each["metadata"] for each in found):
        return
    for each in found:
        with contextlib.suppress(errors.NotFound):
            cinder.mark(each["id"], {DOOMED: "yes"})
    _remove(cinder, found)


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
    return int(marks[INDEX]), MADE not in marks, found["created_at"], found["id"]


def _first_of_each(cinder: CinderClient, found: list[Volume]) -> list[Volume]:
    """One volume of each number; the others are removed."""
    made: dict[str, Volume] = {}
    for each in found:
        if made.setdefault(each["metadata"][INDEX], each) is not each:
            _remove(cinder, [each])
    return list(made.values())


def _failed(found: Volume) -> bool:
    return str(found["status"]).startswith("error")


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
