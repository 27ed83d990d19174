"""Staging and imports: what is accepted, what the worker makes of it, and what failure leaves."""

import datetime
import hashlib

import pytest

from imagesvc.db import doomed, metadata, pending
from imagesvc.db import image as image_rows
from imagesvc.db import job as job_rows
from imagesvc.interface import errors as driver_errors
from imagesvc.manager import quota_verify, store_verify
from imagesvc.worker import reaper
from imagesvc.worker.step import spread
from tests import guest_disk, hostile_image
from tests.api.caller import OCTETS, Caller

DATA = bytes(range(256)) * 4100
METHODS = ["glance-direct", "web-download", "copy-image"]


@pytest.fixture
def owner(several):
    return Caller(several.app)


@pytest.fixture
def admin(several, owner):
    return Caller(several.app, owner.project, "admin")


@pytest.fixture(autouse=True)
def _clean(several):
    """Whatever a test did: no bytes are left that nobody owns, and quota is right."""
    yield
    several.work()
    service = several.service
    reaper.run(service)
    found = store_verify.verify(service.database, service.backends, older_than_s=0)
    assert found.findings == []
    assert quota_verify.verify(service.database) == ()


def stage(caller, image_id, data=DATA, **headers):
    path = f"/v2/images/{image_id}/stage"
    return caller.request("PUT", path, data, kind=OCTETS, headers=headers)


def begin(caller, image_id, method="glance-direct", headers=None, **more):
    body = {"method": {"name": method}, **more}
    return caller.request("POST", f"/v2/images/{image_id}/import", body, headers=headers or {})


def staged(caller, data=DATA, **values):
    image_id = caller.create(**values)["id"]
    found = stage(caller, image_id, data)
    assert found.status_code == 204, found.text
    return image_id


def show(caller, image_id):
    return caller.get(f"/v2/images/{image_id}").json


def waiting(several, image_id):
    """What is noted as under way for an image."""
    with several.service.database.read() as conn:
        return [one for one in pending.stale(conn, metadata.now()) if one.image_id == image_id]


def age(several):
    """What is under way has been so for years."""
    with several.service.database.write() as conn:
        past = metadata.now() - datetime.timedelta(days=1000)
        conn.execute(pending.TABLE.update().values(created_at=past))


def before_writing(monkeypatch, store_id, act):
    """Do it when an import is about to write to this store."""
    write = spread.Spread._write

    def acting(self, ctx, origin, store):
        if store == store_id:
            act()
        return write(self, ctx, origin, store)

    monkeypatch.setattr(spread.Spread, "_write", acting)


@pytest.fixture(scope="module")
def spark(tmp_path_factory):
    return guest_disk.spark(tmp_path_factory.mktemp("spark"))


@pytest.mark.parametrize("disk_format", ["raw", "qcow2"])
def test_what_is_found_on_an_imported_disk_is_shown_and_not_set(several, owner, spark, disk_format):
    data = spark.with_suffix(f".{disk_format}").read_bytes()
    image_id = staged(owner, data, disk_format=disk_format)
    assert begin(owner, image_id).status_code == 202
    several.work()
    image = show(owner, image_id)
    assert (image["status"], image.get("os_type")) == ("active", None)
    found = owner.get(f"/imagesvc/v1/images/{image_id}").json["image"]["found"]
    assert (found["os_type"], found["os_version"], found["firmware"]) == ("linux", "12", ["bios"])


# ------------------------------------------------------------------ stage


def test_staged_bytes_wait_and_are_nobodys_to_read(owner):
    image_id = staged(owner)
    image = show(owner, image_id)
    assert (image["status"], image["size"], image["checksum"]) == ("uploading", len(DATA), None)
    assert owner.get(f"/v2/images/{image_id}/file").status_code == 204
    assert stage(owner, image_id).status_code == 409
    assert owner.upload(image_id).status_code == 409


def test_bytes_are_staged_before_the_formats_are_known(several, owner):
    image_id = owner.request("POST", "/v2/images", {}).json["id"]
    assert stage(owner, image_id).status_code == 204
    assert begin(owner, image_id).status_code == 409
    assert show(owner, image_id)["status"] == "uploading"


@pytest.mark.parametrize(
    ("headers", "kind", "status"),
    [
        ({"X-OpenStack-Image-Size": "5"}, OCTETS, 400),
        ({}, "application/json", 415),
        ({"X-OpenStack-Image-Size": "99999999"}, OCTETS, 400),
    ],
)
def test_a_stage_that_fails_leaves_the_image_queued(several, owner, headers, kind, status):
    image_id = owner.create()["id"]
    path = f"/v2/images/{image_id}/stage"
    found = owner.request("PUT", path, b"data", kind=kind, headers=headers)
    assert found.status_code == status
    assert show(owner, image_id)["status"] == "queued"
    assert not [key for key in several.keys("plain") if key.startswith(image_id)]
    assert stage(owner, image_id).status_code == 204


def test_too_many_bytes_are_not_staged(owner):
    image_id = owner.create()["id"]
    assert stage(owner, image_id, b"x" * 10_000_001).status_code == 413
    assert show(owner, image_id)["status"] == "queued"


def test_staged_bytes_go_with_their_image_at_once(several, owner):
    image_id = staged(owner)
    assert [key for key in several.keys("plain") if key.startswith(image_id)]
    assert owner.request("DELETE", f"/v2/images/{image_id}").status_code == 204
    assert not [key for key in several.keys("plain") if key.startswith(image_id)]


def test_staged_bytes_survive_the_reaper(several, owner):
    image_id = staged(owner)
    age(several)
    reaper.run(several.service)
    assert begin(owner, image_id).status_code == 202
    several.work()
    assert owner.get(f"/v2/images/{image_id}/file").content == DATA


# ------------------------------------------------------------------ import


def test_an_import_makes_a_staged_image_active_and_moves_no_bytes(several, owner):
    image_id = staged(owner)
    before = [key for key in several.keys("plain") if key.startswith(image_id)]
    found = begin(owner, image_id)
    assert (found.status_code, found.content) == (202, b"")
    assert "json" not in found.headers["Content-Type"]
    image = show(owner, image_id)
    assert (image["status"], image["os_glance_importing_to_stores"]) == ("importing", "plain")
    assert image["os_glance_import_task"]
    several.work()
    image = show(owner, image_id)
    assert (image["status"], image["stores"]) == ("active", "plain")
    assert image["checksum"] == hashlib.md5(DATA).hexdigest()
    assert image["os_hash_value"] == hashlib.sha512(DATA).hexdigest()
    assert (image["size"], image["virtual_size"]) == (len(DATA), len(DATA))
    assert image["os_glance_importing_to_stores"] == image["os_glance_failed_import"] == ""
    assert "os_glance_import_task" not in image
    assert owner.get(f"/v2/images/{image_id}/file").content == DATA
    assert [key for key in several.keys("plain") if key.startswith(image_id)] == before


@pytest.mark.parametrize("must", [True, False])
@pytest.mark.parametrize(
    ("asked", "stores"),
    [
        ({"stores": ["fast"]}, "fast"),
        ({"stores": ["fast", "fast", "archive"]}, "fast,archive"),
        ({"stores": ["archive", "plain"]}, "archive,plain"),
        ({"all_stores": True}, "fast,archive,plain"),
    ],
)
def test_an_import_goes_to_the_stores_that_are_named(several, owner, asked, stores, must):
    image_id = staged(owner)
    assert begin(owner, image_id, **asked, all_stores_must_succeed=must).status_code == 202
    several.work()
    image = show(owner, image_id)
    assert (image["status"], image["stores"]) == ("active", stores)
    for store in ("fast", "archive", "plain"):
        keys = [key for key in several.keys(store) if key.startswith(image_id)]
        reaper.run(several.service)
        keys = [key for key in several.keys(store) if key.startswith(image_id)]
        assert len(keys) == (store in stores)
        if keys:
            with several.service.backends.storage(store).open_read(keys[0]) as source:
                assert source.read() == DATA


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        ({}, {}, 400),
        ({"method": {}}, {}, 400),
        ({"method": {"name": "unknown"}}, {}, 400),
        ({"method": {"name": "web-download", "uri": "http://x/"}}, {}, 409),
        ({"method": {"name": "glance-direct"}, "stores": ["nowhere"]}, {}, 409),
        ({"method": {"name": "glance-direct"}, "stores": ["shut"]}, {}, 409),
        ({"method": {"name": "glance-direct"}, "stores": ["fast"], "all_stores": True}, {}, 400),
        ({"method": {"name": "glance-direct"}, "stores": ["fast"]}, {"X-Image-Meta-Store": "fast"}, 202),
        ({"method": {"name": "glance-direct"}, "stores": ["fast"]}, {"X-Image-Meta-Store": "plain"}, 400),
        ({"method": {"name": "glance-direct"}}, {"X-Image-Meta-Store": "fast"}, 202),
        ({"method": {"name": "glance-direct"}}, {"X-Image-Meta-Store": "nowhere"}, 409),
        ({"method": {"name": "copy-image"}}, {}, 409),
    ],
)  # fmt: skip
def test_what_an_import_answers(owner, body, headers, status):
    image_id = staged(owner)
    path = f"/v2/images/{image_id}/import"
    assert owner.request("POST", path, body, headers=headers).status_code == status
    assert show(owner, image_id)["status"] == ("importing" if status == 202 else "uploading")


@pytest.mark.parametrize("state", ["queued", "active", "importing"])
def test_only_staged_bytes_are_imported(owner, state):
    make = {"queued": lambda: owner.create()["id"], "active": owner.active}
    image_id = make.get(state, lambda: staged(owner))()
    if state == "importing":
        assert begin(owner, image_id).status_code == 202
    assert begin(owner, image_id).status_code == 409


def test_others_do_not_import(several, owner):
    image_id = staged(owner, visibility="community")
    assert begin(Caller(several.app), image_id).status_code == 403
    assert begin(Caller(several.app, owner.project, "reader"), image_id).status_code == 403
    hidden = staged(owner, visibility="private")
    assert begin(Caller(several.app), hidden).status_code == 404
    assert begin(owner, "00000000-0000-4000-8000-000000000000").status_code == 404


@pytest.mark.parametrize("how", ["qcow2 as raw", "hostile"])
def test_bytes_that_are_not_what_they_should_be_are_refused(several, owner, how):
    data = hostile_image.qcow2(backing=b"/etc/passwd" if how == "hostile" else b"")
    image_id = staged(owner, data, disk_format="raw" if how == "qcow2 as raw" else "qcow2")
    assert begin(owner, image_id).status_code == 202
    several.work()
    image = show(owner, image_id)
    assert (image["status"], image["size"]) == ("queued", None)
    assert image["os_glance_failed_import"] == "plain"
    assert "os_glance_import_task" not in image
    reaper.run(several.service)
    assert not [key for key in several.keys("plain") if key.startswith(image_id)]
    assert stage(owner, image_id).status_code == 204


def test_a_format_that_is_changed_meanwhile_changes_nothing(several, owner):
    image_id = staged(owner)
    assert begin(owner, image_id).status_code == 202
    assert owner.patch(image_id, ("replace", "/disk_format", "iso")).status_code == 200
    several.work()
    assert show(owner, image_id)["status"] == "queued"  # no ISO by its bytes


def test_the_format_that_was_judged_is_what_the_image_gets(several, owner, monkeypatch):
    image_id = staged(owner)
    assert begin(owner, image_id).status_code == 202
    run = spread.Spread.run

    def changing(self, ctx):
        owner.patch(image_id, ("replace", "/disk_format", "qcow2"))
        return run(self, ctx)

    monkeypatch.setattr(spread.Spread, "run", changing)
    several.work()
    image = show(owner, image_id)
    assert (image["status"], image["disk_format"]) == ("active", "raw")


class Broken:
    """A store that takes nothing."""

    def __init__(self, several, monkeypatch, store_id):
        driver = several.service.backends.storage(store_id)

        def refuse(key, *, size=None):
            raise driver_errors.NoSpace("The store is full.")

        monkeypatch.setattr(driver, "open_write", refuse)


def test_good_bytes_stay_staged_if_a_store_fails(several, owner, monkeypatch):
    image_id = staged(owner)
    with monkeypatch.context() as patch:
        Broken(several, patch, "archive")
        assert begin(owner, image_id, stores=["archive", "plain", "fast"]).status_code == 202
        several.work()
    image = show(owner, image_id)
    assert (image["status"], image["size"]) == ("uploading", len(DATA))
    assert image["os_glance_failed_import"] == "fast,archive,plain"
    assert image["os_glance_importing_to_stores"] == ""
    reaper.run(several.service)
    assert not [key for key in several.keys("fast") if key.startswith(image_id)]
    assert begin(owner, image_id, stores=["archive", "fast"]).status_code == 202
    several.work()
    assert show(owner, image_id)["stores"] == "fast,archive"


def test_what_a_killed_worker_began_is_not_taken_for_the_staged_bytes(several, owner, monkeypatch):
    image_id = staged(owner)
    with monkeypatch.context() as patch:
        Broken(several, patch, "archive")
        assert begin(owner, image_id, stores=["archive"]).status_code == 202
        # So it is after a kill between the note and the memo of the step.
        begun = ("fast", f"{image_id}/begun")
        with several.service.database.write() as conn:
            job_id = show(owner, image_id)["os_glance_import_task"]
            pending.insert(conn, *begun, image_id, job_id)
        with several.service.backends.storage("fast").open_write(begun[1]) as writer:
            writer.commit()
        several.work()
    assert show(owner, image_id)["status"] == "uploading"
    assert begin(owner, image_id).status_code == 202
    several.work()
    assert owner.get(f"/v2/images/{image_id}/file").content == DATA


def test_an_import_that_gives_back_while_the_reaper_looks_keeps_its_bytes(
    several, owner, monkeypatch
):
    image_id = staged(owner)
    assert begin(owner, image_id, stores=["archive"]).status_code == 202
    ours = {image_id, show(owner, image_id)["os_glance_import_task"]}
    age(several)
    ends = [several.work]

    def looking(look):
        def looked(conn, key, **options):
            found = look(conn, key, **options)
            if key in ours and ends:
                ends.pop()()
            return found

        return looked

    with monkeypatch.context() as patch:
        Broken(several, patch, "archive")
        for rows in (job_rows, image_rows):
            patch.setattr(rows, "get", looking(rows.get))
        reaper.run(several.service)
    assert (ends, show(owner, image_id)["status"]) == ([], "uploading")
    assert begin(owner, image_id).status_code == 202
    several.work()
    assert owner.get(f"/v2/images/{image_id}/file").content == DATA


def test_one_store_is_enough_where_not_all_must_succeed(several, owner, monkeypatch):
    image_id = staged(owner)
    Broken(several, monkeypatch, "archive")
    asked = {"stores": ["archive", "fast"], "all_stores_must_succeed": False}
    assert begin(owner, image_id, **asked).status_code == 202
    several.work()
    image = show(owner, image_id)
    assert (image["status"], image["stores"]) == ("active", "fast")
    assert image["os_glance_failed_import"] == "archive"


# -------------------------------------------------------------------- copy


def test_an_administrator_copies_an_active_image(several, owner, admin):
    image_id = owner.active(DATA)
    assert begin(owner, image_id, "copy-image", stores=["fast"]).status_code == 403
    assert begin(admin, image_id, "copy-image", stores=["fast"]).status_code == 202
    assert show(owner, image_id)["status"] == "active"
    assert begin(admin, image_id, "copy-image", stores=["archive"]).status_code == 409
    several.work()
    image = show(owner, image_id)
    assert (image["status"], image["stores"]) == ("active", "fast,plain")
    assert begin(admin, image_id, "copy-image", stores=["fast"]).status_code == 400
    assert begin(admin, image_id, "copy-image", all_stores=True).status_code == 202
    several.work()
    assert show(owner, image_id)["stores"] == "fast,archive,plain"
    assert begin(admin, image_id, "copy-image", all_stores=True).status_code == 202
    assert "os_glance_import_task" not in show(owner, image_id)


def test_a_copy_that_fails_leaves_the_image_as_it_was(several, owner, admin, monkeypatch):
    image_id = owner.active(DATA)
    with monkeypatch.context() as patch:
        Broken(several, patch, "archive")
        asked = {"stores": ["fast", "archive"]}
        assert begin(admin, image_id, "copy-image", **asked).status_code == 202
        several.work()
    image = show(owner, image_id)
    assert (image["status"], image["stores"]) == ("active", "plain")
    assert image["os_glance_failed_import"] == "fast,archive"


def test_a_place_that_is_removed_under_its_import_does_not_come_back(
    several, owner, admin, monkeypatch
):
    image_id = owner.active(DATA)
    path = f"/v2/stores/fast/{image_id}"
    found = []
    before_writing(monkeypatch, "archive", lambda: found.append(admin.request("DELETE", path)))
    asked = {"stores": ["fast", "archive"], "all_stores_must_succeed": False}
    assert begin(admin, image_id, "copy-image", **asked).status_code == 202
    several.work()
    assert [one.status_code for one in found] == [204]
    assert show(owner, image_id)["stores"] == "archive,plain"


def test_a_copy_of_bytes_that_rotted_is_none(several, owner, admin):
    image_id = owner.active(DATA)
    (key,) = [key for key in several.keys("plain") if key.startswith(image_id)]
    path = several.service.backends.storage("plain").path(key)
    path.chmod(0o600)
    path.write_bytes(b"y" * len(DATA))
    assert begin(admin, image_id, "copy-image", stores=["fast"]).status_code == 202
    several.work()
    image = show(owner, image_id)
    assert (image["stores"], image["os_glance_failed_import"]) == ("plain", "fast")


# ---------------------------------------------------------- delete, cancel


@pytest.mark.parametrize("claims", [0, 1])
def test_an_image_deleted_under_its_import_leaves_nothing(several, owner, claims, monkeypatch):
    image_id = staged(owner)
    assert begin(owner, image_id, stores=["fast", "archive"]).status_code == 202
    if claims:
        path = f"/v2/images/{image_id}"
        before_writing(monkeypatch, "fast", lambda: owner.request("DELETE", path))
    else:
        assert owner.request("DELETE", f"/v2/images/{image_id}").status_code == 204
    several.work()
    assert owner.get(f"/v2/images/{image_id}").status_code == 404
    reaper.run(several.service)
    for store in ("fast", "archive", "plain"):
        assert not [key for key in several.keys(store) if key.startswith(image_id)]
    assert waiting(several, image_id) == []
    with several.service.database.read() as conn:
        assert not [one for one in doomed.list(conn, 100) if one[1].startswith(image_id)]


def test_a_cancelled_import_goes_back_to_queued_without_bytes(several, owner):
    image_id = staged(owner)
    assert begin(owner, image_id).status_code == 202
    job_id = show(owner, image_id)["os_glance_import_task"]
    found = owner.request("POST", f"/imagesvc/v1/jobs/{job_id}/cancel")
    assert found.status_code == 202, found.text
    several.work()
    image = show(owner, image_id)
    assert (image["status"], image["size"]) == ("queued", None)
    reaper.run(several.service)
    assert not [key for key in several.keys("plain") if key.startswith(image_id)]
    assert owner.request("POST", f"/imagesvc/v1/jobs/{job_id}/retry").status_code == 409


# ------------------------------------------------------------------- rest


def test_the_methods_are_told(several, owner):
    found = owner.get("/v2/info/import").json["import-methods"]
    assert (found["type"], found["value"]) == ("array", METHODS)
    made = owner.request("POST", "/v2/images", {})
    assert made.headers["OpenStack-image-import-methods"] == ",".join(METHODS)


def test_marks_of_the_service_are_not_written_and_do_not_count(several, owner):
    image_id = staged(owner, **{f"p{n}": "x" for n in range(127)})
    assert begin(owner, image_id).status_code == 202
    several.work()
    mark = "/os_glance_failed_import"
    assert owner.patch(image_id, ("replace", mark, "x")).status_code == 403
    assert owner.patch(image_id, ("add", "/last", "x")).status_code == 200
    assert owner.patch(image_id, ("add", "/beyond", "x")).status_code == 413
