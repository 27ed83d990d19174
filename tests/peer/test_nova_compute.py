"""The driver nova against a real Nova whose image service we are: its laws, and whole walks."""

import dataclasses
import hashlib
import json

import pytest

from imagesvc.interface import errors
from imagesvc.interface.compute import ServerState
from imagesvc.interface.image_source import ImageSource
from imagesvc.interface.operation import ProgressState
from imagesvc.testing.conformance.compute import ComputeConformance
from imagesvc.testing.conformance.operation import follow, result_of
from imagesvc_drivers.compute.nova import NovaCompute
from tests.keystone_server import PASSWORD

pytestmark = [pytest.mark.peer, pytest.mark.xdist_group("neighbours"), pytest.mark.timeout(900)]


@pytest.fixture(scope="module", autouse=True)
def no_servers(cloud, nova):
    """What other tests left in the projects is gone."""
    for name in ("demo", "other"):
        for one in cloud.json("server", "list", cloud=name):
            cloud.openstack("server", "delete", "--wait", one["ID"], cloud=name)


@pytest.fixture(scope="module")
def flavor(cloud, nova):
    """Its system disk is as large as the image."""
    cloud.openstack(
        "flavor", "create", "--ram", "64", "--disk", "0", "--vcpus", "1", "as-image", cloud="admin"
    )


@pytest.fixture(scope="module")
def image(cloud, disk):
    """An image of the member; its id."""
    return cloud.json(
        "image", "create", "--disk-format", "raw", "--container-format", "bare", "--file", disk,
        "law",
    )["id"]  # fmt: skip


@pytest.fixture
def options(cloud, nova, flavor):
    """The section of the backend."""
    return {
        "auth_url": cloud.keystone.url,
        "username": cloud.keystone.service_user,
        "password": PASSWORD,
        "networks": ["none"],
        "zero_disk_flavors": True,
        "timeout_s": 60.0,
    }


class TestNovaCompute(ComputeConformance):
    """Servers of a project of Keystone, which the service's own user may work in."""

    CREATE_CRASH_POINTS = (
        "compute.nova.create_looked",
        "compute.nova.create_asked",
        "compute.nova.create_ending",
    )
    SNAPSHOT_CRASH_POINTS = ("compute.nova.snapshot_looked", "compute.nova.snapshot_asked")

    @pytest.fixture
    def driver(self, cloud, options):
        """A driver of its own for each law."""
        self.project_id = cloud.projects["demo"]
        self.foreign_id = cloud.projects["other"]
        return self.make(NovaCompute, **options)

    @pytest.fixture
    def image_source(self, image, disk):
        """Nova fetches it by its id."""
        return source_of(image, disk)

    def test_a_project_that_is_closed_to_us_has_no_servers(self, driver):
        """Nobody there has a role, or there is no such project."""
        unknown = "0" * 32
        assert driver.list_servers(unknown) == []
        with pytest.raises(errors.NotFound, match="was found"):
            driver.get_server("3f2f4f0e-0000-4000-8000-000000000000", project_id=unknown)

    def test_a_wrong_password_is_not_taken_for_a_closed_project(self, driver, options):
        """The operator has to see it."""
        wrong = self.make(NovaCompute, **options | {"password": "wrong"})
        with pytest.raises(errors.AccessDenied):
            wrong.list_servers(self.project_id)

    def test_a_second_request_of_one_work_leaves_the_first_servers_alone(
        self, driver, spec, monkeypatch
    ):
        """Two that looked at the same moment both ask; whoever follows removes the second."""
        handle = driver.start_create(spec, 2, "twice")
        with monkeypatch.context() as patch:
            patch.setattr(driver._servers, "tagged", lambda *_: [])
            assert driver.start_create(spec, 2, "twice") == handle
        made = result_of(driver, handle)
        found = {server.server_id for server in driver.list_servers(self.project_id)}
        assert found == {each["server_id"] for each in made}
        assert len(found) == 2

    def test_a_server_that_no_flavor_holds_fails_and_says_why(self, driver, spec):
        """FAILED before Nova was asked; the same each time."""
        handle = driver.start_create(dataclasses.replace(spec, memory_mib=1 << 20), 1, "large")
        for _ in range(2):
            ended = follow(driver, handle)
            assert ended.state is ProgressState.FAILED
            assert "No flavor" in ended.error
        driver.cancel(handle)


def source_of(image_id, disk):
    """The image as the service would hand it over."""
    size = disk.stat().st_size
    digest = hashlib.sha512(disk.read_bytes()).hexdigest()
    return ImageSource(image_id, 0, "raw", size, size, digest, "http://127.0.0.1:9/none")


@pytest.fixture
def tiny(cloud, flavor):
    """A flavor with a disk, as the service takes no other by default."""
    cloud.openstack(
        "flavor", "create", "--ram", "72", "--disk", "1", "--vcpus", "1", "walk", cloud="admin"
    )
    yield
    cloud.openstack("flavor", "delete", "walk", cloud="admin")


def test_a_server_is_made_captured_and_made_again_from_the_image(
    cloud, nova, tiny, image, disk, calls
):
    (made,) = cloud.json("server", "create", "walk", "--image", image, "--memory", "70", "--wait",
                         command="imagesvc")  # fmt: skip
    server = made["ID"]
    path = nova / f"{server}.raw"
    assert path.read_bytes() == disk.read_bytes()
    changed = b"marker of the guest" + path.read_bytes()[19:]
    path.write_bytes(changed)
    before = {each["ID"] for each in cloud.json("image", "list")}

    shown = cloud.json("server", "capture", server, "--name", "captured", "--wait",
                       command="imagesvc")  # fmt: skip
    captured = shown["image_id"]
    assert shown["state"] == "done"
    assert {each["ID"] for each in cloud.json("image", "list")} - before == {captured}
    found = cloud.json("image", "show", captured)
    assert found["status"] == "active"
    assert found["owner"] == cloud.projects["demo"]
    assert found["size"] == len(changed)
    properties = found["properties"]
    assert properties["os_hash_value"] == hashlib.sha512(changed).hexdigest()
    assert properties["instance_uuid"] == server
    assert properties["base_image_ref"] == image
    assert "imagesvc_snapshot" not in json.dumps(found)
    # Written once, by Nova; nobody reads it to store it again.
    seen = calls()
    assert seen["PUT", "/v2/images/ID/file", "204"] == 1
    assert seen["GET", "/v2/images/ID/file", "200"] == 1

    (again,) = cloud.json("server", "create", "again", "--image", captured, "--memory", "70",
                          "--wait", command="imagesvc")  # fmt: skip
    assert (nova / f"{again['ID']}.raw").read_bytes() == changed
    for one in (server, again["ID"]):
        cloud.imagesvc("server", "delete", one)
    assert cloud.json("server", "list", command="imagesvc") == []


def test_power_and_console_of_a_server_of_nova(cloud, nova, tiny, image):
    (made,) = cloud.json("server", "create", "power", "--image", image, "--memory", "70", "--wait",
                         command="imagesvc")  # fmt: skip
    server = made["ID"]
    cloud.imagesvc("server", "stop", server)
    assert cloud.json("server", "show", server, command="imagesvc")["state"] == ServerState.STOPPED
    cloud.imagesvc("server", "start", server)
    shown = cloud.json("server", "show", server, command="imagesvc")
    assert shown["state"] == ServerState.RUNNING
    assert cloud.imagesvc("server", "console", "log", server).count("booted") == 2
    cloud.imagesvc("server", "delete", server)
