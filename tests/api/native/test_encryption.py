"""Encrypted images: from each door into the store and back, shared, rotated, revoked."""

import datetime
import os

import pytest
import sqlalchemy as sa

from imagesvc.context import RequestContext
from imagesvc.db import image as image_rows
from imagesvc.db import image_key, image_table, metadata
from imagesvc.domain import storage_key
from imagesvc.manager import data_key
from imagesvc.stream.envelope import LAYOUT
from imagesvc.worker.step import rewrap_keys
from tests import hostile_image, open_job
from tests.api.caller import OCTETS, Caller
from tests.api.native.customer import ROOT, Customer
from tests.api.native.tus import Tus

MARKER = b"seen nowhere on the disk"
DATA = MARKER * 100_000
NEVER = "ffffffff-0000-4000-8000-000000000000"


@pytest.fixture(autouse=True)
def _asked_each_time(monkeypatch):
    """A test waits for no second, and for no lease."""
    monkeypatch.setattr(data_key, "_KEPT_S", 0.0)
    monkeypatch.setattr(rewrap_keys, "_left_s", lambda ctx: 0.0)


@pytest.fixture
def alone(tmp_path, s3_place):
    """A customer of a service on SQLite, for what no engine sees."""
    made = Customer(tmp_path, f"sqlite:///{tmp_path}/imagesvc.sqlite", s3_place)
    yield made
    made.close()


def key_of(caller, default=True):
    """A new key of the caller's project; its id."""
    key_id = caller.request("POST", f"{ROOT}/key", {"name": "k"}).json["key"]["id"]
    if default:
        caller.request("PATCH", f"{ROOT}/key/{key_id}", {"default": True})
    return key_id


def enabled(caller, key_id, value):
    """Enable or disable a key."""
    found = caller.request("PATCH", f"{ROOT}/key/{key_id}", {"enabled": value})
    assert found.status_code == 200, found.text


def file_of(caller, image_id, **headers):
    """The answer to a download."""
    return caller.get(f"/v2/images/{image_id}/file", headers=headers)


def on_disk(customer, mark=MARKER):
    """The files of the service that hold these bytes in plain."""
    found = []
    for folder, _, names in os.walk(customer.several.folder):
        for name in names:
            with open(os.path.join(folder, name), "rb") as file:
                if mark in file.read():
                    found.append(name)
    return found


def by_upload(customer, key_id, data, disk_format):
    image_id = customer.owner.create(imagesvc_key_id=key_id, disk_format=disk_format)["id"]
    assert customer.owner.upload(image_id, data).status_code == 204
    return image_id


def by_stage(customer, key_id, data, disk_format):
    image_id = customer.owner.create(imagesvc_key_id=key_id, disk_format=disk_format)["id"]
    path = f"/v2/images/{image_id}"
    assert customer.owner.request("PUT", f"{path}/stage", data, kind=OCTETS).status_code == 204
    assert on_disk(customer) == []
    method = {"method": {"name": "glance-direct"}}
    assert customer.owner.request("POST", f"{path}/import", method).status_code == 202
    customer.several.work()
    return image_id


def by_tus(customer, key_id, data, disk_format):
    tus = Tus(customer.owner)
    image = {"imagesvc_key_id": key_id, "disk_format": disk_format}
    path, image_id = tus.begin(len(data), image=image)
    half = len(data) // 2
    assert tus.patch(path, 0, data[:half]).status_code == 204
    assert on_disk(customer) == []
    assert tus.patch(path, half, data[half:]).status_code == 204
    customer.several.work()
    return image_id


def by_bucket(customer, key_id, data, disk_format):
    customer.lay(data)
    image, job = customer.bring(key_id=key_id, disk_format=disk_format)
    assert job["state"] == "done", job
    return image["id"]


DOORS = {"upload": by_upload, "stage": by_stage, "tus": by_tus, "bucket": by_bucket}


@pytest.mark.parametrize("door", DOORS)
def test_what_comes_in_is_encrypted_on_its_way_and_comes_out_as_it_was(customer, door):
    key_id = key_of(customer.owner)
    image_id = DOORS[door](customer, key_id, DATA, "raw")

    shown = customer.owner.get(f"/v2/images/{image_id}").json
    assert (shown["status"], shown["size"], shown["imagesvc_key_id"]) == (
        "active", len(DATA), key_id,
    )  # fmt: skip
    assert file_of(customer.owner, image_id).content == DATA
    assert on_disk(customer) == []
    assert all(storage_key.is_encrypted(one) for one in customer.several.keys("plain"))
    native = customer.owner.get(f"{ROOT}/images/{image_id}").json["image"]
    assert (native["encrypted"], native["key_id"], native["size_bytes"]) == (
        True, key_id, len(DATA),
    )  # fmt: skip


@pytest.mark.parametrize("door", DOORS)
def test_both_gates_look_into_encrypted_disks(alone, door):
    key_id = key_of(alone.owner)
    data = hostile_image.qcow2(data=b"inside")
    image_id = DOORS[door](alone, key_id, data, "qcow2")
    assert file_of(alone.owner, image_id).content == data


def test_a_hostile_disk_is_refused_though_it_is_encrypted(alone):
    key_id = key_of(alone.owner)
    case = next(
        one for one in hostile_image.CASES.values()
        if one.declared == "qcow2" and one.late and not one.accepted
    )  # fmt: skip
    image_id = alone.owner.create(imagesvc_key_id=key_id, disk_format="qcow2")["id"]
    assert alone.owner.upload(image_id, case.data).status_code == 415
    assert alone.owner.get(f"/v2/images/{image_id}").json["status"] == "queued"


@pytest.mark.parametrize(
    "span", [(0, 99), (LAYOUT.first_bytes - 5, LAYOUT.first_bytes + 5), (1_500_000, 2_399_999)]
)
def test_a_range_is_exactly_that_range(alone, span):
    image_id = by_upload(alone, key_of(alone.owner), DATA, "raw")
    found = file_of(alone.owner, image_id, Range=f"bytes={span[0]}-{span[1]}")
    assert found.status_code == 206
    assert found.content == DATA[span[0] : span[1] + 1]


def test_the_default_key_is_used_where_it_is_asked_for(alone):
    key_id = key_of(alone.owner)
    image_id = by_upload(alone, "default", DATA, "raw")
    assert alone.owner.get(f"/v2/images/{image_id}").json["imagesvc_key_id"] == key_id


def test_without_a_default_key_that_is_told(alone):
    found = alone.owner.request("POST", "/v2/images", {"imagesvc_key_id": "default"})
    assert (found.status_code, "default key" in found.text) == (400, True)


@pytest.mark.parametrize("whose", ["nobody's", "another's", "disabled"])
def test_a_key_that_opens_nothing_makes_no_image(alone, whose):
    key_id = NEVER
    if whose == "another's":
        key_id = key_of(Caller(alone.several.app))
    if whose == "disabled":
        key_id = key_of(alone.owner)
        enabled(alone.owner, key_id, False)
    found = alone.owner.request("POST", "/v2/images", {"imagesvc_key_id": key_id})
    assert found.status_code == (409 if whose == "disabled" else 400), found.text
    source = {"type": "url", "url": "http://example.com/image"}
    body = {"name": "x", "source": source, "key_id": key_id}
    found = alone.owner.request("POST", f"{ROOT}/imports", body)
    reason = "key-unavailable" if whose == "disabled" else "key-not-found"
    assert found.json["error"]["reason"] == reason
    assert alone.owner.listed() == []


def test_a_disabled_key_stops_reading_and_writing_before_a_byte_moves(alone):
    key_id = key_of(alone.owner)
    image_id = by_upload(alone, key_id, DATA, "raw")
    waiting = alone.owner.create(imagesvc_key_id=key_id)["id"]
    enabled(alone.owner, key_id, False)

    assert file_of(alone.owner, image_id).status_code == 409
    assert alone.owner.upload(waiting, DATA).status_code == 409
    assert alone.owner.get(f"/v2/images/{waiting}").json["status"] == "queued"
    enabled(alone.owner, key_id, True)
    assert file_of(alone.owner, image_id).content == DATA
    assert alone.owner.upload(waiting, DATA).status_code == 204


def test_the_key_of_an_image_never_changes(alone):
    image_id = by_upload(alone, key_of(alone.owner), DATA, "raw")
    for op, value in (("replace", ("x",)), ("remove", ())):
        found = alone.owner.patch(image_id, (op, "/imagesvc_key_id", *value))
        assert found.status_code == 403, found.text
    plain = alone.owner.active()
    assert alone.owner.patch(plain, ("add", "/imagesvc_key_id", "x")).status_code == 403


@pytest.mark.parametrize("visibility", ["public", "community"])
def test_an_encrypted_image_is_not_open_to_all(alone, visibility):
    key_id = key_of(alone.owner)
    admin = Caller(alone.several.app, alone.owner.project, "admin", "member")
    body = {"imagesvc_key_id": key_id, "visibility": visibility}
    assert admin.request("POST", "/v2/images", body).status_code == 400
    image_id = admin.create(imagesvc_key_id=key_id)["id"]
    assert admin.patch(image_id, ("replace", "/visibility", visibility)).status_code == 400
    assert admin.patch(image_id, ("replace", "/owner", "another")).status_code == 400


def test_a_shared_image_is_opened_by_the_members_own_key_until_it_is_withdrawn(customer):
    owner, member = customer.owner, Caller(customer.several.app)
    image_id = by_upload(customer, key_of(owner), DATA, "raw")
    objects = customer.several.keys("plain")
    path = f"/v2/images/{image_id}/members"

    found = owner.request("POST", path, {"member": member.project})
    assert (found.status_code, member.project in found.text) == (400, True)
    key_id = key_of(member)
    owner.share(image_id, member.project, "accepted")
    assert file_of(member, image_id).content == DATA
    enabled(member, key_id, False)
    assert file_of(member, image_id).status_code == 409
    assert file_of(owner, image_id).content == DATA
    enabled(member, key_id, True)
    assert file_of(member, image_id).content == DATA
    assert owner.request("DELETE", f"{path}/{member.project}").status_code == 204
    assert file_of(member, image_id).status_code == 404
    assert customer.several.keys("plain") == objects


def test_an_admin_of_another_project_has_no_key(alone):
    image_id = by_upload(alone, key_of(alone.owner), DATA, "raw")
    admin = Caller(alone.several.app, None, "admin", "member")
    assert file_of(admin, image_id).status_code == 403


def test_the_owner_stays_able_to_read_what_it_offers_to_itself(alone):
    key_id = key_of(alone.owner, default=False)
    image_id = by_upload(alone, key_id, DATA, "raw")
    project = alone.owner.project
    alone.owner.request("POST", f"/v2/images/{image_id}/members", {"member": project})
    alone.owner.request("DELETE", f"/v2/images/{image_id}/members/{project}")
    assert file_of(alone.owner, image_id).content == DATA


def test_a_rotation_wraps_all_data_keys_anew_and_moves_no_object(customer):
    owner = customer.owner
    key_id = key_of(owner)
    images = [by_upload(customer, key_id, DATA, "raw") for _ in range(3)]
    store = customer.service.backends.storage("plain")
    before = [(one.key, one.etag) for one in store.list()]

    found = owner.request("POST", f"{ROOT}/key/{key_id}/rotate")
    assert (found.status_code, found.json["key"]["version"]) == (202, 2)
    customer.several.work()
    job = customer.job(found.json["job"]["id"])
    assert (job["state"], job["type"]) == ("done", "rewrap-keys")
    with customer.service.database.read() as conn:
        rows = image_key.page(conn, "local", key_id, ("", ""), 10)
    assert [row.version for row in rows] == [2, 2, 2]
    assert [(one.key, one.etag) for one in store.list()] == before
    assert all(file_of(owner, one).content == DATA for one in images)


def test_a_rotation_reaches_the_keys_of_images_in_the_bin(customer):
    owner, key_id = customer.owner, key_of(customer.owner)
    image_id = by_upload(customer, key_id, DATA, "raw")
    table, until = image_table.TABLE, metadata.now() + datetime.timedelta(hours=1)
    with customer.service.database.write() as conn:
        image_rows.transition(conn, image_id, "bin", {"bin_until": until, "bin_status": "active"})
        customer.service.quotas.count(conn, owner.project, images=-1)
    owner.request("POST", f"{ROOT}/key/{key_id}/rotate")
    customer.several.work()
    with customer.service.database.read() as conn:
        (row,) = image_key.page(conn, "local", key_id, ("", ""), 10)
        assert (
            conn.scalar(sa.select(table.c.status).where(table.c.id == image_id)) == "pending_delete"
        )
    assert (row.image_id, row.version) == (image_id, 2)
    assert owner.request("POST", f"{ROOT}/bin/{image_id}/undo").status_code == 200
    assert file_of(owner, image_id).content == DATA


def test_a_deleted_image_leaves_no_key(alone):
    key_id = key_of(alone.owner)
    image_id = by_upload(alone, key_id, DATA, "raw")
    assert alone.owner.request("DELETE", f"/v2/images/{image_id}").status_code == 204
    with alone.service.database.read() as conn:
        assert image_key.count(conn, "local", key_id) == 0


def test_a_copy_in_another_store_is_encrypted_too(alone):
    image_id = by_upload(alone, key_of(alone.owner), DATA, "raw")
    admin = Caller(alone.several.app, alone.owner.project, "admin", "member")
    body = {"method": {"name": "copy-image"}, "stores": ["archive"]}
    found = admin.request("POST", f"/v2/images/{image_id}/import", body)
    assert found.status_code == 202, found.text
    alone.several.work()
    assert len(alone.several.keys("archive")) == 1
    assert on_disk(alone) == []


def test_an_owners_disabled_key_closes_the_image_to_its_members_too(alone, monkeypatch):
    owner, member = alone.owner, Caller(alone.several.app)
    key_id = key_of(owner)
    image_id = by_upload(alone, key_id, DATA, "raw")
    key_of(member)
    owner.share(image_id, member.project, "accepted")
    assert file_of(member, image_id).content == DATA
    enabled(owner, key_id, False)
    monkeypatch.setattr(data_key, "_KEPT_S", 60.0)  # what the member's key opened is no way round
    assert file_of(member, image_id).status_code == 409


def test_a_signed_url_says_that_the_key_opens_nothing(alone):
    """Drivers look for that reason, see `imagesvc_drivers.client.image_fetch`."""
    key_id = key_of(alone.owner)
    image_id = by_upload(alone, key_id, DATA, "raw")
    caller = RequestContext("u", alone.owner.project, frozenset({"member"}))
    job_id = open_job.begin(alone.service, caller)
    url = alone.service.image_files.sign(image_id, 0, job_id)
    path, _, query = url.partition("/imagesvc/")[2].partition("?")
    found = alone.owner.get(f"/imagesvc/{path}", query_string=query)
    assert found.content == DATA
    enabled(alone.owner, key_id, False)
    found = alone.owner.get(f"/imagesvc/{path}", query_string=query)
    assert (found.status_code, found.json["error"]["reason"]) == (409, "key-unavailable")
    assert '"key-unavailable"' in found.text
