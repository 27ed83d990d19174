"""Encrypted images against callers who mean no good, races, and bytes that rot."""

import uuid

import pytest

from imagesvc.db import image_key
from imagesvc.domain import storage_key
from imagesvc.manager import data_key, image_file
from imagesvc.worker.step import rewrap_keys
from tests.api.caller import Caller
from tests.api.glance.test_damaged_image import scrub
from tests.api.native.customer import ROOT, Customer
from tests.api.native.test_encryption import DATA, by_upload, enabled, file_of, key_of


@pytest.fixture
def alone(tmp_path, s3_place):
    """A customer of a service on SQLite."""
    made = Customer(tmp_path, f"sqlite:///{tmp_path}/imagesvc.sqlite", s3_place)
    yield made
    made.close()


@pytest.mark.parametrize("who", ["owner", "stranger"])
def test_a_second_creation_under_the_same_id_leaves_the_key_alone(alone, monkeypatch, who):
    monkeypatch.setattr(data_key, "_KEPT_S", 60.0)
    owner, image_id = alone.owner, str(uuid.uuid4())
    key_id = key_of(owner)
    owner.create(id=image_id, imagesvc_key_id=key_id)
    other = owner if who == "owner" else Caller(alone.several.app)
    body = {"id": image_id, "imagesvc_key_id": key_of(other)}
    assert other.request("POST", "/v2/images", body).status_code == 409
    assert owner.upload(image_id, DATA).status_code == 204
    alone.service.data_keys._kept.clear()
    assert file_of(owner, image_id).content == DATA


def test_only_its_owner_offers_an_encrypted_image(alone):
    image_id = by_upload(alone, key_of(alone.owner), DATA, "raw")
    admin = Caller(alone.several.app, None, "admin", "member")
    key_of(admin)
    body = {"member": admin.project}
    found = admin.request("POST", f"/v2/images/{image_id}/members", body)
    assert found.status_code == 403, found.text
    assert file_of(admin, image_id).status_code == 403


def test_a_disabled_key_of_the_owner_stops_the_members_and_offers(alone, monkeypatch):
    monkeypatch.setattr(data_key, "_KEPT_S", 0.0)
    owner, member = alone.owner, Caller(alone.several.app)
    key_id = key_of(owner)
    key_of(member)
    image_id = by_upload(alone, key_id, DATA, "raw")
    owner.share(image_id, member.project, "accepted")
    enabled(owner, key_id, False)
    assert file_of(member, image_id).status_code == 409
    body = {"member": "another"}
    assert owner.request("POST", f"/v2/images/{image_id}/members", body).status_code in (400, 409)


def test_rot_of_encrypted_bytes_is_found_and_mended(alone):
    image_id = by_upload(alone, key_of(alone.owner), DATA, "raw")
    admin = Caller(alone.several.app, alone.owner.project, "admin", "member")
    body = {"method": {"name": "copy-image"}, "stores": ["archive"]}
    assert admin.request("POST", f"/v2/images/{image_id}/import", body).status_code == 202
    alone.several.work()
    (key,) = alone.several.keys("plain")
    path = alone.service.backends.get("storage", "plain").path(key)
    path.chmod(0o600)
    rotten = bytearray(path.read_bytes())
    rotten[1_500_000] ^= 1
    path.write_bytes(rotten)
    assert scrub(alone.several, image_id).bad == 1
    assert scrub(alone.several, image_id, repair=True).repaired == 1
    assert scrub(alone.several, image_id).bad == 0
    assert file_of(alone.owner, image_id).content == DATA


def test_one_lost_key_keeps_no_other_from_its_new_version(alone, monkeypatch):
    monkeypatch.setattr(rewrap_keys, "_left_s", lambda ctx: 0.0)
    key_id = key_of(alone.owner)
    images = [by_upload(alone, key_id, DATA, "raw") for _ in range(3)]
    with alone.service.database.write() as conn:
        row = image_key.get(conn, images[0], alone.owner.project)
        assert image_key.rewrap(conn, row, bytes(len(row.wrapped)), 1)
    found = alone.owner.request("POST", f"{ROOT}/key/{key_id}/rotate")
    alone.several.work()
    job = alone.job(found.json["job"]["id"])
    assert (job["state"], images[0] in job["cause"]) == ("failed", True), job
    assert all(file_of(alone.owner, one).content == DATA for one in images[1:])
    with alone.service.database.read() as conn:
        rows = image_key.page(conn, "local", key_id, ("", ""), 10)
    assert sorted(one.version for one in rows) == [1, 2, 2]


def test_a_key_that_was_on_its_way_while_it_was_rotated_is_wrapped_anew_too(alone, monkeypatch):
    key_id = key_of(alone.owner)
    image_id = by_upload(alone, key_id, DATA, "raw")
    with alone.service.database.read() as conn:
        old = image_key.get(conn, image_id, alone.owner.project)
    found = alone.owner.request("POST", f"{ROOT}/key/{key_id}/rotate")
    alone.several.work()
    job_id = found.json["job"]["id"]
    assert (alone.job(job_id)["state"], alone.job(job_id)["finished_at"]) == ("ready", None)
    with alone.service.database.write() as conn:
        image_key.put(conn, old)
    monkeypatch.setattr(rewrap_keys, "_left_s", lambda ctx: 0.0)
    with alone.service.database.write() as conn:
        conn.exec_driver_sql("UPDATE job SET run_after = created_at")
    alone.several.work()
    assert alone.job(job_id)["state"] == "done"
    with alone.service.database.read() as conn:
        assert image_key.get(conn, image_id, alone.owner.project).version == 2


def test_an_id_in_capitals_is_that_id(alone):
    image_id = str(uuid.uuid4())
    made = alone.owner.create(id=image_id.upper(), imagesvc_key_id=key_of(alone.owner))
    assert made["id"] == image_id
    assert alone.owner.upload(image_id, DATA).status_code == 204
    assert file_of(alone.owner, image_id).content == DATA


def test_the_kms_is_not_asked_for_who_may_not_create(alone, monkeypatch):
    key_id = key_of(alone.owner)
    driver = alone.service.backends.encryption()
    monkeypatch.setattr(driver, "generate_data_key", pytest.fail)
    reader = Caller(alone.several.app, alone.owner.project, "reader")
    found = reader.request("POST", "/v2/images", {"imagesvc_key_id": key_id})
    assert found.status_code == 403


def test_no_image_claims_a_key_that_it_has_not(alone):
    found = alone.bring(work=False, properties={"imagesvc_key_id": "k"})
    assert found.status_code == 403


def test_plain_bytes_never_become_those_of_an_encrypted_image(alone, monkeypatch):
    image_id = alone.owner.create(imagesvc_key_id=key_of(alone.owner))["id"]

    class OlderRelease:
        make = staticmethod(lambda image_id, name, *, encrypted: f"{image_id}/{name}")
        is_encrypted = storage_key.is_encrypted

    monkeypatch.setattr(image_file, "storage_key", OlderRelease)
    assert alone.owner.upload(image_id, DATA).status_code in (409, 410)
    assert alone.owner.get(f"/v2/images/{image_id}").json["status"] == "queued"
