"""Names of the dialect, on the way in and out."""

import datetime
import uuid

import pytest

from imagesvc import errors
from imagesvc.api.glance import image_body, image_view, schema
from imagesvc.backend.store import Stores
from imagesvc.domain import image as image_domain
from imagesvc.domain.image_property import Change
from imagesvc.domain.state import ImageStatus

MOMENT = datetime.datetime(2026, 1, 2, 3, 4, 5, 678_900, tzinfo=datetime.UTC)


def test_a_create_body_becomes_a_new_image():
    image_id = str(uuid.uuid4())
    new = image_body.new_image(
        {
            "id": image_id,
            "name": None,
            "min_disk": 3,
            "os_hidden": True,
            "tags": ["a", "a"],
            "x.y": "",
        }
    )
    assert new == image_domain.NewImage(
        id=image_id, min_disk_gib=3, hidden=True, tags=("a",), properties={"x.y": ""}
    )


@pytest.mark.parametrize(
    "name",
    [
        "status", "size", "virtual_size", "checksum", "os_hash_algo", "os_hash_value",
        "created_at", "updated_at", "self", "file", "schema", "direct_url", "locations", "stores",
        "location", "deleted", "deleted_at", "os_glance_import_task",
    ],
)  # fmt: skip
def test_names_of_the_service_are_forbidden(name):
    with pytest.raises(errors.Forbidden):
        image_body.new_image({name: "x"})


@pytest.mark.parametrize(
    "body",
    [
        {"id": None},
        {"id": "x"},
        {"name": 1},
        {"name": "n" * 256},
        {"visibility": "none"},
        {"visibility": None},
        {"protected": "true"},
        {"os_hidden": 1},
        {"min_ram": -1},
        {"min_ram": True},
        {"min_disk": 2**31},
        {"disk_format": "exe"},
        {"tags": "a"},
        {"tags": ["t" * 256]},
        {"tags": [1]},
        {"x": 1},
        {"x": None},
        {"x": {}},
        {"n" * 256: "x"},
        {"": "x"},
        {"x": "v" * 65536},
    ],
    ids=str,
)
def test_wrong_values_are_refused(body):
    with pytest.raises(errors.InvalidRequest):
        image_body.new_image(body)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (("min_ram",), ("min_ram_mib",)),
        (("checksum",), ("md5",)),
        (("tags",), ("tags",)),
        (("hw_x",), ("properties", "hw_x")),
        (("kind",), ("properties", "kind")),
        (("locations", "-"), ("locations",)),
        (("self",), ("self",)),
    ],
)
def test_patch_paths_are_translated(path, expected):
    assert image_body.translate(Change("add", path, "v")).path == expected


def test_only_locations_have_a_second_step():
    with pytest.raises(errors.InvalidRequest):
        image_body.translate(Change("add", ("tags", "-"), "v"))


def _image(**values):
    return image_domain.Image(
        id="i", owner="p", name="n", status=ImageStatus.QUEUED,
        visibility=image_domain.Visibility.SHARED, created_at=MOMENT, updated_at=MOMENT, **values,
    )  # fmt: skip


def test_a_view_holds_every_base_name_and_flat_properties():
    view = image_view.render(
        _image(os_type="linux", properties={"hw.x": "1", "size": "evil"}), Stores()
    )
    assert view["created_at"] == "2026-01-02T03:04:05Z"
    assert (view["self"], view["file"]) == ("/v2/images/i", "/v2/images/i/file")
    assert (view["hw.x"], view["os_type"], view["size"]) == ("1", "linux", None)
    hidden = {"direct_url", "locations", "stores"}
    assert set(schema.IMAGE_PROPERTIES) - hidden <= set(view)


def test_the_schema_tells_clients_what_they_need():
    image = schema.SCHEMAS["image"]
    assert image["additionalProperties"] == {"type": "string"}
    assert {"raw", "qcow2", "vhd"} <= set(image["properties"]["disk_format"]["enum"])
    assert all("is_base" not in item for item in image["properties"].values())
    assert schema.SCHEMAS["images"]["properties"]["images"]["items"] is image
