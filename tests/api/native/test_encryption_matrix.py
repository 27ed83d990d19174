"""From plain, key A and key B to plain, key A and key B, from each source, on two kinds of KMS."""

import hashlib
import itertools
import random

import pytest

from imagesvc import service as services
from imagesvc.db import image_disk, image_key
from imagesvc.domain import storage_key
from imagesvc.manager import data_key
from imagesvc.worker import reaper
from imagesvc.worker.step import copy as copy_step
from tests.api.native.sealed_place import PaperBackends, SealedPlace
from tests.openbao_server import MOUNT

SIDES = ("plain", "A", "B")
SOURCES = ("upload", "server", "bucket")
KMS = ("local", pytest.param("openbao", marks=pytest.mark.xdist_group("openbao")))
OFTEN = {("server", "plain", "A"), ("bucket", "B", "plain")}
OFTEN |= {("upload", *pair) for pair in itertools.product(SIDES, SIDES)}
# Some at each run, all with the peers.
CASES = [
    pytest.param(*case, marks=() if case in OFTEN else pytest.mark.peer)
    for case in itertools.product(SOURCES, SIDES, SIDES)
]
NEVER = "ffffffff-0000-4000-8000-000000000000"
IMPORT = {"name": "x", "source": {"type": "url", "url": "http://example.com/image"}}


# A key of the file is never deleted, and the file is never away.
on_openbao = pytest.mark.parametrize("kms", ["openbao"], indirect=True, scope="module")


@pytest.fixture(scope="module", params=KMS)
def kms(request):
    """Which one, and its server if it has one."""
    server = request.getfixturevalue("openbao_server") if request.param == "openbao" else None
    return request.param, server


@pytest.fixture(scope="module")
def place(tmp_path_factory, s3_place, kms):
    """The service, with two keys."""
    folder = tmp_path_factory.mktemp("matrix")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(services, "Backends", PaperBackends)
        made = SealedPlace(folder, s3_place, kms[1].section() if kms[1] else "")
    yield made
    made.close()


@pytest.fixture(autouse=True)
def _asked_each_time(monkeypatch):
    """A test waits for no second."""
    monkeypatch.setattr(data_key, "_KEPT_S", 0.0)


@pytest.fixture
def data(request):
    """Bytes of two segments, another for each test."""
    return random.Random(request.node.name).randbytes(1_100_000)


def check(place, image_id, side, data):
    """The image is under that key, or plain, in the store too, and has these bytes."""
    key_id = place.keys[side]
    shown = place.image(image_id)
    assert (shown["status"], shown.get("imagesvc_key_id")) == ("active", key_id)
    assert shown["os_hash_value"] == hashlib.sha512(data).hexdigest()
    assert place.read(image_id).content == data
    with place.service.database.read() as conn:
        (disk,) = image_disk.list_for(conn, image_id)
    ((store, key),) = disk.locations
    with place.service.backends.storage(store)._driver.open_read(key) as stored:
        assert (stored.read() == data) == (key_id is None)
    assert storage_key.is_encrypted(key) == (key_id is not None)
    return place.service.data_keys.open(image_id) if key_id else None


@pytest.mark.parametrize(("source", "before", "after"), CASES)
def test_a_copy_has_the_bytes_of_its_source_under_the_key_that_was_asked_for(
    place, data, source, before, after
):
    image_id = getattr(place, f"by_{source}")(data, place.keys[before])
    copy_id = place.done(place.copy(image_id, place.keys[after]))
    first, second = check(place, image_id, before, data), check(place, copy_id, after, data)
    assert first is None or first != second


def test_each_refusal_has_its_own_reason(place, kms):
    """Nothing is made and no byte moves."""
    other, image_id = place.stranger(), place.by_upload(b"x" * 1000, place.keys["A"])
    disabled, foreign = place.key_of(place.owner), place.key_of(other, default=True)
    place.change(place.owner, disabled, enabled=False)
    listed = len(place.owner.listed())
    for key_id, status, reason in (
        (NEVER, 404, "key-not-found"),
        (foreign, 404, "key-not-found"),
        (disabled, 409, "key-unavailable"),
        ("default", 400, "key-missing"),
    ):
        for found in (
            place.copy(image_id, key_id),
            place.native("captures", {"name": "c", "server_id": "server"}, key_id),
            place.native("imports", IMPORT, key_id),
        ):
            assert (found.status_code, found.json["error"]["reason"]) == (status, reason), key_id
    assert len(place.owner.listed()) == listed


def test_no_key_opens_the_image_of_another(place, data):
    """Neither the project's other key nor the wrapped data key of another image."""
    first, second = (place.by_upload(data, place.keys[name]) for name in ("A", "B"))
    place.change(place.owner, place.keys["A"], enabled=False)
    try:
        assert place.read(first).status_code == 409
        assert place.copy(first, place.keys["B"]).json["error"]["reason"] == "key-unavailable"
        assert place.read(second).content == data
    finally:
        place.change(place.owner, place.keys["A"], enabled=True)
    third = place.by_upload(data, place.keys["A"])
    with place.service.database.write() as conn:
        row, theirs = (image_key.of_owner(conn, one) for one in (first, third))
        assert image_key.rewrap(conn, row, theirs.wrapped, theirs.version)
    found = place.owner.get(f"/imagesvc/v1/images/{first}/disk/0/file")
    assert (found.status_code, found.json["error"]["reason"]) == (500, "integrity")
    with place.service.database.write() as conn:
        changed = image_key.of_owner(conn, first)
        assert image_key.rewrap(conn, changed, row.wrapped, row.version)
    assert place.read(first).content == data


def in_mid_job(monkeypatch, act, point="step.copy.begin"):
    """Do something when a copy is at that point, once."""
    done = []

    def hook(name):
        if name == point and not done:
            done.append(name)
            act()

    monkeypatch.setattr(copy_step, "crashpoint", hook)


@pytest.mark.parametrize("which", ["A", "B"])
def test_a_key_that_is_disabled_in_mid_copy_ends_it_with_that_cause(
    place, data, monkeypatch, which
):
    image_id = place.by_upload(data, place.keys["A"])
    key_id = place.keys[which]
    in_mid_job(monkeypatch, lambda: place.change(place.owner, key_id, enabled=False))
    found = place.copy(image_id, place.keys["B"])
    place.several.work()
    job = place.job(found.json["job"]["id"])
    assert (job["state"], "disabled" in job["cause"]) == ("failed", True), job["cause"]
    assert place.image(found.json["image_id"])["status"] == "killed"
    place.change(place.owner, key_id, enabled=True)
    assert place.owner.request("POST", f"/imagesvc/v1/jobs/{job['id']}/retry").status_code == 202
    assert place.done(found) == found.json["image_id"]
    check(place, found.json["image_id"], "B", data)


def test_a_key_that_is_disabled_between_two_disks_is_noticed_with_the_second(
    place, data, monkeypatch
):
    image_id = place.by_machine(data, place.keys["A"])

    def disable():
        place.change(place.owner, place.keys["A"], enabled=False)

    in_mid_job(monkeypatch, disable, "step.copy.kept")
    found = place.copy(image_id, None)
    place.several.work()
    place.change(place.owner, place.keys["A"], enabled=True)
    ended(place, found, "disabled")


def test_a_member_whose_membership_ends_between_two_disks_gets_neither(place, data, monkeypatch):
    member = place.stranger()
    place.key_of(member, default=True)
    image_id = place.by_machine(data, place.keys["A"])
    place.owner.share(image_id, member.project, "accepted")

    def withdraw():
        path = f"/v2/images/{image_id}/members/{member.project}"
        assert place.owner.request("DELETE", path).status_code == 204

    in_mid_job(monkeypatch, withdraw, "step.copy.kept")
    found = place.copy(image_id, "default", member)
    place.several.work()
    ended(place, found, image_id, member)
    assert place.copy(image_id, "default", member).status_code == 404


def ended(place, found, word, caller=None):
    """The job of an answer failed with this word in its cause, and left no bytes."""
    caller = caller or place.owner
    job = caller.get(f"/imagesvc/v1/jobs/{found.json['job']['id']}").json["job"]
    assert (job["state"], word in job["cause"]) == ("failed", True), job["cause"]
    image_id = found.json["image_id"]
    assert caller.get(f"/v2/images/{image_id}").json["status"] == "killed"
    reaper.run(place.service)
    assert not [key for key in place.several.keys("plain") if key.startswith(image_id)]


@on_openbao
@pytest.mark.peer
@pytest.mark.xdist_group("openbao")
def test_a_deleted_key_opens_nothing_and_says_so(place, kms, data, monkeypatch):
    key_id = place.key_of(place.owner)
    image_id = place.by_upload(data, key_id)

    def delete():
        kms[1].call("POST", f"{MOUNT}/keys/{key_id}/config", {"deletion_allowed": True})
        kms[1].call("DELETE", f"{MOUNT}/keys/{key_id}")

    in_mid_job(monkeypatch, delete)
    found = place.copy(image_id, None)
    place.several.work()
    ended(place, found, "is gone")
    assert place.read(image_id).status_code == 409
    found = place.copy(image_id, None)
    assert (found.status_code, found.json["error"]["reason"]) == (409, "key-unavailable")
    assert place.owner.request("DELETE", f"/v2/images/{image_id}").status_code == 204


@on_openbao
@pytest.mark.peer
@pytest.mark.xdist_group("openbao")
@pytest.mark.parametrize("how", ["killed", "sealed"])
def test_a_kms_that_is_away_in_mid_copy_is_waited_for(place, kms, data, monkeypatch, how):
    away, back = {
        "killed": (kms[1].kill, kms[1].start), "sealed": (kms[1].seal, kms[1].unseal),
    }[how]  # fmt: skip
    image_id, plain = place.by_upload(data, place.keys["A"]), place.by_upload(data, None)
    in_mid_job(monkeypatch, away)
    found = place.copy(image_id, place.keys["B"])
    try:
        place.several.work(rounds=2)
        job = place.job(found.json["job"]["id"])
        assert (job["state"], "does not answer" in job["cause"]) == ("ready", True), job
        assert place.read(image_id).status_code == 503
        assert place.copy(image_id, place.keys["B"]).status_code == 503
        assert place.read(plain).content == data
    finally:
        back()
    assert place.done(found) == found.json["image_id"]
    check(place, found.json["image_id"], "B", data)


@on_openbao
@pytest.mark.peer
@pytest.mark.xdist_group("openbao")
@pytest.mark.parametrize("whose", ["own", "member's"])
def test_a_deleted_default_key_is_told_where_it_would_be_used(place, kms, data, whose):
    caller = place.owner if whose == "own" else place.stranger()
    key_id = place.key_of(caller, default=True)
    image_id = place.by_upload(data, place.keys["A"])
    kms[1].call("POST", f"{MOUNT}/keys/{key_id}/config", {"deletion_allowed": True})
    kms[1].call("DELETE", f"{MOUNT}/keys/{key_id}")
    if whose == "own":
        found = place.copy(image_id, "default")
        assert (found.status_code, found.json["error"]["reason"]) == (404, "key-not-found")
    else:
        path = f"/v2/images/{image_id}/members"
        found = place.owner.request("POST", path, {"member": caller.project})
        assert (found.status_code, "default key" in found.text) == (400, True)
