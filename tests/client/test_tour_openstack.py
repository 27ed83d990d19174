"""Every image command of the unmodified `openstack`, on Keystone, PostgreSQL and S3."""

import hashlib
import importlib.metadata
import uuid

import pytest

from tests import poll
from tests.client.conftest import terminal

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("keystone")]
# What cannot be said here, and why.
WITHOUT = {}
RAN = set()


@pytest.fixture
def say(keystone_service):
    """An image command as `demo`, or another cloud; its text."""

    def run(*args, cloud="demo", check=True):
        RAN.add(args)
        return keystone_service.openstack(*args, cloud=cloud, check=check)

    return run


@pytest.fixture
def ask(keystone_service):
    """The same with its answer read."""

    def run(*args, cloud="demo"):
        RAN.add(args)
        return keystone_service.json(*args, cloud=cloud)

    return run


@pytest.fixture
def refused(keystone_service):
    """The same; it must fail. What it says."""

    def run(*args, cloud="demo"):
        RAN.add(args)
        done = keystone_service.run("openstack", "--os-cloud", cloud, *args, check=False)
        assert done.returncode == 1, (done.stdout, done.stderr)
        return done.stderr.decode()

    return run


@pytest.fixture
def queued(keystone_service):
    """The id of a new image without bytes: the command reads its input unless that is a terminal."""

    def run(*more):
        with terminal() as stdin:
            made = keystone_service.run(
                "openstack", "--os-cloud", "demo", "image", "create", "--container-format", "bare",
                "--disk-format", "raw", "-f", "value", "-c", "id", *more,
                f"tour-{uuid.uuid4().hex}", stdin=stdin,
            )  # fmt: skip
        return made.stdout.decode().strip()

    return run


def create(ask, *more, cloud="demo"):
    """An image of a name of its own, as JSON."""
    kind = ("--disk-format", "raw", "--container-format", "bare")
    return ask("image", "create", *kind, *more, f"tour-{uuid.uuid4().hex}", cloud=cloud)


def test_an_image_is_made_shown_listed_changed_and_saved(say, ask, refused, file, data, tmp_path):
    made = create(ask, "--file", file, "--property", "hw_disk_bus=virtio", "--tag", "one")
    image_id = made["id"]
    assert (made["status"], made["size"]) == ("active", len(data))
    assert made["properties"]["os_hash_value"] == hashlib.sha512(data).hexdigest()
    assert image_id in {row["ID"] for row in ask("image", "list", "--long", "--tag", "one")}
    say(
        "image", "set", image_id, "--name", "changed", "--tag", "two", "--min-ram", "64",
        "--property", "colour=red", "--os-distro", "debian", "--protected",
    )  # fmt: skip
    say("image", "unset", "--tag", "one", "--property", "colour", image_id)
    shown = ask("image", "show", image_id)
    assert (shown["name"], shown["tags"], shown["min_ram"]) == ("changed", ["two"], 64)
    assert "colour" not in shown["properties"]
    assert shown["properties"]["os_distro"] == "debian"
    assert "protected" in refused("image", "delete", image_id)
    say("image", "set", "--unprotected", "--hidden", image_id)
    assert image_id not in say("image", "list")
    assert image_id in say("image", "list", "--hidden")
    say("image", "save", "--file", tmp_path / "out", image_id)
    assert (tmp_path / "out").read_bytes() == data
    say("image", "set", "--deactivate", image_id, cloud="admin")
    refused("image", "save", "--file", tmp_path / "no", image_id)
    say("image", "set", "--activate", image_id, cloud="admin")
    say("image", "delete", image_id)
    assert "No Image found" in refused("image", "show", image_id)


def test_an_image_is_shared(keystone_service, say, ask, queued):
    image_id, other = queued("--shared"), keystone_service.projects["other"]
    say("image", "add", "project", image_id, other)
    (member,) = ask("image", "member", "list", image_id)
    assert (member["Member ID"], member["Status"]) == (other, "pending")
    assert image_id not in say("image", "list", cloud="other")
    for word, status in (("--accept", "accepted"), ("--reject", "rejected")):
        say("image", "set", word, image_id, cloud="other")
        assert ask("image", "member", "get", image_id, other)["status"] == status
    say("image", "remove", "project", image_id, other)
    assert ask("image", "member", "list", image_id) == []
    say("image", "delete", image_id)


def test_an_image_is_imported_in_every_way(
    keystone_service, say, ask, queued, file, data, tmp_path
):
    assert "glance-direct" in str(ask("image", "import", "info"))
    assert {row["ID"] for row in ask("image", "stores", "list", "--detail", cloud="admin")} == {
        "main", "near",
    }  # fmt: skip
    staged = queued()
    say("image", "stage", "--file", file, staged)
    say("image", "import", staged, "--method", "glance-direct", "--wait")
    # The command takes `--wait`, and does not wait.
    poll.until(lambda: ask("image", "show", staged)["properties"].get("stores") == "main", 60)
    say(
        "image", "import", staged, "--method", "copy-image", "--store", "near", "--wait",
        cloud="admin",
    )  # fmt: skip
    poll.until(lambda: ask("image", "show", staged)["properties"].get("stores") == "main,near", 60)
    fetched = queued()
    name = f"{uuid.uuid4().hex}.raw"
    (keystone_service.web_root / name).write_bytes(data)
    uri = f"{keystone_service.web_url}/{name}"
    say(
        "image", "import", fetched, "--method", "web-download", "--uri", uri, "--all-stores",
        "--disallow-failure", "--wait",
    )  # fmt: skip
    both = ask("image", "create", "--import", "--file", file, "--disk-format", "raw", "by-import")
    for image_id in (fetched, both["id"]):
        poll.until(lambda id=image_id: ask("image", "show", id)["status"] == "active", 60)
        say("image", "save", "--file", tmp_path / image_id, image_id)
        assert (tmp_path / image_id).read_bytes() == data
    tasks = ask("image", "task", "list", cloud="admin")
    assert {task["Status"] for task in tasks} >= {"success"}
    shown = ask("image", "task", "show", tasks[0]["ID"], cloud="admin")
    assert shown["id"] == tasks[0]["ID"]
    say("image", "delete", staged, fetched, both["id"])


def test_there_is_no_cache_and_that_is_said(say, ask, refused, file):
    image_id = create(ask, "--file", file)["id"]
    for words in (("list",), ("queue", image_id), ("clear",)):
        assert refused("cached", "image", *words, cloud="admin")
    # The client takes what is not there for deleted.
    say("cached", "image", "delete", image_id, cloud="admin")


def test_no_command_was_left_out():
    """Those for metadata definitions are in test_metadef_command.py."""
    commands = {
        entry.name.replace("_", " ")
        for entry in importlib.metadata.entry_points(group="openstack.image.v2")
    }
    said = {" ".join(map(str, args)) for args in RAN}
    missing = {
        command
        for command in commands
        if not command.startswith("image metadef")
        and not any(f"{words} ".startswith(f"{command} ") for words in said)
    }
    assert missing == set(WITHOUT)
