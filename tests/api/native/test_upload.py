"""Resumable uploads, through HTTP, on each engine: what goes well."""

import dataclasses
import datetime
import hashlib
import os

import pytest

from imagesvc.db import pending
from imagesvc.db import quota as quota_rows
from tests import guest_disk
from tests.api.caller import Caller
from tests.api.native.tus import (
    OCTETS,
    PATH,
    Tus,
    agrees,
    clean_up,
    digest_of,
    encoded,
    objects,
    work,
)

MIB = 1 << 20
DATA = os.urandom(3 * MIB + 17)


@pytest.fixture
def tus(each_app):
    """A client of a project of its own."""
    return Tus(Caller(each_app))


@pytest.fixture
def small_parts(each_service, monkeypatch):
    """Parts of 1 MiB."""
    writer = each_service.upload_writer
    limits = dataclasses.replace(writer._limits, part_bytes=MIB)
    monkeypatch.setattr(writer, "_limits", limits)


def downloaded(tus, image_id):
    """The image's bytes."""
    return tus.caller.get(f"/v2/images/{image_id}/file").content


def test_the_door_says_what_it_can(tus, each_service):
    found = tus.send("OPTIONS", PATH, version=None)
    assert found.status_code == 204
    assert found.headers["Tus-Version"] == "1.0.0"
    assert {"creation", "creation-with-upload", "creation-defer-length", "checksum", "expiration",
            "termination"} == set(found.headers["Tus-Extension"].split(","))  # fmt: skip
    assert found.headers["Tus-Max-Size"] == str(each_service.conf.limit.image_size_bytes)
    assert found.headers["Tus-Checksum-Algorithm"] == "md5,sha1,sha256"


@pytest.mark.usefixtures("small_parts")
def test_an_upload_in_pieces_makes_the_image(tus, each_service):
    path, image_id = tus.begin(len(DATA), sha256=hashlib.sha256(DATA).hexdigest(), filename="a.img")
    assert (tus.status(image_id), tus.offset(path)) == ("uploading", 0)
    assert tus.quota() == {"images": (1, 0), "stored_bytes": (0, len(DATA)), "uploads": (0, 1)}
    first = tus.patch(path, 0, DATA[: 2 * MIB + 5])
    assert (first.status_code, first.headers["Upload-Offset"]) == (204, str(2 * MIB + 5))
    assert "X-Job-Id" not in first.headers
    assert tus.offset(path) == 2 * MIB + 5
    assert len(objects(each_service, image_id)) == 3
    agrees(each_service)
    last = tus.patch(path, 2 * MIB + 5, DATA[2 * MIB + 5 :])
    assert (last.status_code, last.headers["Upload-Offset"]) == (204, str(len(DATA)))
    assert (tus.status(image_id), tus.job(last)["type"]) == ("importing", "import-upload")
    work(each_service)
    assert tus.job(last)["state"] == "done"
    assert tus.status(image_id) == "active"
    assert downloaded(tus, image_id) == DATA
    assert len(objects(each_service, image_id)) == 1
    assert tus.quota() == {"images": (1, 0), "stored_bytes": (len(DATA), 0), "uploads": (0, 0)}
    agrees(each_service)


def test_what_nobody_said_of_the_image_is_filled_by_what_was_found(tus, each_service, tmp_path):
    data = guest_disk.spark(tmp_path).with_suffix(".qcow2").read_bytes()
    image = {"disk_format": "qcow2", "os_version": "mine"}
    path, image_id = tus.begin(len(data), image=image)
    assert tus.patch(path, 0, data).status_code == 204
    work(each_service)
    told = tus.caller.get(f"/v2/images/{image_id}").json
    assert (told["status"], told["os_type"], told["os_distro"]) == ("active", "linux", "debian")
    assert told["os_version"] == "mine"
    found = tus.caller.get(f"/imagesvc/v1/images/{image_id}").json["image"]["found"]
    assert (found["os_version"], found["differs"]) == ("12", ["os_version"])


def test_who_lost_the_last_answer_finds_the_job(tus, each_service):
    path, _image_id, answer = tus.whole(DATA)
    seen = tus.send("HEAD", path)
    assert seen.headers["Upload-Offset"] == seen.headers["Upload-Length"] == str(len(DATA))
    assert seen.headers["X-Job-Id"] == answer.headers["X-Job-Id"]
    assert seen.headers["Cache-Control"] == "no-store"
    again = tus.patch(path, len(DATA), b"")
    assert (again.status_code, again.headers["X-Job-Id"]) == (204, answer.headers["X-Job-Id"])
    work(each_service)
    assert tus.send("HEAD", path).headers["X-Job-Id"] == answer.headers["X-Job-Id"]


def test_the_metadata_come_back_as_they_were_sent(tus):
    path, image_id = tus.begin(5, filename="größe.img", filetype="x/y")
    seen = tus.send("HEAD", path)
    sent = encoded(image_id=image_id, filename="größe.img", filetype="x/y")
    assert seen.headers["Upload-Metadata"] == sent
    shown = tus.caller.get(path).json["upload"]
    assert (shown["filename"], shown["image_id"]) == ("größe.img", image_id)
    assert (shown["offset_bytes"], shown["size_bytes"], shown["job_id"]) == (0, 5, None)


def test_uploads_are_listed_newest_first_and_page_by_page(tus, each_app):
    paths = [tus.begin(5)[0] for _ in range(3)]
    ids = [path.rpartition("/")[2] for path in reversed(paths)]
    page = tus.caller.get(PATH, query_string="limit=2").json
    assert [one["id"] for one in page["uploads"]] == ids[:2]
    rest = tus.caller.get(PATH, query_string=f"limit=2&marker={page['next']}").json
    assert ([one["id"] for one in rest["uploads"]], rest["next"]) == (ids[2:], None)
    assert Tus(Caller(each_app)).caller.get(PATH).json == {"uploads": [], "next": None}


def test_bytes_may_come_one_by_one_and_few_objects_hold_them(tus, each_service):
    data = os.urandom(130)
    path, image_id = tus.begin(len(data))
    for at in range(len(data)):
        assert tus.patch(path, at, data[at : at + 1]).status_code == 204
        assert len(objects(each_service, image_id)) <= 8
    agrees(each_service)
    work(each_service)
    assert downloaded(tus, image_id) == data


@pytest.mark.usefixtures("small_parts")
def test_pieces_of_any_size_come_out_in_order(tus, each_service):
    path, image_id = tus.begin(len(DATA))
    at = 0
    for size in (1, MIB, 3, 70_000, MIB - 1, 0, 65_537, len(DATA)):
        piece = DATA[at : at + size]
        assert tus.patch(path, at, piece).status_code == 204
        at += len(piece)
        assert tus.offset(path) == at
    agrees(each_service)
    work(each_service)
    assert downloaded(tus, image_id) == DATA


def test_the_length_may_be_told_later(tus, each_service):
    path, image_id = tus.begin()
    assert tus.send("HEAD", path).headers["Upload-Defer-Length"] == "1"
    assert tus.patch(path, 0, DATA[:1000]).status_code == 204
    assert tus.quota()["stored_bytes"] == (0, 1000)
    last = tus.patch(path, 1000, DATA[1000:2000], Upload_Length=2000)
    assert (last.status_code, "X-Job-Id" in last.headers) == (204, True)
    work(each_service)
    assert downloaded(tus, image_id) == DATA[:2000]
    assert tus.quota()["stored_bytes"] == (2000, 0)


def test_the_length_may_be_told_when_all_bytes_are_there(tus, each_service):
    path, image_id = tus.begin()
    assert tus.patch(path, 0, b"x" * 1000).status_code == 204
    other = tus.patch(path, 1000, b"", Upload_Length=999)
    assert other.status_code == 400
    last = tus.patch(path, 1000, b"", Upload_Length=1000)
    assert "X-Job-Id" in last.headers
    work(each_service)
    assert tus.status(image_id) == "active"


def test_the_first_bytes_may_come_with_the_creation(tus, each_service):
    path, image_id = tus.begin(
        2000, DATA[:1500], headers={"Upload_Checksum": digest_of(DATA[:1500])}
    )
    assert tus.offset(path) == 1500
    tus.patch(path, 1500, DATA[1500:2000])
    work(each_service)
    assert downloaded(tus, image_id) == DATA[:2000]


def test_all_bytes_may_come_with_the_creation(tus, each_service):
    image_id = tus.caller.create()["id"]
    found = tus.ask(image_id, 1000, b"x" * 1000)
    assert (found.status_code, found.headers["Upload-Offset"]) == (201, "1000")
    assert found.headers["X-Job-Id"]
    work(each_service)
    assert downloaded(tus, image_id) == b"x" * 1000


def test_an_upload_of_no_bytes_is_complete_at_once(tus, each_service):
    image_id = tus.caller.create()["id"]
    found = tus.ask(image_id, 0)
    assert (found.status_code, "X-Job-Id" in found.headers) == (201, True)
    work(each_service)
    assert (tus.status(image_id), downloaded(tus, image_id)) == ("active", b"")


@pytest.mark.parametrize("algorithm", ["md5", "sha1", "sha256"])
def test_bytes_with_the_right_checksum_count(tus, algorithm):
    path, _ = tus.begin(1000)
    found = tus.patch(path, 0, b"x" * 400, Upload_Checksum=digest_of(b"x" * 400, algorithm))
    assert (found.status_code, tus.offset(path)) == (204, 400)


@pytest.mark.usefixtures("small_parts")
def test_a_large_piece_with_a_checksum_counts_as_a_whole(tus, each_service):
    path, image_id = tus.begin(len(DATA))
    tus.patch(path, 0, DATA[:7])
    found = tus.patch(path, 7, DATA[7:], Upload_Checksum=digest_of(DATA[7:]))
    assert found.status_code == 204
    work(each_service)
    assert downloaded(tus, image_id) == DATA


def test_what_an_upload_holds_stays_its_own_while_nobody_sends(tus, each_service):
    path, image_id = tus.begin(2000)
    tus.patch(path, 0, DATA[:1000])
    past = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
    with each_service.database.write() as conn:
        conn.execute(quota_rows.RESERVATION.update().values(created_at=past))
        conn.execute(pending.TABLE.update().values(created_at=past))
    clean_up(each_service)
    assert (tus.status(image_id), tus.offset(path)) == ("uploading", 1000)
    assert tus.quota() == {"images": (1, 0), "stored_bytes": (0, 2000), "uploads": (0, 1)}
    agrees(each_service)


def test_an_upload_says_until_when_it_lives(tus):
    path, _ = tus.begin(1000)
    first = tus.send("HEAD", path).headers["Upload-Expires"]
    assert first.endswith(" GMT")
    assert tus.patch(path, 0, b"x").headers["Upload-Expires"] >= first


def test_a_given_up_upload_leaves_the_image_queued_and_no_bytes(tus, each_service):
    path, image_id = tus.begin(2000)
    tus.patch(path, 0, DATA[:1000])
    assert tus.send("DELETE", path).status_code == 204
    assert tus.status(image_id) == "queued"
    assert objects(each_service, image_id) == []
    assert tus.send("HEAD", path).status_code == 404
    assert tus.patch(path, 1000, DATA[1000:2000]).status_code == 404
    assert tus.quota() == {"images": (1, 0), "stored_bytes": (0, 0), "uploads": (0, 0)}
    agrees(each_service)
    assert tus.caller.upload(image_id, b"x" * 1000).status_code == 204


def test_a_deleted_image_takes_its_upload_with_it(tus, each_service):
    path, image_id = tus.begin(2000)
    tus.patch(path, 0, DATA[:1000])
    assert tus.caller.request("DELETE", f"/v2/images/{image_id}").status_code == 204
    assert objects(each_service, image_id) == []
    assert tus.patch(path, 1000, DATA[1000:2000]).status_code == 404
    assert tus.quota() == {"images": (0, 0), "stored_bytes": (0, 0), "uploads": (0, 0)}
    agrees(each_service)


def test_the_audit_trail_tells_of_an_upload(tus, each_service):
    path, image_id, _ = tus.whole(DATA[:1000])
    work(each_service)
    events = tus.caller.get("/imagesvc/v1/audit", query_string=f"target_id={image_id}").json
    told = {event["action"]: event["detail"] for event in events["events"]}
    assert told["upload:create"]["upload_id"] == path.rpartition("/")[2]
    assert told["upload:complete"]["size_bytes"] == 1000
    assert "image_import:complete" in told


def test_chunked_bodies_are_taken(tus, each_service):
    path, image_id = tus.begin(1000)
    headers = {"Tus-Resumable": "1.0.0", "Upload-Offset": "0", "X-Auth-Token": tus.caller.token,
               "Content-Type": OCTETS, "Transfer-Encoding": "chunked"}  # fmt: skip
    found = tus.caller.client.simulate_patch(
        path, body=b"x" * 1000, headers=headers, extras={"wsgi.input_terminated": True}
    )
    assert found.status_code == 204
    work(each_service)
    assert downloaded(tus, image_id) == b"x" * 1000
