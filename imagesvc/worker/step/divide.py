"""An OVA in passing: each of its disks to a fresh key by the one pipe, all else is only judged."""

from typing import Any

from imagesvc import errors
from imagesvc.crashpoint import crashpoint
from imagesvc.domain import guest
from imagesvc.domain.image import Image, ImageKind
from imagesvc.domain.machine import Machine
from imagesvc.errors import Reason
from imagesvc.stream import limit, pipe
from imagesvc.stream.disk_walk import DiskStream, DiskWalk
from imagesvc.stream.format import refusal
from imagesvc.worker import intake, landing, origin
from imagesvc.worker.flow import Step, StepContext, Wait
from imagesvc.worker.step import fetch


class Divide(Step):
    """Read the archive once; memo: landed (a dict a disk as they came), disks (the same in order).

    What a run before this one wrote is given to the reaper, as it begins anew.
    """

    name = "divide"

    def run(self, ctx: StepContext) -> Wait | None:
        """Divide. Raises UnsupportedImage, ImageGone, QuotaExceeded, TooLarge, InvalidRequest."""
        if "disks" in ctx.memo:
            return None
        intake.doom_all(ctx)
        ctx.memo.put(landed=[], writing=None)
        crashpoint("step.divide.begin")
        image, expected = intake.image_of(ctx), fetch.expected_digests(ctx)
        with origin.open_body(ctx) as body:
            fetch.check_size(ctx, body.size)
            came, reader, _ = landing.hashed(ctx, body, expected, unpacking=True)
            walk = DiskWalk(reader, ctx.service.rules.unpacked_cap_bytes)
            for stream in walk:
                _require_kind(image, walk.machine)
                _land(ctx, image, stream)
                crashpoint("step.divide.landed")
            fetch.check_size(ctx, came.count)
            landing.check_digests(expected, came.digests())
        ctx.memo["disks"] = _ordered(ctx, walk.machine)
        crashpoint("step.divide.done")
        return None

    def undo(self, ctx: StepContext) -> Wait | None:
        """Give the bytes to the reaper, unless they are the image's by now."""
        intake.doom_all(ctx)
        return None


def _require_kind(image: Image, machine: Machine) -> None:
    if image.kind == ImageKind.DATA_DISK and len(machine.disks) > 1:
        raise errors.InvalidRequest(
            f"The OVA has {len(machine.disks)} disks, which is no image of a data disk."
        )


def _land(ctx: StepContext, image: Image, stream: DiskStream) -> None:
    """One disk, judged by both gates, within what all of them may have."""
    landed: list[dict[str, Any]] = ctx.memo["landed"]
    store_id = ctx.job.args["stores"][0]
    key = intake.announce(ctx, store_id, f"-part-{len(landed)}")
    reader, size_bytes = _opened(ctx, stream, sum(each["size_bytes"] for each in landed))
    result = landing.land(
        ctx,
        reader,
        (store_id, key),
        image,
        size_bytes,
        _require_bytes,
        disk_format=stream.disk.disk_format,
        before_bytes=sum(each["size_bytes"] for each in landed),
    )
    crashpoint("step.divide.committed")
    _check_virtual(ctx, result, landed)
    facts = {
        "file": stream.disk.name, "store_id": store_id, "key": key, **intake.facts(result),
        **intake.found(ctx, result, (store_id, key)),
    }  # fmt: skip
    intake.keep(ctx, (store_id, key), landed=[*landed, facts])


def _require_bytes(result: pipe.PipeResult) -> None:
    """As the archive does for a disk that is not packed."""
    if not result.size_bytes:
        raise refusal.unsafe("a disk of the OVA is empty.")


def _opened(
    ctx: StepContext, stream: DiskStream, before_bytes: int
) -> tuple[limit.Reader, int | None]:
    if not stream.disk.packer:
        return stream, stream.size_bytes
    reader = landing.unpacked(ctx, stream, before_bytes)
    if reader.packed != stream.disk.packer:
        raise refusal.mismatch(f"{stream.disk.name} of the OVA is not packed by gzip as it says.")
    return reader, None


def _check_virtual(ctx: StepContext, result: pipe.PipeResult, before: list[dict[str, Any]]) -> None:
    cap = ctx.service.rules.virtual_cap_bytes
    sizes = [each["virtual_size_bytes"] for each in before]
    if sum(sizes) + result.facts.virtual_size_bytes > cap:
        raise errors.TooLarge(
            what="The virtual size of the image", limit=cap, unit="bytes", reason=Reason.SIZE_CAP
        )


def _ordered(ctx: StepContext, machine: Machine) -> list[dict[str, Any]]:
    """The facts of the disks as the machine has them; the first with what was told of the guest."""
    landed = {each["file"]: each for each in ctx.memo["landed"]}
    disks = [landed[disk.name] for disk in machine.disks]
    known = ctx.service.guests.completed(guest.of(disks[0].get("guest")), machine.told)
    return [{**disks[0], "guest": guest.plain(known)}, *disks[1:]]
