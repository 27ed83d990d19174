"""Jobs on bare-metal nodes that are taken back before the handle of the work was kept."""

import pytest

from imagesvc.interface import errors as driver_errors
from imagesvc.interface.baremetal import NodeState
from imagesvc.worker.step import provision_node
from imagesvc_drivers.baremetal import local_task
from tests.unit.worker.conftest import CALLER, CONF

NODE_BYTES = 6 << 20

pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")


@pytest.fixture
def url(tmp_path):
    """The engine makes no difference here."""
    return f"sqlite:///{tmp_path}/imagesvc.sqlite"


@pytest.fixture
def disk(tmp_path):
    """The disk of the only node."""
    path = tmp_path / "node.raw"
    path.write_bytes(b"data" * (NODE_BYTES // 4))
    return path


@pytest.fixture
def service(service_of, disk):
    """A service with one node."""
    return service_of(f"{CONF}[baremetal_local]\nnodes = n:{disk}:project\n")


@pytest.fixture
def node(service):
    """The driver of the node."""
    return service.backends.baremetal()


def dies(monkeypatch, name, before):
    """The worker is gone before it kept the handle: before or after it began the work."""
    kept = getattr(provision_node, name)

    def started(ctx, driver):
        if not before:
            kept(ctx, driver)
        raise driver_errors.Timeout("No answer.")

    monkeypatch.setattr(provision_node, name, started)


@pytest.mark.parametrize("kind", ["deploy", "undeploy"])
def test_what_was_not_begun_is_not_begun_to_take_it_back(
    service, node, active_image, disk, work, monkeypatch, kind
):
    dies(monkeypatch, f"_{kind}", before=True)
    if kind == "deploy":
        job = service.nodes.deploy(CALLER, "n", image_id=active_image.id)
    else:
        job = service.nodes.undeploy(CALLER, "n")
    work(1)
    monkeypatch.undo()
    service.jobs.cancel(CALLER, job.id)
    work()
    assert service.jobs.get(CALLER, job.id).state == "cancelled"
    assert disk.read_bytes() == b"data" * (NODE_BYTES // 4)
    assert node.get_node("n", project_id="project").state is NodeState.AVAILABLE


@pytest.mark.parametrize("kind", ["deploy", "undeploy"])
def test_what_was_begun_is_found_without_its_handle_and_stopped(
    service, node, active_image, disk, work, monkeypatch, kind
):
    def killed(name):
        if name.endswith("_recorded"):
            raise SystemExit

    dies(monkeypatch, f"_{kind}", before=False)
    monkeypatch.setattr(local_task, "crashpoint", killed)
    if kind == "deploy":
        job = service.nodes.deploy(CALLER, "n", image_id=active_image.id)
    else:
        job = service.nodes.undeploy(CALLER, "n")
    work(1)
    node._desk.close(5.0)
    assert node.get_node("n", project_id="project").state in ("deploying", "erasing")
    monkeypatch.undo()
    service.jobs.cancel(CALLER, job.id)
    work()
    assert service.jobs.get(CALLER, job.id).state == "cancelled"
    assert disk.read_bytes() == b"data" * (NODE_BYTES // 4)
    assert not node._desk._book.running()
