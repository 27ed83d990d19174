"""Images made of other images, in one store and from one to another, on both engines."""

import gzip
import hashlib
import random

import pytest
import sqlalchemy as sa

from imagesvc.db import damage, image_disk, image_table, location
from imagesvc.domain import storage_key
from imagesvc.domain.image import ImageDisk
from imagesvc.manager import data_key, quota_verify, store_verify
from imagesvc.worker import duplicate, reaper
from imagesvc.worker.step import copy as step
from tests import ova
from tests.api import permission_matrix
from tests.api.caller import Caller
from tests.api.glance.conftest import Several
from tests.api.glance.test_permission_matrix import World
from tests.api.native.test_native import refused
from tests.api.permission_matrix import Outcome

ROOT = "/imagesvc/v1"
DATA = random.Random(7).randbytes(1_300_000)
OTHER = random.Random(8).randbytes(1_100_000)
STORES = ("plain", "fast", "archive")


class Place:
    """A service on several stores, and the project that copies."""

    def __init__(self, folder, url):
        self.several = Several(folder, url, "[worker]\nretry_s = 0\n")
        self.service = self.several.service
        self.owner = Caller(self.several.app)

    def copy(self, image_id, *, caller=None, work=True, headers=None, **values):
        """Copy; the answer, or the new image and the job after the worker's work."""
        caller = caller or self.owner
        body = {"name": "copy", **values}
        found = caller.request("POST", f"{ROOT}/images/{image_id}/copy", body, headers=headers)
        if not work:
            return found
        assert found.status_code == 202, found.text
        self.several.work()
        return self.done(found, caller)

    def done(self, found, caller=None):
        """The image and the job of an answer, as they are now."""
        caller = caller or self.owner
        image = caller.get(f"/v2/images/{found.json['image_id']}").json
        return image, caller.get(f"{ROOT}/jobs/{found.json['job']['id']}").json["job"]

    def failed(self, image, job, *words, state="failed"):
        """The job ended with this cause, its image is killed and has no bytes anywhere."""
        assert (job["state"], image["status"]) == (state, "killed"), job
        assert all(word in job["cause"] for word in words), job["cause"]
        reaper.run(self.service)
        assert not [key for s in STORES for key in self.several.keys(s) if image["id"] in key]

    def disks(self, image_id):
        """Its disks."""
        with self.service.database.read() as conn:
            return image_disk.list_for(conn, image_id)

    def place(self, image_id, disk=0):
        """Where a disk lies first: store, key."""
        return self.disks(image_id)[disk].locations[0]

    def rot(self, image_id, store="plain"):
        """Flip a bit of the image's bytes in a store."""
        key = dict(self.disks(image_id)[0].locations)[store]
        path = self.service.backends.storage(store).path(key)
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.chmod(0o600)
        path.write_bytes(data)

    def also_in(self, image_id, store, data=DATA):
        """Lay the image's bytes into a further store."""
        key = f"{image_id}/{store}"
        with self.service.backends.storage(store).open_write(key) as writer:
            writer.write(data)
            writer.commit()
        with self.service.database.write() as conn:
            location.add(conn, image_id, 0, store, key)

    def machine(self, *disks):
        """An image of a whole machine."""
        ids = [self.owner.active(data) for data in disks]
        with self.service.database.write() as conn:
            for number, other in enumerate(ids[1:], 1):
                (found,) = image_disk.list_for(conn, other)
                values = {name: getattr(found, name) for name in ImageDisk.__slots__}
                values |= {"index": number, "role": "data"}
                image_disk.delete_for(conn, other)
                image_disk.insert_disk(conn, ids[0], ImageDisk(**values))
            table = image_table.TABLE
            whole = sa.update(table).where(table.c.id == ids[0]).values(kind="whole-machine")
            conn.execute(whole)
        for other in ids[1:]:
            assert self.owner.request("DELETE", f"/v2/images/{other}").status_code == 204
        return ids[0]

    def bytes_of(self, image_id, disk=0):
        """What a download of a disk gives."""
        return self.owner.get(f"{ROOT}/images/{image_id}/disk/{disk}/file").content

    def stored(self):
        """Images and stored bytes of the owner: (used, reserved) each."""
        found = self.owner.get(f"{ROOT}/quota/{self.owner.project}").json["quota"]
        return [(found[one]["used"], found[one]["reserved"]) for one in ("images", "stored_bytes")]

    def close(self):
        """Nothing may be left over; end."""
        self.several.work()
        reaper.run(self.service)
        self.several.close()


@pytest.fixture(scope="module")
def built_place(tmp_path_factory):
    """One on SQLite, for what no engine sees."""
    folder = tmp_path_factory.mktemp("copy")
    made = Place(folder, f"sqlite:///{folder}/imagesvc.sqlite")
    yield made
    made.close()


@pytest.fixture(scope="module")
def other_place(tmp_path_factory, postgresql_server, postgresql_template):
    """One on PostgreSQL."""
    url = postgresql_server.create(postgresql_template)
    made = Place(tmp_path_factory.mktemp("copy"), url)
    yield made
    made.close()
    postgresql_server.drop(url)


def alone(built):
    """The same with a project of the test's own; no counter is wrong afterwards."""
    built.owner = Caller(built.several.app)
    yield built
    built.several.work()
    reaper.run(built.service)
    assert quota_verify.verify(built.service.database) == ()


@pytest.fixture
def place(built_place):
    """On SQLite."""
    yield from alone(built_place)


@pytest.fixture(params=["built_place", "other_place"], ids=["sqlite", "postgresql"])
def each_place(request):
    """On each engine."""
    yield from alone(request.getfixturevalue(request.param))


def whole(place):
    """Rows and bytes agree."""
    found = store_verify.verify(place.service.database, place.service.backends, older_than_s=0)
    assert found.findings == []


def test_a_copy_is_private_and_its_callers_with_all_that_is_said_of_the_bytes(each_place):
    other = Caller(each_place.several.app)
    image_id = other.active(
        DATA, name="source", tags=["b", "a"], min_disk=3, min_ram=512, os_type="linux",
        os_version="12", architecture="x86_64", hw_x="y", description="of old", protected=True,
        os_hidden=True, visibility="community", imagesvc_mark="a driver's",
        cinder_encryption_key_deletion_policy="on_image_deletion",
    )  # fmt: skip
    image, job = each_place.copy(image_id)
    assert (job["state"], job["type"], job["cause"]) == ("done", "copy", None)
    assert job["result"] == {"image_id": image["id"], "source_image_id": image_id}
    assert (image["status"], image["name"], image["owner"]) == (
        "active", "copy", each_place.owner.project,
    )  # fmt: skip
    assert (image["visibility"], image["protected"], image["os_hidden"]) == (
        "private", False, False,
    )  # fmt: skip
    source = other.get(f"/v2/images/{image_id}").json
    kept = (
        "tags", "min_disk", "min_ram", "os_type", "os_version", "architecture", "hw_x",
        "description", "size", "virtual_size", "checksum", "os_hash_algo", "os_hash_value",
        "disk_format", "container_format",
    )  # fmt: skip
    assert {name: image[name] for name in kept} == {name: source[name] for name in kept}
    assert not {"imagesvc_mark", "cinder_encryption_key_deletion_policy"} & set(image)
    assert not [name for name in image if name.startswith("os_glance")]
    assert each_place.bytes_of(image["id"]) == DATA
    assert each_place.stored() == [(1, 0), (len(DATA), 0)]
    whole(each_place)


def test_a_copy_does_without_its_source(place):
    image_id = place.owner.active(DATA)
    image, _ = place.copy(image_id, description="of its own")
    assert image["description"] == "of its own"
    assert place.owner.request("DELETE", f"/v2/images/{image_id}").status_code == 204
    reaper.run(place.service)
    assert place.bytes_of(image["id"]) == DATA
    assert place.stored() == [(1, 0), (len(DATA), 0)]


def test_the_trail_tells_the_owner_of_the_copying_and_not_of_the_copy(place):
    other = Caller(place.several.app)
    image_id = other.active(DATA, visibility="community")
    image, job = place.copy(image_id)
    seen = other.get(f"{ROOT}/audit", query_string=f"target_id={image_id}")
    assert "image:copy" in [one["action"] for one in seen.json["events"]]
    assert image["id"] not in other.get(f"{ROOT}/audit").text
    own = place.owner.get(f"{ROOT}/audit", query_string=f"target_id={image['id']}").json["events"]
    assert [one["action"] for one in own] == ["image:complete_copy", "image:create"]
    assert {one["detail"]["source_image_id"] for one in own} == {image_id}
    assert {one["detail"]["job_id"] for one in own} == {job["id"]}


def test_an_administrator_copies_what_members_of_its_project_do_not_see(place):
    image_id = Caller(place.several.app).active(DATA, visibility="private")
    refused(place.copy(image_id, work=False), 404, "image-not-found")
    admin = Caller(place.several.app, place.owner.project, "admin", "member")
    image, job = place.copy(image_id, caller=admin)
    assert (job["cause"], image["owner"]) == (None, place.owner.project)


def test_all_disks_of_a_machine_are_copied(each_place):
    image_id = each_place.machine(DATA, OTHER)
    image, job = each_place.copy(image_id)
    assert job["cause"] is None
    shown = each_place.owner.get(f"{ROOT}/images/{image['id']}").json["image"]
    assert shown["kind"] == "whole-machine"
    assert [(one["index"], one["role"]) for one in shown["disks"]] == [(0, "system"), (1, "data")]
    assert [each_place.bytes_of(image["id"], number) for number in (0, 1)] == [DATA, OTHER]
    assert job["steps"][0]["done_bytes"] == len(DATA) + len(OTHER)
    assert each_place.stored()[1] == (2 * (len(DATA) + len(OTHER)), 0)
    whole(each_place)


@pytest.mark.parametrize(
    ("container", "disk", "data"),
    [
        ("compressed", "raw", gzip.compress(bytes(300_000), mtime=0)),
        ("ova", "vmdk", ova.archive(("m.ovf", ova.ovf("d.vmdk")), ("d.vmdk", ova.vmdk()))),
        ("bare", "raw", b""),
    ],
    ids=["compressed", "ova", "no bytes"],
)
def test_what_is_in_a_container_stays_in_it(place, container, disk, data):
    image_id = place.owner.active(data, container_format=container, disk_format=disk)
    found = place.copy(image_id, work=False)
    change = ("replace", "/container_format", "docker")  # while it is importing, anybody may
    assert place.owner.patch(found.json["image_id"], change).status_code == 200
    place.several.work()
    image, job = place.done(found)
    assert (job["cause"], image["container_format"], image["disk_format"]) == (
        None, container, disk,
    )  # fmt: skip
    assert place.bytes_of(image["id"]) == data


@pytest.mark.parametrize(("store", "by_store"), [("plain", True), ("fast", False)])
def test_a_store_that_can_copies_by_itself_and_else_the_bytes_are_sent(
    place, monkeypatch, store, by_store
):
    image_id = place.owner.active(DATA)
    sent = []
    send = duplicate.send
    monkeypatch.setattr(duplicate, "send", lambda *args: sent.append(1) or send(*args))
    image, job = place.copy(image_id, store=store)
    assert (job["cause"], image["stores"], bool(sent)) == (None, store, not by_store)
    assert place.bytes_of(image["id"]) == DATA
    assert place.place(image["id"]) != place.place(image_id)


def test_a_store_that_copies_wrongly_is_not_believed(place, monkeypatch):
    image_id = place.owner.active(DATA)
    driver = place.service.backends.storage("plain")

    def wrong(source_key, key):
        with driver.open_write(key) as writer:
            writer.write(DATA[::-1])
            return writer.commit()

    monkeypatch.setattr(driver, "copy", wrong)
    image, job = place.copy(image_id)
    assert job["cause"] is None
    assert place.bytes_of(image["id"]) == DATA
    whole(place)


@pytest.mark.parametrize("target", ["plain", "archive"])
def test_a_rotten_copy_is_passed_over_for_the_next(place, target):
    image_id = place.owner.active(DATA)
    for store in ("fast", "archive"):
        place.also_in(image_id, store)
    place.rot(image_id, "plain")
    place.rot(image_id, "fast")
    image, job = place.copy(image_id, store=target)
    assert (job["cause"], image["status"]) == (None, "active")
    assert place.bytes_of(image["id"]) == DATA


def test_a_copy_that_is_known_to_be_bad_is_not_read(place, monkeypatch):
    image_id = place.owner.active(DATA)
    place.also_in(image_id, "fast")
    place.rot(image_id, "plain")
    with place.service.database.write() as conn:
        damage.mark(conn, *place.place(image_id), 0, "corrupt")
    driver = place.service.backends.storage("plain")
    read = driver.open_read
    monkeypatch.setattr(driver, "copy", lambda *_: pytest.fail("the store read it"))
    bad = place.place(image_id)[1]
    monkeypatch.setattr(
        driver, "open_read", lambda key, **more: pytest.fail(key) if key == bad else read(key, **more)
    )  # fmt: skip
    image, job = place.copy(image_id)
    assert (job["cause"], image["status"]) == (None, "active")


@pytest.mark.parametrize("store", ["plain", "fast"])
def test_an_image_without_a_good_copy_is_told_and_leaves_nothing(place, store):
    image_id = place.owner.active(DATA)
    place.also_in(image_id, "archive", DATA[::-1])
    place.rot(image_id)
    place.failed(*place.copy(image_id, store=store), "damaged")
    assert place.stored() == [(1, 0), (len(DATA), 0)]


def test_bytes_that_rot_made_of_another_format_are_damage(place):
    data = gzip.compress(bytes(300_000))
    image_id = place.owner.active(data, container_format="compressed")
    path = place.service.backends.storage("plain").path(place.place(image_id)[1])
    path.chmod(0o600)
    path.write_bytes(b"\0" + data[1:])
    place.failed(*place.copy(image_id, store="fast"), "damaged")


def test_an_image_that_is_known_to_be_damaged_is_refused_at_once(place):
    image_id = place.owner.active(DATA)
    with place.service.database.write() as conn:
        damage.mark(conn, *place.place(image_id), 0, "corrupt")
    refused(place.copy(image_id, work=False), 500, "image-damaged")
    assert place.stored()[0] == (1, 0)


@pytest.mark.parametrize("when", ["before", "while"])
@pytest.mark.parametrize("how", ["deleted", "deactivated", "not shared"])
def test_a_copy_whose_source_is_taken_away_meanwhile_ends(place, monkeypatch, how, when):
    other = Caller(place.several.app)
    image_id = other.active(DATA)
    other.share(image_id, place.owner.project, "accepted")
    acts = {
        "deleted": ("DELETE", f"/v2/images/{image_id}"),
        "deactivated": ("POST", f"/v2/images/{image_id}/actions/deactivate"),
        "not shared": ("DELETE", f"/v2/images/{image_id}/members/{place.owner.project}"),
    }
    found = place.copy(image_id, work=False)

    def take_away():
        assert other.request(*acts[how]).status_code == 204
        reaper.run(place.service)

    if when == "before":
        take_away()
    else:
        proven = duplicate._proven

        def then(*args):
            result = proven(*args)
            take_away()
            return result

        monkeypatch.setattr(duplicate, "_proven", then)
    place.several.work()
    word = "deactivated" if how == "deactivated" else f"Image {image_id} was deleted"
    place.failed(*place.done(found), word)
    assert place.stored() == [(0, 0), (0, 0)]


def test_what_a_deletion_makes_of_a_reading_is_told_as_deletion(place, monkeypatch):
    image_id = place.owner.active(DATA)
    place.also_in(image_id, "fast")
    written = step._write

    def gone(ctx, source, *args):
        place.owner.request("DELETE", f"/v2/images/{image_id}")
        reaper.run(place.service)
        return written(ctx, source, *args)

    monkeypatch.setattr(step, "_write", gone)
    place.failed(*place.copy(image_id), f"Image {image_id} was deleted")


def test_a_copy_that_is_deleted_meanwhile_leaves_nothing(each_place):
    image_id = each_place.owner.active(DATA)
    found = each_place.copy(image_id, work=False)
    assert each_place.stored() == [(2, 0), (len(DATA), len(DATA))]
    path = f"/v2/images/{found.json['image_id']}"
    assert each_place.owner.request("DELETE", path).status_code == 204
    each_place.several.work()
    assert each_place.owner.get(f"{ROOT}/jobs/{found.json['job']['id']}").json["job"]["state"] == (
        "cancelled"
    )
    assert each_place.stored() == [(1, 0), (len(DATA), 0)]
    whole(each_place)


def test_a_cancelled_copy_leaves_nothing(each_place, monkeypatch):
    image_id = each_place.machine(DATA, OTHER)
    found = each_place.copy(image_id, work=False)
    proven, seen = duplicate._proven, []

    def then(*args):
        if seen:
            path = f"{ROOT}/jobs/{found.json['job']['id']}/cancel"
            assert each_place.owner.request("POST", path).status_code == 202
        seen.append(1)
        return proven(*args)

    monkeypatch.setattr(duplicate, "_proven", then)
    each_place.several.work()
    each_place.failed(*each_place.done(found), state="cancelled")
    assert each_place.stored() == [(1, 0), (len(DATA) + len(OTHER), 0)]


def test_a_failed_copy_can_be_run_again_by_who_may_still_read_the_source(each_place):
    other = Caller(each_place.several.app)
    image_id = other.active(DATA)
    other.share(image_id, each_place.owner.project, "accepted")
    path = each_place.service.backends.storage("plain").path(each_place.place(image_id)[1])
    path.rename(path.with_name("away"))
    image, job = each_place.copy(image_id)
    each_place.failed(image, job)
    retry = f"{ROOT}/jobs/{job['id']}/retry"
    member = f"/v2/images/{image_id}/members/{each_place.owner.project}"
    assert other.request("DELETE", member).status_code == 204
    refused(each_place.owner.request("POST", retry), 404, "image-not-found")
    other.share(image_id, each_place.owner.project, "accepted")
    path.with_name("away").rename(path)
    assert each_place.owner.request("POST", retry).status_code == 202
    each_place.several.work()
    assert each_place.owner.get(f"/v2/images/{image['id']}").json["status"] == "active"
    assert each_place.stored() == [(1, 0), (len(DATA), 0)]


def test_the_same_key_gives_the_first_job(each_place):
    image_id = each_place.owner.active(DATA)
    headers = {"Idempotency-Key": "k"}
    found = [each_place.copy(image_id, work=False, headers=headers).json for _ in range(2)]
    assert found[0]["job"]["id"] == found[1]["job"]["id"]
    assert each_place.stored() == [(2, 0), (len(DATA), len(DATA))]
    other = Caller(each_place.several.app)
    public = other.active(DATA, visibility="community")
    capture = {"name": "x", "server_id": "none"}
    refused(each_place.owner.request("POST", f"{ROOT}/captures", capture, headers=headers), 409)
    assert each_place.copy(public, caller=other, work=False, headers=headers).status_code == 202


def test_room_is_set_aside_at_once_and_a_full_project_is_told(each_place):
    image_id = each_place.owner.active(DATA)
    admin = Caller(each_place.several.app, None, "admin", "member")
    quota = f"{ROOT}/quota/{each_place.owner.project}"
    for limits in ({"stored_bytes": 2 * len(DATA) - 1}, {"stored_bytes": -1, "images": 1}):
        assert admin.request("PUT", quota, limits).status_code == 200
        refused(each_place.copy(image_id, work=False), 413, "quota-exceeded")
    limits = {"stored_bytes": 2 * len(DATA), "images": 2}
    assert admin.request("PUT", quota, limits).status_code == 200
    _, job = each_place.copy(image_id)
    assert job["cause"] is None
    assert each_place.stored() == [(2, 0), (2 * len(DATA), 0)]


def test_the_operator_may_keep_copying_to_some(tmp_path):
    (tmp_path / "policy.yaml").write_text('"image:copy": "role:admin"\n')
    made = Place(tmp_path, f"sqlite:///{tmp_path}/imagesvc.sqlite")
    image_id = made.owner.active(DATA)
    refused(made.copy(image_id, work=False), 403, "forbidden")
    admin = Caller(made.several.app, made.owner.project, "admin", "member")
    assert made.copy(image_id, caller=admin)[1]["state"] == "done"
    made.close()


def test_what_cannot_be_copied_is_refused_with_its_reason(place):
    image_id = place.owner.active(DATA)
    refused(place.copy(image_id, work=False, store="none"), 400, "store-unknown")
    refused(place.copy(image_id, work=False, store="shut"), 409, "store-read-only")
    refused(place.copy(image_id, work=False, name=""), 400, "malformed")
    refused(place.copy(image_id, work=False, visibility="public"), 400, "malformed")
    refused(place.copy(place.owner.create()["id"], work=False), 409, "no-content")
    refused(place.copy("none", work=False), 404, "image-not-found")
    deactivate = f"/v2/images/{image_id}/actions/deactivate"
    assert place.owner.request("POST", deactivate).status_code == 204
    refused(place.copy(image_id, work=False), 403, "image-deactivated")
    assert len(place.owner.listed()) == 2


def key_of(caller):
    """A new key of the caller's project, its default one; its id."""
    key_id = caller.request("POST", f"{ROOT}/key", {"name": "k"}).json["key"]["id"]
    default = caller.request("PATCH", f"{ROOT}/key/{key_id}", {"default": True})
    assert default.status_code == 200
    return key_id


def enabled(caller, key_id, value):
    """Enable or disable a key."""
    found = caller.request("PATCH", f"{ROOT}/key/{key_id}", {"enabled": value})
    assert found.status_code == 200, found.text


def data_key_of(place, image_id):
    """The data key by which the service reads an image; None of a plain one."""
    row = place.owner.get(f"/v2/images/{image_id}").json
    return place.service.data_keys.open(image_id) if row.get("imagesvc_key_id") else None


@pytest.mark.parametrize("target", ["plain", "A", "B"])
@pytest.mark.parametrize("source", ["plain", "A", "B"])
def test_a_copy_is_encrypted_as_it_was_asked_whatever_its_source_is(place, caplog, source, target):
    keys = {"A": key_of(place.owner), "B": key_of(place.owner)}
    more = {"imagesvc_key_id": keys[source]} if source in keys else {}
    image_id = place.owner.active(DATA, **more)
    more = {"key_id": keys[target]} if target in keys else {}
    image, job = place.copy(image_id, **more)
    assert (job["cause"], image["status"]) == (None, "active")
    assert image.get("imagesvc_key_id") == keys.get(target)
    assert place.bytes_of(image["id"]) == DATA
    store, key = place.place(image["id"])
    assert storage_key.is_encrypted(key) == (target in keys)
    stored = place.several.folder / store / "object" / key.replace("/", "+")
    assert (stored.read_bytes() == DATA) == (target == "plain")
    own, others = data_key_of(place, image["id"]), data_key_of(place, image_id)
    assert own is None or own != others
    assert image["os_hash_value"] == hashlib.sha512(DATA).hexdigest()
    assert "not copied by its store" not in caplog.text  # it was not asked to
    whole(place)


@pytest.mark.parametrize("whose", ["source", "target"])
@pytest.mark.parametrize("when", ["before", "while"])
def test_a_key_that_is_disabled_copies_nothing(place, monkeypatch, whose, when):
    monkeypatch.setattr(data_key, "_KEPT_S", 0.0)
    keys = {"source": key_of(place.owner), "target": key_of(place.owner)}
    image_id = place.owner.active(DATA, imagesvc_key_id=keys["source"])
    if when == "before":
        enabled(place.owner, keys[whose], False)
        found = place.copy(image_id, key_id=keys["target"], work=False)
        refused(found, 409, "key-unavailable")
        assert place.stored()[0] == (1, 0)
        return
    found = place.copy(image_id, key_id=keys["target"], work=False)
    enabled(place.owner, keys[whose], False)
    place.several.work()
    place.failed(*place.done(found), "key is disabled")
    assert place.stored() == [(1, 0), (len(DATA), 0)]


def test_a_member_copies_what_is_shared_under_a_key_of_its_own(place):
    other, member = Caller(place.several.app), place.owner
    key_id, own = key_of(other), key_of(member)
    image_id = other.active(DATA, imagesvc_key_id=key_id)
    other.share(image_id, member.project, "accepted")
    refused(place.copy(image_id, key_id=key_id, work=False), 404, "key-not-found")
    admin = Caller(place.several.app, None, "admin", "member")
    refused(place.copy(image_id, caller=admin, work=False), 403, "key-missing")
    image, job = place.copy(image_id, key_id="default")
    assert (job["cause"], image["imagesvc_key_id"]) == (None, own)
    enabled(other, key_id, False)
    path = f"/v2/images/{image_id}/members/{member.project}"
    assert other.request("DELETE", path).status_code == 204
    assert place.bytes_of(image["id"]) == DATA


@pytest.fixture(scope="module", params=permission_matrix.VISIBILITIES)
def world(request, app):
    """An image with every kind of project around it."""
    return request.param, World(app, request.param)


@pytest.mark.parametrize("row", permission_matrix.MATRIX, ids=lambda row: row.name)
def test_who_may_download_may_copy_into_a_project_that_is_theirs(world, row):
    visibility, made = world
    cell = row.cells[permission_matrix.VISIBILITIES.index(visibility)]
    outcome = permission_matrix.outcome(cell, "D")
    status = {Outcome.DONE: 202, Outcome.FORBIDDEN: 403, Outcome.ABSENT: 404}[outcome]
    if row.roles == ("service",):  # which makes images for nobody
        status = 403
    found = made.caller(row).request(
        "POST", f"{ROOT}/images/{made.image_id}/copy", {"name": "copy"}
    )
    assert found.status_code == status, found.text
