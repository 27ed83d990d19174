"""A cancel at each step of each flow: undone, and nothing left behind."""

import pytest

from imagesvc.domain.job import JobType
from imagesvc.worker.flow import Step
from imagesvc.worker.flow_table import FLOWS
from tests.unit.worker.conftest import CALLER
from tests.unit.worker.test_capture import left

CAPTURE, CREATE = FLOWS[JobType.CAPTURE_SYSTEM_DISK], FLOWS[JobType.CREATE_SERVERS]
CASES = [
    (name, n, when)
    for name, flow in (("capture", CAPTURE), ("create", CREATE))
    for n in range(len(flow))
    for when in ("before", "after")
]


class Cancelling(Step):
    """Another step, with a cancel asked for before or after it is run."""

    def __init__(self, step, when):
        self.step, self.when = step, when
        self.name, self.final = step.name, step.final

    def applies(self, job):
        return self.step.applies(job)

    def run(self, ctx):
        if self.when == "before":
            self._cancel(ctx)
        answer = self.step.run(ctx)
        if self.when == "after" and answer is None:
            self._cancel(ctx)
        return answer

    def _cancel(self, ctx):
        job = ctx.service.jobs.get(CALLER, ctx.job.id)
        if not job.cancel_requested:
            ctx.service.jobs.cancel(CALLER, ctx.job.id)

    def undo(self, ctx):
        return self.step.undo(ctx)


def submit(service, name, active_image):
    """A job of the flow of that name, and the flow."""
    if name == "capture":
        return service.captures.start(CALLER, server_id="server", name="x")[1], CAPTURE
    return service.servers.create(CALLER, image_id=active_image.id, name="x", count=2), CREATE


@pytest.mark.parametrize(("name", "n", "when"), CASES)
def test_a_cancel_at_any_step_is_undone_or_comes_too_late(
    service, active_image, compute, work, name, n, when
):
    job, flow = submit(service, name, active_image)
    told = tuple(Cancelling(step, when) if i == n else step for i, step in enumerate(flow))
    work(flows={job.type: told})
    ended = service.jobs.get(CALLER, job.id)
    # Activation looks in its own transaction; servers that are through before they hear stay.
    past = flow[: n + 1] if when == "after" or name == "create" else flow[:n]
    late = any(step.final for step in past)
    assert ended.state == ("done" if late else "cancelled")
    keys, rows = left(service)
    assert (len(keys), rows, compute.snapshots) == (
        2 if name == "capture" and late else 1,
        (),
        set(),
    )
    if name == "create":
        made = [item["server_id"] for item in ended.result.get("servers", ())]
        assert sorted(made) == sorted(set(compute.servers) - {"server"})
        return
    image = service.images.get(CALLER, job.image_id)
    assert image.status == ("active" if late else "killed")
    states = [step.state for step in ended.steps]
    assert states == (["done"] * 5 if late else ["undone"] * (n + 1) + ["pending"] * (4 - n))


def test_a_creation_cancelled_while_it_runs_outside_leaves_no_server(
    service, active_image, compute, work
):
    job, _ = submit(service, "create", active_image)
    compute.pending = True
    work(2)
    service.jobs.cancel(CALLER, job.id)
    work()
    assert service.jobs.get(CALLER, job.id).state == "cancelled"
    assert set(compute.servers) == {"server"}
