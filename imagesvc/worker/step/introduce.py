"""Another region is told of an image that is to come, and says where its bytes go."""

import logging
import time

from imagesvc import errors
from imagesvc.crashpoint import crashpoint
from imagesvc.domain import region_copy
from imagesvc.worker import copied_image, patience, region_peer
from imagesvc.worker.flow import Step, StepContext, Wait

LOG = logging.getLogger(__name__)
_UNDO_PAUSE_S = 10.0


class Introduce(Step):
    """Begin the image there; memo: image_token, image_id, project_id, uploads (their ids by
    disk), has_namesake.

    The same token gives the same image, however often it is asked for.
    """

    name = "introduce"

    def run(self, ctx: StepContext) -> Wait | None:
        """Raises ImageGone, Forbidden, NoContent, Conflict, RegionAway, RegionRefused."""
        return patience.patient(ctx, lambda: _begin(ctx))

    def undo(self, ctx: StepContext) -> Wait | None:
        """Take the image back there, finished or not; of a region that stays away, it takes back
        itself what is unfinished when the uploads expire."""
        if "image_token" not in ctx.memo:
            return None  # nothing was ever asked for
        try:
            with region_peer.session(ctx) as session:
                session.delete_image(ctx.memo["image_token"])
        except errors.RegionAway as exc:
            now = time.time()
            since = ctx.memo.once("undo_since", lambda: now)
            if now - since < ctx.service.conf.worker.retry_s:
                return Wait(_UNDO_PAUSE_S, exc.text, exc.operator_message)
            _left_behind(ctx, exc.operator_message)
        except errors.RegionGone:
            pass  # it is not there, or not any more
        except (errors.RegionRefused, errors.InvalidRequest) as exc:
            # Without an agency it took back by itself what was unfinished.
            _left_behind(ctx, exc.text)
        crashpoint("step.introduce.undone")
        return None


def _begin(ctx: StepContext) -> None:
    image, disks = copied_image.source(ctx)
    region_copy.check_disks(image, disks)
    crashpoint("step.introduce.begin")
    token = ctx.memo.once("image_token", lambda: ctx.request_token)  # before it is asked for
    with region_peer.session(ctx) as session:
        made = session.put_image(token, region_copy.document(image, disks, ctx.job.args))
        name = session.name
    crashpoint("step.introduce.told")
    wanted = ctx.job.args["target_image_id"]
    if wanted is not None and made["image_id"] != wanted:
        raise errors.RegionRefused(region=name, cause="it made an image of another id.")
    uploads = [one["upload_id"] for one in made["disks"]]
    if [one["index"] for one in made["disks"]] != [disk.index for disk in disks]:
        raise errors.RegionRefused(region=name, cause="it has other disks.")
    ctx.memo.put(
        image_id=made["image_id"],
        project_id=made["project_id"],
        uploads=uploads,
        has_namesake=made["has_namesake"],
    )
    crashpoint("step.introduce.done")


def _left_behind(ctx: StepContext, why: str) -> None:
    LOG.error(
        "image perhaps left in another region job_id=%s region=%s image_id=%s: %s",
        ctx.job.id, ctx.job.args["region"], ctx.memo.get("image_id"), why,
    )  # fmt: skip
