"""The tour of an image through openstacksdk."""

import gc
import hashlib
import uuid

import openstack
import pytest
from openstack import exceptions

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::PendingDeprecationWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]


def connect(service, name):
    """A connection of one project."""
    return openstack.connect(
        auth_type="v3password",
        auth={
            "auth_url": f"http://127.0.0.1:{service.port}/v3",
            "username": name,
            "password": f"pw-{name}",
            "user_domain_id": "default",
            "project_name": name,
            "project_domain_id": "default",
        },
        region_name="RegionOne",
        load_yaml_config=False,
        load_envvars=False,
    )


@pytest.fixture
def demo(running_service):
    """Project demo."""
    with connect(running_service, "demo") as found:
        yield found


@pytest.fixture
def other(running_service):
    """Project other."""
    with connect(running_service, "other") as found:
        yield found


@pytest.fixture
def image(demo, raw_image):
    """An active image, uploaded with its length."""
    made = demo.image.create_image(
        f"sdk-{uuid.uuid4().hex}", filename=str(raw_image), disk_format="raw",
        container_format="bare", wait=True,
    )  # fmt: skip
    gc.collect()  # openstacksdk leaves the file that it read open
    yield made
    demo.image.delete_image(made.id)


def test_an_image_goes_in_and_comes_out_as_it_was(demo, image, raw_image):
    found = demo.image.get_image(image.id)
    assert found.status == "active"
    assert found.hash_value == hashlib.sha512(raw_image.read_bytes()).hexdigest()
    assert demo.image.download_image(found).content == raw_image.read_bytes()


def test_an_image_is_found_by_name(demo, image):
    assert demo.image.find_image(image.name).id == image.id
    assert image.id in [one.id for one in demo.image.images(status="active")]


def test_attributes_and_tags(demo, image):
    demo.image.update_image(image.id, colour="red", min_ram=64)
    demo.image.add_tag(image.id, "one")
    found = demo.image.get_image(image.id)
    assert (found.properties["colour"], found.min_ram, found.tags) == ("red", 64, ["one"])
    demo.image.remove_tag(image.id, "one")
    assert demo.image.get_image(image.id).tags == []


def test_members(demo, other, image):
    project = other.current_project_id
    demo.image.update_image(image.id, visibility="shared")
    demo.image.add_member(image.id, member_id=project)
    assert [one.status for one in demo.image.members(image.id)] == ["pending"]
    other.image.update_member(project, image.id, status="accepted")
    assert image.id in [one.id for one in other.image.images()]
    demo.image.remove_member(project, image.id)
    with pytest.raises(exceptions.NotFoundException):
        other.image.get_image(image.id)
