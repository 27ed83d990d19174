"""Two regions with one Keystone: images go from one to the other by the unmodified clients."""

import uuid

import pytest

from tests import keystone_service
from tests.poll import until

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("keystone")]

METHODS = """
[import]
methods = glance-direct, web-download, glance-download
remote_regions = {region}
"""


@pytest.fixture(scope="module")
def here(tmp_path_factory, keystone_server):
    """A service that takes images from a second one, and that one's region."""
    region = f"far-{uuid.uuid4().hex}"
    folders = [tmp_path_factory.mktemp(name) for name in ("far", "near")]
    with (
        keystone_service.started(folders[0], keystone_server) as far,
        keystone_service.started(
            folders[1], keystone_server, METHODS.format(region=region)
        ) as service,
    ):
        keystone_server.place("image", far.url, region)
        yield service, region


def glance(service, *args, check=True, region="RegionOne"):
    """The unmodified `glance` command as demo; what it says."""
    done = service.glance(*args, check=check, region=region)
    return (done.stdout + done.stderr).decode()


def test_the_glance_command_takes_an_image_over_from_another_region(here, raw_image, tmp_path):
    service, region = here
    there = glance(
        service, "image-create", "--name", "there", "--disk-format", "raw",
        "--container-format", "bare", "--property", "hw_disk_bus=scsi", "--file", raw_image,
        region=region,
    )  # fmt: skip
    remote = next(line.split("|")[2].strip() for line in there.splitlines() if "| id " in line)
    made = glance(
        service, "image-create-via-import", "--name", "here", "--disk-format",
        "raw", "--container-format", "bare", "--import-method", "glance-download",
        "--remote-region", region, "--remote-image-id", remote,
    )  # fmt: skip
    image_id = next(line.split("|")[2].strip() for line in made.splitlines() if "| id " in line)
    assert image_id != remote

    def shown():
        return glance(service, "image-show", image_id)

    until(lambda: "| active" in shown())
    assert "scsi" in shown()
    glance(service, "image-download", "--file", tmp_path / "out", image_id)
    assert (tmp_path / "out").read_bytes() == raw_image.read_bytes()


def test_the_clients_say_that_there_is_no_cache(here):
    service, _ = here
    for command in (["cache-list"], ["cache-clear"], ["cache-queue", str(uuid.uuid4())]):
        told = glance(service, *command, check=False)
        assert "does not support image caching API" in told, told
    done = service.run("openstack", "--os-cloud", "admin", "cached", "image", "list", check=False)
    assert done.returncode != 0
    assert b"no cache of images" in done.stderr, done.stderr
