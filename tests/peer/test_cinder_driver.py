"""Volumes of a real Cinder as volumes of this service: the laws of the kind, and our own API."""

import hashlib
import subprocess
import uuid

import pytest

from imagesvc.interface import errors
from imagesvc.interface.image_source import ImageSource
from imagesvc.interface.operation import ProgressState
from imagesvc.interface.volume import VolumeSpec, VolumeState
from imagesvc.testing.conformance.operation import follow
from imagesvc.testing.conformance.volume import VolumeConformance
from imagesvc_drivers.volume.cinder import CinderVolume
from tests import poll
from tests.keystone_server import PASSWORD

pytestmark = [
    pytest.mark.peer,
    pytest.mark.xdist_group("neighbours"),
    pytest.mark.timeout(900),
    # openstacksdk leaves connections to the garbage collector.
    pytest.mark.filterwarnings("ignore::PendingDeprecationWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]

WAIT_S = 120.0


@pytest.fixture(scope="module")
def login(cloud, cinder):
    """Options of the driver: the service's own user, a member of every project but `service`."""
    return {
        "auth_url": cloud.keystone.url, "username": cloud.keystone.service_user,
        "password": PASSWORD, "region_name": "RegionOne", "timeout_s": 120.0,
    }  # fmt: skip


@pytest.fixture(scope="module")
def projects(cloud):
    """Projects without volumes of other tests, each with a member: the cloud of its name."""
    made = {name: cloud.keystone.project() for name in ("law", "strange", "walk")}
    for name, project_id in made.items():
        cloud.add_cloud(name, cloud.keystone.user(project_id, "member"), project_id)
    return made


@pytest.fixture(scope="module")
def law_image(cloud, projects, disk):
    """An image of the laws' project at the image service that Cinder uses; its id."""
    return cloud.json(
        "image", "create", "--disk-format", "raw", "--container-format", "bare",
        "--file", disk, "law", cloud="law",
    )["id"]  # fmt: skip


class TestCinderVolume(VolumeConformance):
    CREATE_CRASH_POINTS = ("volume.cinder.asked", "volume.cinder.made")
    SNAPSHOT_CRASH_POINTS = ("volume.cinder.snapshot_asked",)
    CONNECT_CRASH_POINTS = ("volume.cinder.connected",)

    @pytest.fixture
    def driver(self, projects, login):
        self.project_id, self.foreign_id = projects["law"], projects["strange"]
        made = self.make(CinderVolume, **login)
        made.health()  # a login costs Keystone more than the law of health allows a busy machine
        return made

    @pytest.fixture
    def image_source(self, law_image, disk):
        size_bytes = disk.stat().st_size
        return ImageSource(
            image_id=law_image, disk=0, disk_format="raw",
            size_bytes=size_bytes, virtual_size_bytes=size_bytes,
            digest=hashlib.sha512(disk.read_bytes()).hexdigest(),
            url="http://127.0.0.1:9/none", local_path=disk,
        )  # fmt: skip

    def content(self, driver, volume_id):
        """Not read: a volume has 1 GiB at least, and laws of their own look at bytes."""

    def test_the_bytes_are_on_the_volume(self, driver, image_spec, disk, cinder, tmp_path):
        volume_id = self.make_volume(driver, image_spec)
        compare(cinder / f"volume-{volume_id}", disk, tmp_path)

    def test_an_image_that_is_not_there_is_told(self, driver, image_spec, image_source):
        gone = ImageSource(str(uuid.uuid4()), 0, "raw", 512, 512, image_source.digest, "")
        spec = VolumeSpec("gone", self.project_id, 1 << 30, gone, gone.image_id)
        with pytest.raises(errors.InvalidArgument, match="image identifier"):
            driver.start_create(spec, 1, "gone")

    def test_a_volume_that_was_made_elsewhere_is_shown(self, driver, cloud):
        made = cloud.json("volume", "create", "--size", "1", "elsewhere", cloud="law")["id"]

        def shown():
            (found,) = driver.list_volumes(self.project_id)
            assert (found.volume_id, found.name) == (made, "elsewhere")
            assert found.state in (VolumeState.CREATING, VolumeState.AVAILABLE)
            return found.state is VolumeState.AVAILABLE

        poll.until(shown, WAIT_S)  # Cinder deletes none that is being made

    def test_a_project_that_cinder_is_not_open_to_has_none(self, driver):
        unknown = uuid.uuid4().hex
        assert driver.list_volumes(unknown) == []
        with pytest.raises(errors.NotFound, match="not open"):
            driver.start_create(VolumeSpec("v", unknown, 1 << 30), 1, "closed")

    def test_more_than_the_quota_is_refused_and_leaves_nothing(self, driver, spec):
        ended = follow(driver, driver.start_create(spec, 11, "many"), limit_s=WAIT_S)
        assert ended.state is ProgressState.FAILED
        assert "quota" in ended.error
        assert driver.list_volumes(self.project_id) == []

        def gone():
            handle = driver.start_create(spec, 11, "many")
            driver.cancel(handle)
            return driver.poll(handle).state is ProgressState.CANCELLED

        poll.until(gone, WAIT_S)


def compare(volume, disk, folder):
    """The volume reads as the disk and as zeros behind."""
    whole = folder / "whole"
    whole.write_bytes(disk.read_bytes())
    with whole.open("r+b") as stream:
        stream.truncate(1 << 30)
    subprocess.run(["qemu-img", "compare", "-F", "raw", volume, whole], check=True, timeout=120)


def test_an_image_becomes_volumes_and_a_volume_an_image_through_our_own_api(
    cloud, cinder, projects, disk, tmp_path
):
    image = cloud.json(
        "image", "create", "--disk-format", "raw", "--container-format", "bare",
        "--file", disk, "of-volume", cloud="walk",
    )["id"]  # fmt: skip
    cloud.imagesvc(
        "volume", "create", "--image", image, "--count", "2", "--wait", "own", cloud="walk"
    )
    listed = cloud.json("volume", "list", command="imagesvc", cloud="walk")
    assert sorted(each["Name"] for each in listed) == ["own-1", "own-2"]
    in_cinder = cloud.json("volume", "list", cloud="walk")
    assert {each["ID"] for each in in_cinder} == {each["ID"] for each in listed}
    for each in listed:
        compare(cinder / f"volume-{each['ID']}", disk, tmp_path)
    volume_id = listed[0]["ID"]
    made = cloud.json(
        "volume", "capture", volume_id, "--name", "back", "--wait",
        command="imagesvc", cloud="walk",
    )  # fmt: skip
    saved = tmp_path / "saved"
    cloud.openstack("image", "save", "--file", saved, made["image_id"], cloud="walk")
    compare(cinder / f"volume-{volume_id}", saved, tmp_path)
    names = [each["Name"] for each in cloud.json("image", "list", cloud="walk")]
    assert names.count("back") == 1
    assert not any(name.startswith("imagesvc-snapshot") for name in names)
    cloud.imagesvc("volume", "delete", *[each["ID"] for each in listed], cloud="walk")
    assert cloud.json("volume", "list", command="imagesvc", cloud="walk") == []
