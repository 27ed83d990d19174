"""Several stores and imports through the unmodified clients."""

import io
import uuid

import pytest

from tests import poll
from tests.client import test_glanceclient, test_openstacksdk
from tests.client.conftest import started

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::PendingDeprecationWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]
STORES = """
[storage]
enabled_backends = local:file, far:file
default_backend = local
[storage_far]
directory = {folder}/far
description = far away
"""


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    """A running service with two stores."""
    folder = tmp_path_factory.mktemp("stores")
    with started(folder, more=STORES.format(folder=folder)) as found:
        yield found


def test_openstacksdk_imports(service, raw_image):
    with test_openstacksdk.connect(service, "demo") as demo:
        image = demo.image.create_image(
            f"i-{uuid.uuid4().hex}", filename=str(raw_image), disk_format="raw",
            container_format="bare", use_import=True,
        )  # fmt: skip
        poll.until(lambda: demo.image.get_image(image.id).status == "active")
        assert demo.image.download_image(image.id).content == raw_image.read_bytes()
        assert {store.id for store in demo.image.stores()} == {"far", "local"}


def test_the_openstack_command_imports_copies_and_lists_stores(service, raw_image):
    name = f"o-{uuid.uuid4().hex}"
    made = service.json(
        "image", "create", "--import", "--file", raw_image, "--disk-format", "raw", name
    )

    def show():
        return service.json("image", "show", made["id"])

    poll.until(lambda: show()["status"] == "active", 60)
    assert {row["ID"] for row in service.json("image", "stores", "list")} == {"far", "local"}
    copy = ("image", "import", made["id"], "--method", "copy-image", "--store", "far")
    service.openstack(*copy, cloud="admin")
    poll.until(lambda: show()["properties"].get("stores") == "far,local", 60)


def test_glanceclient_stages_imports_and_removes_from_a_store(service):
    demo, mine = test_glanceclient.connect(service, "demo")
    admin, theirs = test_glanceclient.connect(service, "admin")
    image = demo.images.create(name="g", disk_format="raw", container_format="bare")
    demo.images.stage(image.id, io.BytesIO(b"x" * 100_000))
    demo.images.image_import(image.id, method="glance-direct", all_stores=True)
    # The client allows that stores fail: the image is active before the last one has it.
    poll.until(lambda: "os_glance_import_task" not in demo.images.get(image.id))
    found = demo.images.get(image.id)
    assert (found.status, found.stores) == ("active", "far,local")
    assert {one["id"] for one in demo.images.get_stores_info()["stores"]} == {"far", "local"}
    admin.images.delete_from_store("far", image.id)
    assert demo.images.get(image.id).stores == "local"
    (task,) = demo.images.get_associated_image_tasks(image.id)["tasks"]
    assert task["status"] == "success"
    for one in (mine, theirs):
        one.session.close()
