"""A copy that scrub found bad is given to nobody; an image without a good one says so."""

import hashlib

import pytest

from imagesvc import errors
from imagesvc.context import RequestContext
from imagesvc.db import audit_list, damage, image_disk, location
from imagesvc.manager import copy_mark, disk_copy, image_scrub
from tests import open_job
from tests.api.caller import Caller

DATA = bytes(range(250)) * 4
NATIVE = "/imagesvc/v1"


@pytest.fixture
def owner(several):
    return Caller(several.app)


@pytest.fixture
def image_id(several, owner):
    """An image in the store archive; gone in the end."""
    made = owner.create()["id"]
    assert owner.upload(made, DATA, **{"X-Image-Meta-Store": "archive"}).status_code == 204
    yield made
    assert owner.request("DELETE", f"/v2/images/{made}").status_code == 204


@pytest.fixture
def copied(several, image_id):
    """The same with another copy in the store fast, which is read first."""
    with several.service.backends.storage("fast").open_write(f"{image_id}/copy") as writer:
        writer.write(DATA)
        writer.commit()
    with several.service.database.write() as conn:
        location.add(conn, image_id, 0, "fast", f"{image_id}/copy")
    return image_id


def disk_of(several, image_id):
    with several.service.database.read() as conn:
        return image_disk.list_for(conn, image_id)[0]


def file_of(several, image_id, store):
    """The file of a copy."""
    key = dict(disk_of(several, image_id).locations)[store]
    return several.service.backends.storage(store).path(key)


def flip(several, image_id, *stores):
    """Turn the same bit of these copies; twice is as before."""
    for store in stores:
        path = file_of(several, image_id, store)
        path.chmod(0o600)
        data = bytearray(path.read_bytes())
        data[500] ^= 1
        path.write_bytes(data)


def scrub(several, image_id, *, repair=False):
    service = several.service
    mend = disk_copy.CopyRepair(service.operation, service.backends, 60.0) if repair else None
    marks = copy_mark.CopyMarks(service.operation)
    scrubber = image_scrub.ImageScrub(
        service.database, service.backends, marks, lambda one: None, repair=mend
    )
    return scrubber.run(image_id=image_id)


def marked(several, image_id):
    """(store, copy, fault) of each mark."""
    return [(one.store_id, one.number, one.fault) for one in disk_of(several, image_id).damages]


def events(several, image_id):
    """(action, detail) of what the audit trail has of copies, oldest first."""
    with several.service.database.read() as conn:
        found = audit_list.list_page(
            conn, audit_list.AuditQuery(limit=50, target_id=image_id), None
        )
    kept = [(one.action, one.detail) for one in found if one.action.startswith("location:")]
    return kept[::-1]


def context(owner):
    return RequestContext("u", owner.project, frozenset({"member"}))


def file_paths(image_id):
    return f"/v2/images/{image_id}/file", f"{NATIVE}/images/{image_id}/disk/0/file"


def test_before_a_scrub_a_client_can_see_the_flipped_bit_by_the_digests(several, owner, copied):
    flip(several, copied, "fast")
    found = owner.get(f"/v2/images/{copied}/file")
    assert hashlib.md5(found.content).hexdigest() != found.headers["Content-MD5"]
    assert hashlib.sha512(found.content).hexdigest() != found.headers["ETag"].strip('"')


def test_after_a_scrub_the_good_copy_is_given_and_the_trail_has_the_mark(several, owner, copied):
    flip(several, copied, "fast")
    assert owner.get(f"/v2/images/{copied}/file").content != DATA  # and what was read is kept
    assert scrub(several, copied).bad == 1
    assert marked(several, copied) == [("fast", 0, "corrupt")]
    for path in file_paths(copied):
        assert owner.get(path).content == DATA
        assert owner.get(path, headers={"Range": "bytes=495-504"}).content == DATA[495:505]
    preferred = owner.get(f"/v2/images/{copied}/file", query_string="prefer=fast")
    assert preferred.content == DATA
    detail = {"store": "fast", "disk": 0, "copy": 0, "fault": "corrupt"}
    assert events(several, copied) == [("location:mark_damaged", detail)]


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_lone_bad_copy_fails_clearly_at_every_door(several, owner, image_id, method):
    flip(several, image_id, "archive")
    assert scrub(several, image_id).bad == 1
    for path in file_paths(image_id):
        found = owner.request(method, path)
        assert found.status_code == 500
        assert DATA[:100] not in found.content
        if method == "GET":
            assert "damaged" in found.text
            assert "backup" in found.text
    found = owner.get(f"{NATIVE}/images/{image_id}/disk/0/file", headers={"Range": "bytes=0-9"})
    assert (found.status_code, found.json["error"]["reason"]) == (500, "image-damaged")


def test_the_log_names_the_damaged_image_without_a_traceback(several, owner, image_id, caplog):
    flip(several, image_id, "archive")
    scrub(several, image_id)
    owner.get(f"/v2/images/{image_id}/file")
    (line,) = [one for one in caplog.records if one.levelname == "ERROR"]
    assert image_id in line.getMessage()
    assert not line.exc_info


def test_all_copies_bad_is_a_damaged_image(several, owner, copied):
    flip(several, copied, "archive", "fast")
    assert scrub(several, copied, repair=True).bad == 2
    assert owner.get(f"/v2/images/{copied}/file").status_code == 500


def test_drivers_get_no_source_of_a_damaged_image_and_the_file_of_the_good_copy_else(
    several, owner, copied
):
    files, admin = several.service.image_files, Caller(several.app, owner.project, "admin")
    image = several.service.images.get(context(owner), copied)
    given = (context(owner), image)
    job_id = open_job.begin(several.service, context(owner))
    good = files.image_source(*given, job_id=job_id)
    assert good.local_path == file_of(several, copied, "fast")
    flip(several, copied, "fast")
    scrub(several, copied)
    source = files.image_source(*given, job_id=job_id)
    assert source.local_path == file_of(several, copied, "archive")
    assert admin.get(source.url[source.url.index(NATIVE) :]).content == DATA
    flip(several, copied, "archive")
    scrub(several, copied)
    with pytest.raises(errors.ImageDamaged, match="are damaged"):
        files.image_source(*given, job_id=job_id)
    assert admin.get(source.url[source.url.index(NATIVE) :]).status_code == 500


def test_a_copy_that_is_found_whole_again_loses_its_mark(several, owner, image_id):
    flip(several, image_id, "archive")
    scrub(several, image_id)
    flip(several, image_id, "archive")
    assert owner.get(f"/v2/images/{image_id}/file").status_code == 500
    assert scrub(several, image_id).bad == 0
    assert marked(several, image_id) == []
    assert owner.get(f"/v2/images/{image_id}/file").content == DATA
    actions = [action for action, _ in events(several, image_id)]
    assert actions == ["location:mark_damaged", "location:mark_whole"]
    scrub(several, image_id)
    assert len(events(several, image_id)) == 2


def test_a_repair_takes_the_mark_away(several, owner, copied):
    flip(several, copied, "fast")
    assert scrub(several, copied, repair=True).repaired == 1
    assert marked(several, copied) == []
    assert owner.get(f"/v2/images/{copied}/file").content == DATA
    actions = [action for action, _ in events(several, copied)]
    assert actions == ["location:mark_damaged", "location:repair"]


def test_a_missing_copy_is_marked_too(several, owner, copied):
    file_of(several, copied, "fast").unlink()
    scrub(several, copied)
    assert marked(several, copied) == [("fast", 0, "missing")]


def test_what_the_mark_says_changes_with_what_is_found(several, copied):
    flip(several, copied, "fast")
    scrub(several, copied)
    file_of(several, copied, "fast").unlink()
    scrub(several, copied)
    assert marked(several, copied) == [("fast", 0, "missing")]


def test_a_copy_of_another_length_is_passed_over_without_any_scrub(several, owner, copied):
    path = file_of(several, copied, "fast")
    for data in (DATA[:-1], DATA + b"more", b""):
        path.chmod(0o600)
        path.write_bytes(data)
        for headers in ({}, {"Range": "bytes=990-"}):
            found = owner.get(f"/v2/images/{copied}/file", headers=headers)
            assert found.content == (DATA[990:] if headers else DATA)


def test_the_last_good_copy_cannot_be_removed(several, owner, copied):
    admin = Caller(several.app, owner.project, "admin")
    with several.service.database.write() as conn:
        damage.mark(conn, "fast", f"{copied}/copy", 0, "corrupt")
    refused = admin.request("DELETE", f"/v2/stores/archive/{copied}")
    assert refused.status_code == 403
    assert admin.request("DELETE", f"/v2/stores/fast/{copied}").status_code == 204
    assert marked(several, copied) == []


def test_a_damaged_image_is_not_copied_to_another_store(several, owner, image_id):
    admin = Caller(several.app, owner.project, "admin")
    flip(several, image_id, "archive")
    scrub(several, image_id)
    wanted = {"method": {"name": "copy-image"}, "stores": ["plain"]}
    assert admin.request("POST", f"/v2/images/{image_id}/import", wanted).status_code == 202
    several.work()
    (task,) = admin.get(f"/v2/images/{image_id}/tasks").json["tasks"]
    assert task["status"] == "failure"
    assert "damaged" in task["message"]
    assert set(dict(disk_of(several, image_id).locations)) == {"archive"}
