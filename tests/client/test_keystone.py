"""The tour of an image through unmodified clients, with tokens and catalog of a real Keystone."""

import io
import uuid

import openstack
import pytest
from glanceclient import Client
from keystoneauth1 import session
from keystoneauth1.identity import v3

from tests.keystone_server import PASSWORD

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("keystone")]


def test_the_openstack_command_makes_shares_shows_and_saves(keystone_service, raw_image, tmp_path):
    service, name = keystone_service, f"tour-{uuid.uuid4().hex}"
    image_id = service.json(
        "image", "create", "--disk-format", "raw", "--container-format", "bare",
        "--file", raw_image, "--shared", name,
    )["id"]  # fmt: skip
    assert image_id in service.openstack("image", "list", cloud="reader")
    assert image_id not in service.openstack("image", "list", cloud="other")
    other = service.projects["other"]
    service.openstack("image", "add", "project", image_id, other)
    service.openstack("image", "set", "--accept", image_id, cloud="other")
    assert image_id in service.openstack("image", "list", cloud="other")
    assert service.json("image", "show", image_id, cloud="other")["status"] == "active"
    service.openstack("image", "save", "--file", tmp_path / "out", image_id, cloud="other")
    assert (tmp_path / "out").read_bytes() == raw_image.read_bytes()
    refused = service.run(
        "openstack", "--os-cloud", "reader", "image", "delete", image_id, check=False
    )
    assert b"403" in refused.stderr
    service.openstack("image", "delete", image_id, cloud="manager")
    assert image_id not in service.openstack("image", "list")


@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_openstacksdk_goes_by_the_catalog(keystone_service, monkeypatch):
    for name, value in keystone_service.environment.items():
        monkeypatch.setenv(name, value)
    with openstack.connect(cloud="demo") as cloud:
        data = b"sdk" * 1000
        image = cloud.image.create_image(
            f"sdk-{uuid.uuid4().hex}", data=data, disk_format="raw", container_format="bare"
        )
        assert cloud.image.get_image(image.id).status == "active"
        assert cloud.image.download_image(image).content == data
        assert image.owner == keystone_service.projects["demo"]
        cloud.image.delete_image(image)


def test_glanceclient_goes_by_the_catalog(keystone_service):
    server, project = keystone_service.keystone, keystone_service.projects["demo"]
    user = server.user(project, "member")
    auth = v3.Password(
        server.url, username=user, password=PASSWORD, user_domain_id="default", project_id=project
    )
    glance = Client("2", session=session.Session(auth=auth))
    image = glance.images.create(name="glance", disk_format="raw", container_format="bare")
    glance.images.upload(image.id, io.BytesIO(b"x" * 5000))
    assert b"".join(glance.images.data(image.id)) == b"x" * 5000
    assert image.id in [each.id for each in glance.images.list()]
    glance.images.delete(image.id)


def test_config_check_says_what_keystone_says(keystone_service, tmp_path):
    text = (keystone_service.folder / "imagesvc.conf").read_text()
    conf = tmp_path / "imagesvc.conf"
    found = {}
    for password in (PASSWORD, "wrong"):
        conf.write_text(text.replace(PASSWORD, password))
        done = keystone_service.run(
            "imagesvc-manage", "--config-file", conf, "config", "check", check=False
        )
        lines = done.stdout.decode().splitlines()
        found[password] = next(line for line in lines if "backend identity:keystone" in line)
    assert found[PASSWORD].startswith("ok"), found
    assert found["wrong"].startswith("failed")
    assert "refuses the service's own credentials (imagesvc)" in found["wrong"]
