"""The other region of a copy: a connection to it on behalf of the job's project."""

from imagesvc.stream.peer import PeerSession
from imagesvc.worker.flow import StepContext


def session(ctx: StepContext) -> PeerSession:
    """A connection; a context manager. Raises InvalidRequest if the region is known no more.

    The project there may be named by a name at first; once the region has said which it is, by its
    id, for another one may have that name later.
    """
    regions = ctx.service.region.known
    peer = regions.find(ctx.job.args["region"])
    project = ctx.results["introduce"].get("project_id") or ctx.job.args["project"]
    return peer.session().for_project(regions.here, ctx.job.project_id, project)


def token(ctx: StepContext) -> str:
    """The name under which the other region knows the image, the same in all steps."""
    found: str = ctx.results["introduce"]["image_token"]
    return found
