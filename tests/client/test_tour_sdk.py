"""Every image call of the unmodified openstacksdk, on Keystone, PostgreSQL and S3."""

import gc
import hashlib
import io
import uuid

import openstack
import pytest
from openstack import exceptions
from openstack.image.v2._proxy import Proxy

from tests import poll

pytestmark = [
    pytest.mark.slow,
    pytest.mark.xdist_group("keystone"),
    pytest.mark.filterwarnings("ignore::PendingDeprecationWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]
CALLED = set()
KIND = {"disk_format": "raw", "container_format": "bare"}
# What is the client's own, not a call of the image API.
OWN = {
    "get_all_version_data", "get_api_major_version", "get_endpoint", "get_endpoint_data",
    "get_project_id", "get_token", "get_user_id", "invalidate", "register_argparse_arguments",
    "register_service_argparse_arguments", "should_skip_resource_cleanup", "request",
    "get", "head", "patch", "post", "put", "delete",
}  # fmt: skip


@pytest.fixture(scope="module")
def clouds(keystone_service):
    """Connections by name; each call of the image proxy is noted."""
    opened = {}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in keystone_service.environment.items():
            patch.setenv(name, value)
        for name in CALLS:
            patch.setattr(Proxy, name, noted(name))
        for name in ("admin", "demo", "other"):
            opened[name] = openstack.connect(cloud=name)
        yield opened
        for cloud in opened.values():
            cloud.close()
    gc.collect()


def calls():
    """Names of the image API's calls."""
    return {
        name
        for name in dir(Proxy)
        if not name.startswith("_") and name not in OWN and callable(getattr(Proxy, name))
    }


def noted(name):
    real = getattr(Proxy, name)

    def call(*args, **kwargs):
        CALLED.add(name)
        return real(*args, **kwargs)

    return call


CALLS = calls()


@pytest.fixture
def demo(clouds):
    return clouds["demo"].image


@pytest.fixture
def admin(clouds):
    return clouds["admin"].image


def name():
    return f"sdk-{uuid.uuid4().hex}"


def refused(call, *args, **kwargs):
    """The status of a call that must fail."""
    with pytest.raises(exceptions.HttpException) as caught:
        call(*args, **kwargs)
    return caught.value.response.status_code


def test_an_image_goes_in_and_out(demo, admin, data):
    image = demo.create_image(name(), data=data, wait=True, **KIND)
    assert demo.get_image(image).hash_value == hashlib.sha512(data).hexdigest()
    assert demo.download_image(image).content == data
    assert demo.find_image(image.name).id == image.id
    assert image.id in {each.id for each in demo.images(name=image.name)}
    demo.update_image(image, min_ram=64)
    demo.update_image_properties(image=demo.get_image(image), colour="red")
    demo.add_tag(image, "one")
    found = demo.get_image(image)
    assert (found.min_ram, found.properties["colour"], found.tags) == (64, "red", ["one"])
    demo.remove_tag(image, "one")
    admin.deactivate_image(image)
    with pytest.raises(exceptions.InvalidResponse):  # the client hashes what the 403 says
        demo.download_image(image)
    admin.reactivate_image(image)
    demo.delete_image(image)
    demo.wait_for_delete(image)
    queued = demo.create_image(name(), **KIND)
    queued.data = data
    demo.upload_image(data=data, name=name(), **KIND)
    demo.delete_image(queued)


def test_an_image_is_shared(demo, clouds, keystone_service):
    image, other = demo.create_image(name(), visibility="shared", **KIND), clouds["other"].image
    project = keystone_service.projects["other"]
    demo.add_member(image, member_id=project)
    assert [member.member_id for member in demo.members(image)] == [project]
    other.update_member(project, image, status="accepted")
    assert demo.get_member(project, image).status == "accepted"
    assert demo.find_member(project, image).id == project
    demo.remove_member(project, image)
    assert list(demo.members(image)) == []
    demo.delete_image(image)


def test_imports_stores_tasks_and_locations(demo, admin, data, keystone_service):
    assert "glance-direct" in str(demo.get_import_info().import_methods)
    assert {store.id for store in demo.stores(details=False)} == {"main", "near"}
    image = demo.create_image(name(), **KIND)
    image.data = io.BytesIO(data)
    demo.stage_image(image, data=io.BytesIO(data))
    demo.import_image(image, method="glance-direct", all_stores=True)
    demo.wait_for_status(image, "active", interval=0.2, wait=60)
    assert demo.download_image(image).content == data
    assert [task.status for task in demo.image_tasks(image)] == ["success"]
    source = f"{uuid.uuid4().hex}.raw"
    (keystone_service.web_root / source).write_bytes(data)
    url = f"{keystone_service.web_url}/{source}"
    order = {"import_from": url, "import_from_format": "raw"}
    order["image_properties"] = {"name": name(), **KIND}
    task = admin.create_task(type="import", input=order)
    admin.wait_for_task(task, interval=0.2, wait=60)
    assert admin.get_task(task).status == "success"
    assert task.id in {each.id for each in admin.tasks()}
    placed = admin.create_image(name(), **KIND)
    admin.add_image_location(placed, url)
    poll.until(lambda: admin.get_image(placed).status == "active", 60)
    assert [each.url for each in admin.image_locations(placed)]
    for each in (image, placed):
        admin.delete_image(each)


def test_metadata_definitions(admin):
    space = f"Own::{uuid.uuid4().hex}"
    made = admin.create_metadef_namespace(namespace=space, visibility="public")
    admin.update_metadef_namespace(made, display_name="Own")
    assert admin.get_metadef_namespace(space).display_name == "Own"
    assert space in {each.namespace for each in admin.metadef_namespaces()}
    thing = admin.create_metadef_object(space, name="box", properties={})
    admin.update_metadef_object(thing, space, name="box", description="A box")
    assert admin.get_metadef_object(thing, space).description == "A box"
    assert [each.name for each in admin.metadef_objects(space)] == ["box"]
    admin.delete_metadef_object(thing, space)
    admin.delete_all_metadef_objects(space)
    value = admin.create_metadef_property(space, name="hue", title="Hue", type="string")
    admin.update_metadef_property(value, space, name="hue", title="Colour", type="string")
    assert admin.get_metadef_property(value, space).title == "Colour"
    assert [each.name for each in admin.metadef_properties(space)] == ["hue"]
    admin.delete_metadef_property(value, space)
    admin.delete_all_metadef_properties(space)
    assert "OS::Nova::Server" in {each.name for each in admin.metadef_resource_types()}
    kind = admin.create_metadef_resource_type_association(space, name="OS::Nova::Server")
    listed = admin.metadef_resource_type_associations(space)
    assert [each.name for each in listed] == ["OS::Nova::Server"]
    admin.delete_metadef_resource_type_association(kind, space)
    admin.add_tag_to_metadef_namespace(made, "one")
    admin.remove_tag_from_metadef_namespace(made, "one")
    admin.remove_tags_from_metadef_namespace(made)
    admin.delete_metadef_namespace(made)
    assert refused(admin.get_metadef_namespace, space) == 404


def test_schemas(demo):
    for call in sorted(name for name in CALLS if name.startswith("get_") and "schema" in name):
        assert getattr(demo, call)().properties, call


def test_there_is_no_cache_and_that_is_said(admin, demo):
    image = demo.create_image(name(), **KIND)
    for call, *args in (
        (admin.get_image_cache,), (admin.queue_image, image), (admin.clear_cache,),
        (admin.clean_cache,), (admin.prune_cache,), (admin.cached_image_nodes, image),
    ):  # fmt: skip
        assert refused(call, *args) in (404, 405)
    admin.cache_delete_image(image)  # what is missing is deleted, says the client
    demo.delete_image(image)


def test_no_call_was_left_out():
    assert not CALLS - CALLED
