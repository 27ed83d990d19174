"""Every command of the unmodified `glance`, on Keystone, PostgreSQL and S3."""

import json
import uuid

import glanceclient.v2.shell
import pytest

from tests import poll

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("keystone")]
RAN = set()
KIND = ("--disk-format", "raw", "--container-format", "bare")


@pytest.fixture
def glance(keystone_service):
    """A command as `demo`, or another cloud's user; what it prints."""

    def run(*args, user="demo", code=0):
        RAN.add(args[0])
        done = keystone_service.glance(*args, cloud=user, check=False)
        assert code in (None, done.returncode), (args, done.stdout, done.stderr)
        return done.stdout.decode() + done.stderr.decode()

    return run


def table(text):
    """Names and values of a table of two columns."""
    rows = [line.strip("|").split("|", 1) for line in text.splitlines() if line.startswith("|")]
    return {name.strip(): value.strip() for name, value in rows}


def create(glance, *more, user="demo"):
    """A new image's id."""
    name = f"glance-{uuid.uuid4().hex}"
    return table(glance("image-create", *KIND, "--name", name, *more, user=user))["id"]


def status_is(glance, image_id, wanted):
    poll.until(lambda: table(glance("image-show", image_id))["status"] == wanted, 60)


def test_bytes_go_in_and_out(glance, file, data, tmp_path):
    image_id = create(glance)
    glance("image-upload", image_id, "--file", str(file))
    assert table(glance("image-show", image_id))["status"] == "active"
    glance("image-download", image_id, "--file", str(tmp_path / "out"))
    assert (tmp_path / "out").read_bytes() == data
    glance("image-deactivate", image_id, user="admin")
    glance("image-download", image_id, "--file", str(tmp_path / "no"), code=1)
    glance("image-reactivate", image_id, user="admin")
    glance("image-delete", image_id)
    glance("image-show", image_id, code=1)


def test_attributes_tags_and_members(keystone_service, glance):
    image_id, other = create(glance), keystone_service.projects["other"]
    glance("image-update", image_id, "--name", "again", "--property", "colour=red")
    glance("image-update", image_id, "--visibility", "shared")
    glance("image-tag-update", image_id, "one")
    shown = table(glance("image-show", image_id))
    assert (shown["name"], shown["colour"], shown["tags"]) == ("again", "red", '["one"]')
    glance("image-tag-delete", image_id, "one")
    assert image_id in glance("image-list", "--property-filter", "colour=red")
    glance("member-create", image_id, other)
    assert "pending" in glance("member-list", "--image-id", image_id)
    glance("member-update", image_id, other, "accepted", user="other")
    assert "accepted" in glance("member-get", image_id, other)
    glance("member-delete", image_id, other)
    assert other not in glance("member-list", "--image-id", image_id)
    assert "stored_bytes" not in glance("usage")
    glance("image-delete", image_id)
    assert "colour" not in glance("explain", "image")


def test_imports_stores_and_tasks(keystone_service, glance, file, data):
    assert "web-download" in glance("import-info")
    assert "near" in glance("stores-info", "--detail", user="admin")
    image_id = create(glance)
    glance("image-stage", image_id, "--file", str(file))
    glance("image-import", image_id, "--import-method", "glance-direct", "--stores", "main,near")
    poll.until(lambda: table(glance("image-show", image_id)).get("stores") == "main,near", 60)
    glance("stores-delete", "--store", "near", image_id, user="admin")
    assert table(glance("image-show", image_id))["stores"] == "main"
    assert "success" in glance("image-tasks", image_id)
    via = table(
        glance("image-create-via-import", *KIND, "--name", "via", "--file", str(file))
    )["id"]  # fmt: skip
    status_is(glance, via, "active")
    name = f"{uuid.uuid4().hex}.raw"
    (keystone_service.web_root / name).write_bytes(data)
    order = {
        "import_from": f"{keystone_service.web_url}/{name}",
        "import_from_format": "raw",
        "image_properties": {
            "name": "by-task", "disk_format": "raw", "container_format": "bare",
        },
    }  # fmt: skip
    task = glance("task-create", "--type", "import", "--input", json.dumps(order), user="admin")
    task_id = table(task)["id"]
    poll.until(
        lambda: table(glance("task-show", task_id, user="admin"))["status"] == "success", 60
    )  # fmt: skip
    assert task_id in glance("task-list", user="admin")
    glance("image-delete", image_id, via)


def test_locations(keystone_service, glance, data):
    urls = []
    for _ in range(2):
        name = f"{uuid.uuid4().hex}.raw"
        (keystone_service.web_root / name).write_bytes(data)
        urls.append(f"{keystone_service.web_url}/{name}")
    image_id = create(glance)
    glance("location-add", image_id, "--url", urls[0], user="admin")
    status_is(glance, image_id, "active")
    glance("location-add", image_id, "--url", urls[1], user="admin")

    def places():
        shown = keystone_service.json("image", "show", image_id, cloud="admin")
        return [place["url"] for place in shown["properties"]["locations"]]

    poll.until(lambda: len(places()) == 2, 60)
    first, second = places()
    glance("location-update", image_id, "--url", second, user="admin")
    assert places() == [first, second]
    glance("location-delete", image_id, "--url", second, user="admin")
    assert places() == [first]
    glance("image-delete", image_id)
    image_id = create(glance, user="admin")
    glance("add-location", image_id, "--url", urls[0], user="admin")
    poll.until(
        lambda: table(glance("image-show", image_id, user="admin"))["status"] == "active", 60
    )  # fmt: skip
    glance("image-delete", image_id, user="admin")


def test_there_is_no_cache_and_that_is_said(glance):
    image_id = create(glance)
    # Of some commands the client takes a failure for an end like another.
    for word in ("cache-list", "cache-clear", "cache-clean", "cache-prune"):
        assert "does not support" in glance(word, user="admin", code=None)
    for word in ("cache-queue", "cache-delete", "cache-nodes-list"):
        assert "does not support" in glance(word, image_id, user="admin", code=None)


def test_no_command_was_left_out():
    """Those for metadata definitions are in test_metadef_command.py."""
    commands = {
        name[3:].replace("_", "-") for name in dir(glanceclient.v2.shell) if name.startswith("do_")
    }
    assert {name for name in commands if not name.startswith("md-")} - RAN == set()
