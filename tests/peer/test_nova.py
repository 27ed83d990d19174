"""Nova takes the images of its servers from here, and puts their snapshots here."""

import hashlib

import pytest

pytestmark = [pytest.mark.peer, pytest.mark.xdist_group("neighbours"), pytest.mark.timeout(900)]

COMPUTE = ("--os-compute-api-version", "2.37")


@pytest.fixture(scope="module")
def flavor(cloud, nova):
    """A small flavor."""
    cloud.openstack(
        "flavor", "create", "--ram", "64", "--disk", "1", "--vcpus", "1", "tiny", cloud="admin"
    )
    return "tiny"


def upload(cloud, disk, name, *more):
    """An image of the member; its id."""
    return cloud.json(
        "image", "create", "--disk-format", "raw", "--container-format", "bare",
        "--file", disk, *more, name,
    )["id"]  # fmt: skip


def boot(cloud, flavor, image, name):
    """A server of the member that is active."""
    made = cloud.json(
        *COMPUTE, "server", "create", "--image", image, "--flavor", flavor, "--nic", "none",
        "--wait", name,
    )  # fmt: skip
    assert made["status"] == "ACTIVE"
    return made["id"]


def test_a_server_boots_and_its_snapshot_boots_again(cloud, nova, flavor, disk, tmp_path, calls):
    image = upload(cloud, disk, "base", "--property", "os_distro=debian", "--min-disk", "1")
    server = boot(cloud, flavor, image, "first")
    found = nova / f"{server}.raw"
    assert found.read_bytes() == disk.read_bytes()
    changed = b"changed by the guest" + found.read_bytes()[20:]
    found.write_bytes(changed)

    shown = cloud.json("server", "image", "create", "--wait", "--name", "snap", server)
    snapshot = cloud.json("image", "show", shown["id"])
    assert snapshot["status"] == "active"
    assert snapshot["visibility"] == "private"
    assert snapshot["owner"] == cloud.projects["demo"]
    assert (snapshot["disk_format"], snapshot["container_format"]) == ("raw", "bare")
    assert snapshot["min_disk"] == 1
    assert snapshot["size"] == len(changed)
    properties = snapshot["properties"]
    assert properties["os_hash_value"] == hashlib.sha512(changed).hexdigest()
    assert properties["instance_uuid"] == server
    assert properties["base_image_ref"] == image
    assert properties["image_type"] == "snapshot"
    assert properties["image_location"] == "snapshot"
    assert properties["os_distro"] == "debian"
    assert properties["owner_project_name"]
    cloud.openstack("image", "save", "--file", tmp_path / "saved", snapshot["id"])
    assert (tmp_path / "saved").read_bytes() == changed

    again = boot(cloud, flavor, snapshot["id"], "again")
    assert (nova / f"{again}.raw").read_bytes() == changed
    made = calls()
    assert made["PUT", "/v2/images/ID/file", "204"] == 2
    assert made["GET", "/v2/images/ID/file", "200"] == 3


def test_servers_and_images_are_deleted_in_any_order(cloud, nova, flavor, disk, calls):
    image = upload(cloud, disk, "short")
    server = boot(cloud, flavor, image, "short")
    cloud.openstack("image", "delete", image)
    assert (nova / f"{server}.raw").exists()
    cloud.openstack("server", "delete", "--wait", server)
    assert not (nova / f"{server}.raw").exists()


def test_servers_of_one_request_get_the_same_bytes(cloud, nova, flavor, disk, calls):
    image = upload(cloud, disk, "many")
    cloud.openstack(
        *COMPUTE, "server", "create", "--image", image, "--flavor", flavor, "--nic", "none",
        "--min", "4", "--max", "4", "--wait", "many",
    )  # fmt: skip
    made = [one for one in cloud.json("server", "list") if one["Name"].startswith("many-")]
    assert [one["Status"] for one in made] == ["ACTIVE"] * 4
    assert {(nova / f"{one['ID']}.raw").read_bytes() for one in made} == {disk.read_bytes()}


def test_an_image_of_another_project_boots_when_it_was_offered(cloud, nova, flavor, disk, calls):
    image = upload(cloud, disk, "offered", "--shared")
    create = (
        *COMPUTE, "server", "create", "--image", image, "--flavor", flavor, "--nic", "none",
        "--wait", "taken",
    )  # fmt: skip
    assert cloud.run("openstack", "--os-cloud", "other", *create, check=False).returncode != 0
    cloud.openstack("image", "add", "project", image, cloud.projects["other"])
    made = cloud.json(*create, cloud="other")
    assert made["status"] == "ACTIVE"


def test_a_deactivated_image_boots_no_server(cloud, nova, flavor, disk, calls):
    image = upload(cloud, disk, "inactive")
    cloud.openstack("image", "set", "--deactivate", image, cloud="admin")
    refused = cloud.run(
        "openstack", "--os-cloud", "demo", *COMPUTE, "server", "create", "--image", image,
        "--flavor", flavor, "--nic", "none", "never", check=False,
    )  # fmt: skip
    assert b"is not active" in refused.stderr
