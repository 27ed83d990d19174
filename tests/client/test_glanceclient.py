"""The tour of an image through python-glanceclient, which sends every upload chunked."""

import io
import json
import uuid

import pytest
from glanceclient import exc
from glanceclient.v2 import client as glance
from keystoneauth1 import session
from keystoneauth1.identity import v3

pytestmark = pytest.mark.slow


def connect(service, name):
    """A client of one project."""
    auth = v3.Password(
        f"http://127.0.0.1:{service.port}/v3", username=name, password=f"pw-{name}",
        user_domain_id="default", project_name=name, project_domain_id="default",
    )  # fmt: skip
    found = session.Session(auth=auth)
    return glance.Client(session=found), found


@pytest.fixture
def demo(running_service):
    """Project demo."""
    client, found = connect(running_service, "demo")
    yield client
    found.session.close()


@pytest.fixture
def other(running_service):
    """Project other, and its id."""
    client, found = connect(running_service, "other")
    yield client, found.get_project_id()
    found.session.close()


def create(demo, data):
    """An active image."""
    image = demo.images.create(
        name=f"g-{uuid.uuid4().hex}", disk_format="raw", container_format="bare"
    )
    demo.images.upload(image.id, io.BytesIO(data))
    return image.id


def test_a_chunked_upload_comes_back_byte_for_byte(demo, raw_image):
    data = raw_image.read_bytes()
    image_id = create(demo, data)
    image = demo.images.get(image_id)
    assert (image.status, image.size) == ("active", len(data))
    assert b"".join(demo.images.data(image_id)) == data
    demo.images.delete(image_id)


def test_the_tour_of_attributes_tags_and_lists(demo):
    image_id = create(demo, b"x" * 4096)
    demo.images.update(image_id, colour="red", name="renamed")
    demo.image_tags.update(image_id, "one")
    image = demo.images.get(image_id)
    assert (image.colour, image.name, image.tags) == ("red", "renamed", ["one"])
    demo.images.update(image_id, remove_props=["colour"])
    demo.image_tags.delete(image_id, "one")
    assert "colour" not in demo.images.get(image_id)
    assert image_id in [one.id for one in demo.images.list(filters={"status": "active"})]
    demo.images.delete(image_id)
    with pytest.raises(exc.HTTPNotFound):
        demo.images.get(image_id)


def test_sharing_goes_through_pending_to_accepted(demo, other):
    theirs, project = other
    image_id = create(demo, b"x" * 512)
    demo.image_members.create(image_id, project)
    assert [one.status for one in theirs.image_members.list(image_id)] == ["pending"]
    theirs.image_members.update(image_id, project, "accepted")
    assert image_id in [one.id for one in theirs.images.list()]
    demo.image_members.delete(image_id, project)
    with pytest.raises(exc.HTTPNotFound):
        theirs.images.get(image_id)
    demo.images.delete(image_id)


def test_deactivation_and_back(demo):
    image_id = create(demo, b"x" * 512)
    demo.images.deactivate(image_id)
    assert demo.images.get(image_id).status == "deactivated"
    demo.images.reactivate(image_id)
    assert demo.images.get(image_id).status == "active"
    demo.images.delete(image_id)


def test_the_schemas_are_there(demo):
    schema = demo.schemas.get("image")
    assert {"id", "name", "status"} <= set(json.loads(json.dumps(schema.raw()))["properties"])
