"""Two regions with one Keystone: images go from one to the other by the unmodified clients."""

import uuid

import pytest
import yaml

from tests import keystone_service
from tests.keystone_server import PASSWORD
from tests.poll import until

pytestmark = [pytest.mark.slow, pytest.mark.peer, pytest.mark.xdist_group("keystone")]

METHODS = """
[import]
methods = glance-direct, web-download, glance-download
remote_regions = {region}
[service]
regions = far
[region_far]
name = {region}
endpoint = {endpoint}
auth_url = {keystone}
username = {user}
password = {password}
"""


@pytest.fixture(scope="module")
def here(tmp_path_factory, keystone_server):
    """A service that takes images from a second one, and that one's region."""
    region = f"far-{uuid.uuid4().hex}"
    folders = [tmp_path_factory.mktemp(name) for name in ("far", "near")]
    with (
        keystone_service.started(
            folders[0], keystone_server, f"[service]\nregion = {region}\n"
        ) as far,
        keystone_service.started(
            folders[1],
            keystone_server,
            METHODS.format(
                region=region, endpoint=far.url, keystone=keystone_server.url,
                user=keystone_server.service_user, password=PASSWORD,
            ),
        ) as service,
    ):  # fmt: skip
        keystone_server.place("image", far.url, region)
        add_far(service, far, region)
        yield service, region


def add_far(service, far, region):
    """Let clients find the member of the far region as the cloud `far`."""
    auth = yaml.safe_load((far.folder / "clouds.yaml").read_text())["clouds"]["demo"]["auth"]
    service.add_cloud("far", auth["username"], auth["project_id"])
    path = service.folder / "clouds.yaml"
    clouds = yaml.safe_load(path.read_text())
    clouds["clouds"]["far"]["region_name"] = region
    path.write_text(yaml.safe_dump(clouds))


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


def imagesvc(service, cloud, *args, check=True):
    """Our own command; what it says."""
    done = service.run("imagesvc", "--os-cloud", cloud, *args, check=check)
    return (done.stdout + done.stderr).decode()


def test_the_command_copies_an_image_into_another_region(here, raw_image, tmp_path):
    service, region = here
    assert region in imagesvc(service, "demo", "region", "list", "-f", "value")
    made = service.json(
        "image", "upload", raw_image, "--name", "moved", "--disk-format", "raw", "--wait",
        command="imagesvc",
    )  # fmt: skip
    clouds = yaml.safe_load((service.folder / "clouds.yaml").read_text())["clouds"]
    ours, theirs = (clouds[name]["auth"]["project_id"] for name in ("demo", "far"))
    copy = (
        "image",
        "copy-to-region",
        "moved",
        "far",
        "--project",
        theirs,
        "--name",
        "copy",
        "--wait",
    )
    refused = imagesvc(service, "demo", *copy, check=False)
    assert f"--source-project {ours}" in refused, refused
    imagesvc(
        service, "far", "agency", "create", "from-here", "--source-region", "RegionOne",
        "--source-project", ours,
    )  # fmt: skip
    done = service.json(*copy, command="imagesvc")
    assert (done["state"], done["region"], done["project_id"]) == ("done", region, theirs)
    service.run(
        "openstack", "--os-cloud", "far", "image", "save", "--file", tmp_path / "out", done["image_id"]
    )  # fmt: skip
    assert (tmp_path / "out").read_bytes() == raw_image.read_bytes()
    assert made["image_id"] != done["image_id"]
    imagesvc(service, "far", "agency", "delete", "from-here")


def test_the_clients_say_that_there_is_no_cache(here):
    service, _ = here
    for command in (["cache-list"], ["cache-clear"], ["cache-queue", str(uuid.uuid4())]):
        told = glance(service, *command, check=False)
        assert "does not support image caching API" in told, told
    done = service.run("openstack", "--os-cloud", "admin", "cached", "image", "list", check=False)
    assert done.returncode != 0
    assert b"no cache of images" in done.stderr, done.stderr
