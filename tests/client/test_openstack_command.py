"""The tour of an image through the unmodified `openstack` command."""

import json
import uuid

import pytest

pytestmark = pytest.mark.slow


def create(service, raw_image, *more):
    """Bring an image in; its JSON."""
    return service.json(
        "image", "create", "--disk-format", "raw", "--container-format", "bare",
        "--file", raw_image, *more, f"tour-{uuid.uuid4().hex}",
    )  # fmt: skip


@pytest.fixture
def image(running_service, raw_image):
    """An active image of project demo."""
    made = create(running_service, raw_image)
    yield made["id"]
    running_service.openstack("image", "delete", made["id"], check=False)


def show(service, image_id, cloud="demo"):
    """The image as the command shows it."""
    return service.json("image", "show", image_id, cloud=cloud)


def test_an_image_goes_in_and_comes_out_as_it_was(running_service, raw_image, image, tmp_path):
    shown = show(running_service, image)
    assert shown["status"] == "active"
    assert shown["size"] == raw_image.stat().st_size
    running_service.openstack("image", "save", "--file", tmp_path / "out", image)
    assert (tmp_path / "out").read_bytes() == raw_image.read_bytes()


def test_a_chunked_upload_from_standard_input_is_not_empty(running_service, raw_image):
    name = f"pipe-{uuid.uuid4().hex}"
    with raw_image.open("rb") as file:
        done = running_service.run(
            "openstack", "--os-cloud", "demo", "image", "create", "--disk-format", "raw",
            "--container-format", "bare", "-f", "json", name, stdin=file,
        )  # fmt: skip
    image_id = json.loads(done.stdout)["id"]
    assert show(running_service, image_id)["size"] == raw_image.stat().st_size
    running_service.openstack("image", "delete", image_id)


def test_an_image_is_listed_for_its_project_alone(running_service, image):
    assert image in running_service.openstack("image", "list")
    assert image not in running_service.openstack("image", "list", cloud="other")


def test_attributes_are_set_and_unset(running_service, image):
    running_service.openstack(
        "image", "set", "--property", "colour=red", "--tag", "one", "--min-ram", "64",
        "--name", f"new-{image}", image,
    )  # fmt: skip
    shown = show(running_service, image)
    assert shown["properties"]["colour"] == "red"
    assert shown["tags"] == ["one"]
    assert (shown["min_ram"], shown["name"]) == (64, f"new-{image}")
    running_service.openstack("image", "unset", "--property", "colour", "--tag", "one", image)
    shown = show(running_service, image)
    assert "colour" not in shown["properties"]
    assert shown["tags"] == []


def test_a_deleted_image_is_gone(running_service, raw_image):
    image_id = create(running_service, raw_image)["id"]
    running_service.openstack("image", "delete", image_id)
    done = running_service.run(
        "openstack", "--os-cloud", "demo", "image", "show", image_id, check=False
    )
    assert done.returncode == 1
    assert b"No Image found" in done.stderr


def test_an_image_is_offered_accepted_and_withdrawn(running_service, image):
    project = running_service.openstack(
        "token", "issue", "-f", "value", "-c", "project_id", cloud="other"
    ).strip()
    running_service.openstack("image", "set", "--shared", image)
    running_service.openstack("image", "add", "project", image, project)
    pending = ("image", "list", "--shared", "--member-status", "pending")
    assert image in running_service.openstack(*pending, cloud="other")
    assert image not in running_service.openstack("image", "list", cloud="other")
    running_service.openstack("image", "set", "--accept", image, cloud="other")
    assert image in running_service.openstack("image", "list", cloud="other")
    members = running_service.json("image", "member", "list", image)
    assert [(one["Member ID"], one["Status"]) for one in members] == [(project, "accepted")]
    running_service.openstack("image", "remove", "project", image, project)
    assert running_service.json("image", "member", "list", image) == []
    assert image not in running_service.openstack("image", "list", cloud="other")


def test_a_deactivated_image_cannot_be_saved(running_service, image, tmp_path):
    running_service.openstack("image", "set", "--deactivate", image)
    done = running_service.run(
        "openstack", "--os-cloud", "demo", "image", "save", "--file", tmp_path / "out", image,
        check=False,
    )  # fmt: skip
    assert done.returncode != 0
    running_service.openstack("image", "set", "--activate", image)
    running_service.openstack("image", "save", "--file", tmp_path / "again", image)
