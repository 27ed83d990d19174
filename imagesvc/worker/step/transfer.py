"""The bytes of an image go into another region, disk after disk, by its door for uploads."""

from imagesvc import errors
from imagesvc.crashpoint import crashpoint
from imagesvc.domain.image import ImageDisk
from imagesvc.manager import disk_reader, image_copy
from imagesvc.stream.peer import PeerSession
from imagesvc.worker import copied_image, patience, region_peer
from imagesvc.worker.flow import Step, StepContext, Wait

_COMING = frozenset({"queued", "uploading"})


class Transfer(Step):
    """Send what the other region does not have yet; it says itself where it stands, so that the
    memo keeps nothing of that."""

    name = "transfer"

    def run(self, ctx: StepContext) -> Wait | None:
        """Raises ImageGone, Forbidden, ImageDamaged, DriverError, RegionAway, RegionRefused."""
        return patience.patient(ctx, lambda: _send_all(ctx))


def _send_all(ctx: StepContext) -> None:
    _, disks = copied_image.source(ctx)
    crashpoint("step.transfer.begin")
    total, before = sum(disk.size_bytes for disk in disks), 0
    with region_peer.session(ctx) as session:
        there = session.get_image(region_peer.token(ctx))
        if there["status"] not in _COMING:
            return  # it has all bytes, and made an image of them or will
        for disk, upload_id in zip(disks, ctx.results["introduce"]["uploads"], strict=True):
            try:
                _send(ctx, session, disk, upload_id, before, total)
            except errors.RegionGone:  # an upload does not say why: the image, or the agency, does
                session.get_image(region_peer.token(ctx))
                raise
            before += disk.size_bytes
    ctx.progress(total, total)
    crashpoint("step.transfer.done")


def _send(
    ctx: StepContext,
    session: PeerSession,
    disk: ImageDisk,
    upload_id: str,
    before: int,
    total: int,
) -> None:
    """One disk; `before` bytes of `total` were those of other disks."""
    backends, at_once = ctx.service.backends, session.patch_bytes
    at = begin = session.offset(upload_id)

    def tell(done: int) -> None:
        ctx.progress(before + begin + done, total)

    while at < disk.size_bytes:
        begin, length = at, min(at_once, disk.size_bytes - at)
        copied_image.source(ctx)  # whoever deleted the image, or shut it, did not want a copy made
        copies = image_copy.sound(backends, ctx.job.image_id or "", disk)
        with disk_reader.DiskReader(backends, copies, disk.size_bytes, at, length) as reader:
            at = session.send(upload_id, at, reader, length, tell)
        if at > begin:
            patience.heard(ctx)
        crashpoint("step.transfer.sent")
