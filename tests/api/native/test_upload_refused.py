"""Resumable uploads, through HTTP, on each engine: what is refused, breaks off, or comes at once."""

import base64
import dataclasses
import hashlib
import os
import threading

import pytest

from imagesvc.db import upload as upload_rows
from imagesvc.domain.disk_format import KEPT_FORMATS
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
from tests.hostile_image import CASES, qcow2

DATA = os.urandom(300_000)
MIB = 1 << 20


@pytest.fixture
def tus(each_app):
    """A client of a project of its own."""
    return Tus(Caller(each_app))


class Broken:
    """A body that breaks off."""

    def __init__(self, data):
        self._data = data

    def read(self, size):
        """What there is, and then the end of the connection."""
        if not self._data:
            raise ConnectionResetError
        data, self._data = self._data[:size], self._data[size:]
        return data

    readline = readlines = __iter__ = None  # what a server's stream has, and nobody uses


class Stalled(Broken):
    """A body that waits in the middle until it is told to end."""

    def __init__(self, data):
        super().__init__(data)
        self.waits, self.goes_on = threading.Event(), threading.Event()

    def read(self, size):
        """What there is, a wait, one byte more, the end."""
        if self._data:
            return super().read(size)
        if not self.waits.is_set():
            self.waits.set()
            assert self.goes_on.wait(60)
            return b"x"
        return b""


def stream(tus, path, offset, body, length, **headers):
    """PATCH with a body that is an object."""
    sent = {
        "Tus-Resumable": "1.0.0", "Upload-Offset": str(offset), "Content-Type": OCTETS,
        "X-Auth-Token": tus.caller.token, "Content-Length": str(length),
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }  # fmt: skip
    extras = {"wsgi.input": body, "wsgi.input_terminated": True}
    return tus.caller.client.simulate_patch(path, headers=sent, extras=extras)


# -------------------------------------------------------------- headers


def test_another_version_of_the_protocol_is_refused(tus):
    path, image_id = tus.begin(10)
    for version in (None, "0.2.2", "1.0"):
        for found in (
            tus.send("HEAD", path, version=version),
            tus.send("DELETE", path, version=version),
            tus.send("PATCH", path, b"x", kind=OCTETS, version=version, Upload_Offset=0),
            tus.send("POST", PATH, version=version, Upload_Length=1),
        ):
            assert found.status_code == 412
            assert found.headers["Tus-Version"] == found.headers["Tus-Resumable"] == "1.0.0"
    assert (tus.offset(path), tus.status(image_id)) == (0, "uploading")


def test_bytes_of_another_kind_are_refused(tus):
    path, _ = tus.begin(10)
    for kind in ("application/octet-stream", "application/json", "text/plain"):
        assert tus.send("PATCH", path, b"x", kind=kind, Upload_Offset=0).status_code == 415
    assert tus.send("PATCH", path, b"x", Upload_Offset=0).status_code == 415
    assert tus.offset(path) == 0


@pytest.mark.parametrize("offset", ["", "-1", "+1", "1e3", "x", "٣", "9" * 19, "0x1"])
def test_an_offset_that_is_no_number_is_refused(tus, offset):
    path, _ = tus.begin(10)
    assert tus.patch(path, offset.encode().decode("latin-1"), b"x").status_code == 400
    assert tus.send("PATCH", path, b"x", kind=OCTETS).status_code == 400


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Upload_Length": "1", "Upload_Defer_Length": "1"},
        {"Upload_Defer_Length": "2"},
        {"Upload_Length": "-1"},
        {"Upload_Length": "1_0"},
        {"Upload_Length": "9" * 400},
    ],
)
def test_a_length_that_is_none_is_refused(tus, headers):
    image_id = tus.caller.create()["id"]
    found = tus.send("POST", PATH, Upload_Metadata=encoded(image_id=image_id), **headers)
    assert found.status_code == 400
    assert tus.status(image_id) == "queued"


def metadata(image_id):
    """Upload-Metadata that nobody should send."""
    good = encoded(image_id=image_id)
    raw = base64.b64encode
    return {
        "empty": "",
        "no image": encoded(filename="x"),
        "no value": "image_id",
        "no base64": "image_id !!!",
        "loose base64": good + "\\",
        "twice": f"{good},{good}",
        "empty pair": f"{good},",
        "no utf-8": f"{good},filename {raw(bytes([0xFF, 0xFE])).decode()}",
        "NUL": f"{good},filename {raw(b'a' + bytes(1)).decode()}",
        "line end": f"{good},filename {raw(b'a' + bytes([13, 10]) + b'Set-Cookie: x').decode()}",
        "long value": encoded(image_id=image_id, filename="x" * 256),
        "long": encoded(image_id=image_id, **{f"k{n}": "x" * 200 for n in range(20)}),
        "odd key": f"{good},g\u00fc eA==",
        "disk": encoded(image_id=image_id, disk="-1"),
        "disk text": encoded(image_id=image_id, disk="\u0663"),
        "digest": encoded(image_id=image_id, sha256="g" * 64),
        "short digest": encoded(image_id=image_id, sha256="ab"),
        "store": encoded(image_id=image_id, store="../../etc"),
    }


@pytest.mark.parametrize("name", list(metadata("")))
def test_hostile_metadata_are_refused(tus, name):
    image_id = tus.caller.create()["id"]
    found = tus.send("POST", PATH, Upload_Length=1, Upload_Metadata=metadata(image_id)[name])
    assert found.status_code == 400, found.text
    assert tus.status(image_id) == "queued"


@pytest.mark.parametrize(
    "text", ["md5", "crc32 eA==", "sha256 eA==", "md5 !", "MD5 " + digest_of(b"", "md5")[4:], " "]
)
def test_a_checksum_that_is_none_is_refused(tus, text):
    path, _ = tus.begin(10)
    assert tus.patch(path, 0, b"x", Upload_Checksum=text).status_code == 400
    assert tus.offset(path) == 0


# --------------------------------------------------------------- who may


def test_uploads_of_others_are_not_found(tus, each_app):
    path, image_id = tus.begin(10)
    other, admin = Tus(Caller(each_app)), Tus(Caller(each_app, None, "admin"))
    for found in (
        other.send("HEAD", path),
        other.caller.get(path),
        other.patch(path, 0, b"x"),
        other.send("DELETE", path),
        other.ask(image_id, 5),
    ):
        assert found.status_code == 404
    assert admin.offset(path) == tus.offset(path) == 0


def test_a_reader_looks_and_sends_nothing(tus, each_app):
    path, _ = tus.begin(10)
    queued = tus.caller.create()["id"]
    reader = Tus(Caller(each_app, tus.caller.project, "reader"))
    assert reader.offset(path) == 0
    assert reader.patch(path, 0, b"x").status_code == 403
    assert reader.send("DELETE", path).status_code == 403
    assert reader.ask(queued, 5).status_code == 403
    assert tus.offset(path) == 0


@pytest.mark.parametrize("image_id", ["x", "00000000-0000-4000-8000-000000000000"])
def test_an_image_that_is_not_there_gets_no_upload(tus, image_id):
    assert tus.ask(image_id, 5).status_code == 404


def test_an_image_gets_one_upload_at_a_time(tus):
    _, image_id = tus.begin(10)
    assert tus.ask(image_id, 5).status_code == 409
    assert tus.caller.upload(image_id).status_code == 409
    direct = {"method": {"name": "glance-direct"}}
    answer = tus.caller.request("POST", f"/v2/images/{image_id}/import", direct)
    assert answer.status_code == 409
    assert tus.status(image_id) == "uploading"


def test_an_image_without_formats_gets_no_upload(tus):
    image_id = tus.caller.create(disk_format=None)["id"]
    assert tus.ask(image_id, 5).status_code == 400


def test_there_is_no_second_disk(tus):
    image_id = tus.caller.create()["id"]
    assert tus.ask(image_id, 5, disk="1").status_code == 404


# ---------------------------------------------------------------- quotas


def limit(tus, **limits):
    """Set limits of the project."""
    admin = Caller(tus.caller.client.app, None, "admin")
    found = admin.request("PUT", f"/imagesvc/v1/quota/{tus.caller.project}", limits)
    assert found.status_code == 200


def test_more_than_the_quota_is_refused_before_a_byte(tus):
    limit(tus, stored_bytes=100, uploads=1)
    image_id = tus.caller.create()["id"]
    assert tus.ask(image_id, 101).status_code == 413
    assert tus.ask(image_id, 100).status_code == 201
    other = tus.caller.create()["id"]
    assert tus.ask(other, 0).status_code == 413
    assert tus.quota()["stored_bytes"] == (0, 100)


def test_bytes_that_nobody_announced_end_at_the_quota(tus, each_service):
    limit(tus, stored_bytes=100)
    path, image_id = tus.begin()
    assert tus.patch(path, 0, b"x" * 60).status_code == 204
    assert tus.patch(path, 60, b"x" * 41).status_code == 413
    assert tus.offset(path) == 60
    assert len(objects(each_service, image_id)) == 1
    agrees(each_service)


def test_bytes_that_wait_for_their_checksum_end_at_the_quota(tus, each_service, monkeypatch):
    limit(tus, stored_bytes=MIB + 1)
    writer = each_service.upload_writer
    monkeypatch.setattr(writer, "_limits", dataclasses.replace(writer._limits, part_bytes=MIB))
    path, image_id = tus.begin()
    tus.patch(path, 0, b"x")
    data, stored = b"x" * (4 * MIB), []
    store = each_service.backends.storage()
    opened = store.open_write
    monkeypatch.setattr(store, "open_write", lambda *a, **k: stored.append(1) or opened(*a, **k))
    body = Broken(data)
    found = stream(tus, path, 1, body, len(data), Upload_Checksum=digest_of(data))
    assert (found.status_code, len(stored)) == (413, 2)
    assert (tus.offset(path), len(objects(each_service, image_id))) == (1, 1)
    agrees(each_service)
    good = data[:MIB]
    assert tus.patch(path, 1, good, Upload_Checksum=digest_of(good)).status_code == 204


def test_an_image_may_not_be_larger_than_the_operator_says(tus, each_service, monkeypatch):
    cap = each_service.conf.limit.image_size_bytes
    image_id = tus.caller.create()["id"]
    assert tus.ask(image_id, cap + 1).status_code == 413
    path, _ = tus.begin()
    assert tus.patch(path, 0, b"", Upload_Length=cap + 1).status_code == 413
    writer = each_service.upload_writer
    monkeypatch.setattr(writer, "_limits", dataclasses.replace(writer._limits, size_cap_bytes=9))
    assert stream(tus, path, 0, Broken(b"x" * 10), 0).status_code == 413
    assert tus.offset(path) == 0


# ----------------------------------------------------------------- bytes


def test_bytes_go_on_where_the_upload_stands_and_nowhere_else(tus):
    path, _ = tus.begin(1000)
    assert tus.patch(path, 0, b"x" * 10).status_code == 204
    for offset in (0, 9, 11, 10**17):
        assert tus.patch(path, offset, b"x").status_code == 409
    assert tus.offset(path) == 10


@pytest.mark.parametrize("chunked", [False, True])
def test_more_bytes_than_were_announced_are_refused(tus, each_service, chunked):
    path, image_id = tus.begin(100)
    if chunked:
        extras = Broken(b"x" * 101)
        found = stream(tus, path, 0, extras, 0)
    else:
        found = tus.patch(path, 0, b"x" * 101)
    assert found.status_code == 400
    assert (tus.offset(path), tus.status(image_id)) == (0, "uploading")
    assert objects(each_service, image_id) == []
    agrees(each_service)


def test_a_length_is_told_once(tus):
    path, _ = tus.begin(100)
    assert tus.patch(path, 0, b"x", Upload_Length=101).status_code == 400
    assert tus.patch(path, 0, b"x", Upload_Length=100).status_code == 204


def test_bytes_with_a_wrong_checksum_do_not_count(tus, each_service):
    path, image_id = tus.begin(len(DATA))
    tus.patch(path, 0, DATA[:100])
    found = tus.patch(path, 100, DATA[100:], Upload_Checksum=digest_of(b"other"))
    assert (found.status_code, found.status.partition(" ")[0]) == (460, "460")
    assert tus.offset(path) == 100
    assert len(objects(each_service, image_id)) == 1
    agrees(each_service)
    assert tus.patch(path, 100, DATA[100:]).status_code == 204
    work(each_service)
    assert tus.caller.get(f"/v2/images/{image_id}/file").content == DATA


def test_what_came_before_the_connection_broke_is_kept(tus, each_service):
    path, image_id = tus.begin(len(DATA))
    assert stream(tus, path, 0, Broken(DATA[:100_001]), len(DATA)).status_code == 400
    assert tus.offset(path) == 100_001
    agrees(each_service)
    assert tus.patch(path, 100_001, DATA[100_001:]).status_code == 204
    work(each_service)
    assert tus.caller.get(f"/v2/images/{image_id}/file").content == DATA


def test_what_came_before_the_connection_broke_does_not_count_without_its_checksum(
    tus, each_service
):
    path, image_id = tus.begin(len(DATA))
    checksum = digest_of(DATA)
    found = stream(tus, path, 0, Broken(DATA[:9]), len(DATA), Upload_Checksum=checksum)
    assert (found.status_code, tus.offset(path)) == (400, 0)
    assert objects(each_service, image_id) == []
    agrees(each_service)


def begin_stalled(tus, path, length):
    """A PATCH in a thread that waits in the middle; (body, thread, its answers)."""
    body, answers = Stalled(DATA[:1000]), []
    thread = threading.Thread(
        target=lambda: answers.append(stream(tus, path, 0, body, length)), daemon=True
    )
    thread.start()
    assert body.waits.wait(60)
    return body, thread, answers


def test_a_second_request_waits_for_the_first(tus, each_service):
    path, image_id = tus.begin(1001)
    body, thread, answers = begin_stalled(tus, path, 1001)
    try:
        found = tus.patch(path, 0, DATA[:1001])
        assert (found.status_code, int(found.headers["Retry-After"]) > 0) == (423, True)
    finally:
        body.goes_on.set()
        thread.join()
    assert [one.status_code for one in answers] == [204]
    assert tus.patch(path, 0, DATA[:1001]).status_code == 409
    work(each_service)
    assert tus.caller.get(f"/v2/images/{image_id}/file").content == DATA[:1000] + b"x"


def lapse(service, path):
    """Let the lease of an upload lapse, as time would."""
    table = upload_rows.TABLE
    with service.database.write() as conn:
        mine = table.c.id == path.rpartition("/")[2]
        conn.execute(table.update().where(mine).values(lease_until=table.c.created_at))


def test_a_stalled_request_loses_the_upload_to_the_next_and_changes_nothing(tus, each_service):
    path, image_id = tus.begin(2000)
    body, thread, answers = begin_stalled(tus, path, 2000)
    lapse(each_service, path)
    try:
        assert tus.patch(path, 0, DATA[:1500]).status_code == 204
    finally:
        body.goes_on.set()
        thread.join()
    assert [one.status_code for one in answers] == [409]
    assert tus.offset(path) == 1500
    clean_up(each_service)
    assert len(objects(each_service, image_id)) == 1
    agrees(each_service)
    assert tus.patch(path, 1500, DATA[1500:2000]).status_code == 204
    work(each_service)
    assert tus.caller.get(f"/v2/images/{image_id}/file").content == DATA[:2000]


@pytest.mark.parametrize("end", ["DELETE upload", "DELETE image"])
def test_a_request_under_way_finds_that_its_upload_is_gone(tus, each_service, end):
    path, image_id = tus.begin(1001)
    body, thread, answers = begin_stalled(tus, path, 1001)
    try:
        if end == "DELETE image":
            assert tus.caller.request("DELETE", f"/v2/images/{image_id}").status_code == 204
        else:
            assert tus.send("DELETE", path).status_code == 204
    finally:
        body.goes_on.set()
        thread.join()
    assert [one.status_code for one in answers] == [404]
    clean_up(each_service)
    assert objects(each_service, image_id) == []
    agrees(each_service)


def test_of_many_at_once_one_wins(tus, each_service):
    path, image_id = tus.begin(len(DATA))
    answers, gate = [], threading.Barrier(6)

    def send():
        gate.wait()
        answers.append(tus.patch(path, 0, DATA).status_code)

    threads = [threading.Thread(target=send) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers.count(204) == 1
    assert set(answers) <= {204, 409, 423}
    work(each_service)
    assert tus.caller.get(f"/v2/images/{image_id}/file").content == DATA
    agrees(each_service)


# ------------------------------------------------------------ what follows


def expire(service, path):
    """Let an upload expire, as time would."""
    table = upload_rows.TABLE
    with service.database.write() as conn:
        mine = table.c.id == path.rpartition("/")[2]
        conn.execute(table.update().where(mine).values(expires_at=table.c.created_at))


def test_an_upload_expires_when_nobody_goes_on_with_it(tus, each_service):
    path, image_id = tus.begin(2000)
    tus.patch(path, 0, DATA[:1000])
    expire(each_service, path)
    assert tus.send("HEAD", path).status_code == 404
    assert tus.patch(path, 1000, DATA[1000:2000]).status_code == 404
    clean_up(each_service)
    assert (tus.status(image_id), objects(each_service, image_id)) == ("queued", [])
    assert tus.quota() == {"images": (1, 0), "stored_bytes": (0, 0), "uploads": (0, 0)}
    agrees(each_service)


@pytest.mark.parametrize("size", [2000, 1001])
def test_bytes_that_come_just_when_an_upload_expires_are_kept(tus, each_service, monkeypatch, size):
    path, image_id = tus.begin(size)
    body, thread, answers = begin_stalled(tus, path, 1001)
    lapse(each_service, path)
    expire(each_service, path)
    listed = upload_rows.expired

    def late(*args):
        found = listed(*args)
        assert found == (path.rpartition("/")[2],)
        body.goes_on.set()
        thread.join()
        return found

    monkeypatch.setattr(upload_rows, "expired", late)
    clean_up(each_service)
    assert [one.status_code for one in answers] == [204]
    assert (tus.offset(path), len(objects(each_service, image_id))) == (1001, 1)
    agrees(each_service)


def failed(tus, each_service, image_id, answer, word):
    """The job failed, and nothing is left of the bytes."""
    work(each_service)
    clean_up(each_service)
    job = tus.job(answer)
    assert (job["state"], word in job["cause"]) == ("failed", True), job["cause"]
    assert (tus.status(image_id), objects(each_service, image_id)) == ("queued", [])
    assert tus.quota() == {"images": (1, 0), "stored_bytes": (0, 0), "uploads": (0, 0)}
    agrees(each_service)


def test_bytes_with_another_digest_make_no_image(tus, each_service):
    other = hashlib.sha256(b"other").hexdigest()
    _, image_id, answer = tus.whole(DATA, sha256=other)
    failed(tus, each_service, image_id, answer, "digest")
    assert tus.caller.upload(image_id, DATA).status_code == 204


@pytest.mark.parametrize(
    "name",
    [name for name, case in CASES.items() if not case.accepted and case.declared in KEPT_FORMATS],
)
def test_a_hostile_image_makes_no_image(service, app, name):
    tus, case = Tus(Caller(app)), CASES[name]
    _, image_id, answer = tus.whole(case.data, image={"disk_format": case.declared})
    failed(tus, service, image_id, answer, "")


def test_an_image_of_another_format_than_declared_makes_no_image(tus, each_service):
    _, image_id, answer = tus.whole(qcow2(), image={"disk_format": "raw"})
    failed(tus, each_service, image_id, answer, "refused")


def test_a_cancelled_job_leaves_no_bytes(tus, each_service):
    path, image_id, answer = tus.whole(DATA)
    job_id = answer.headers["X-Job-Id"]
    assert tus.send("DELETE", path).status_code == 409
    assert tus.caller.request("POST", f"/imagesvc/v1/jobs/{job_id}/cancel").status_code == 202
    clean_up(each_service)
    assert (tus.status(image_id), objects(each_service, image_id)) == ("queued", [])
    agrees(each_service)
    assert tus.send("DELETE", path).status_code == 204
    path, _ = tus.begin(10)
    assert tus.offset(path) == 0


def test_an_image_deleted_before_its_job_leaves_no_bytes(tus, each_service):
    _, image_id, _ = tus.whole(DATA)
    assert tus.caller.request("DELETE", f"/v2/images/{image_id}").status_code == 204
    work(each_service)
    assert objects(each_service, image_id) == []
    agrees(each_service)
