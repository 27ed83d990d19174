"""What the operator does to every import."""

import gzip
import hashlib
import lzma
import os
import threading

import pytest
import sqlalchemy as sa
import zstandard

from imagesvc import errors
from imagesvc.db import job_table
from imagesvc.worker.step import spread
from tests import hostile_image
from tests.api.caller import Caller
from tests.api.glance.conftest import DATA, Several
from tests.api.glance.test_image_import import begin, show, staged
from tests.api.glance.test_task import imported
from tests.api.native.tus import Tus
from tests.web_server import answer

PLUGINS = """
[import]
plugins = inject_metadata_properties, image_decompression
injected_properties = from:outside, os_type:linux, hw_x:operator
injection_spares_roles = admin, curator
[image]
max_unpacked_bytes = 2000000
"""


@pytest.fixture
def settings():
    """All that an operator may have done to imports."""
    return PLUGINS


def test_imports_give_the_operators_properties(own):
    owner = Caller(own.app)
    image_id = imported(own, owner)
    path = f"/v2/images/{image_id}"
    owner.patch(image_id, ("add", "/hw_x", "mine"), ("add", "/hw_y", "mine"))
    assert "from" not in owner.get(path).json
    own.work()
    image = owner.get(path).json
    assert image["status"] == "active"
    assert (image["from"], image["os_type"], image["hw_x"], image["hw_y"]) == (
        "outside", "linux", "operator", "mine",
    )  # fmt: skip
    uploaded = owner.get(f"/v2/images/{owner.active()}").json
    assert "from" not in uploaded


def test_nothing_that_is_said_of_all_imports_shortens_a_promise(own):
    """A job of an older release may have one among its properties."""
    owner = Caller(own.app)
    image_id = imported(own, owner, provided_until="2090-01-01")
    table = job_table.TABLE
    with own.service.database.write() as conn:
        chosen = table.c.image_id == image_id
        args = conn.scalar(sa.select(table.c.args).where(chosen))
        args["properties"] = {"provided_until": "2026-01-01", "from": "outside"}
        conn.execute(sa.update(table).where(chosen).values(args=args))
    own.work()
    image = owner.get(f"/v2/images/{image_id}").json
    assert (image["status"], image["from"]) == ("active", "outside")
    assert image["provided_until"] == "2090-01-01"
    assert owner.request("DELETE", f"/v2/images/{image_id}").status_code == 409


def test_an_image_that_is_active_before_its_last_store_has_its_properties_by_then(own, monkeypatch):
    owner, seen = Caller(own.app), []
    image_id = staged(owner)
    asked = {"stores": ["fast", "archive"], "all_stores_must_succeed": False}
    assert begin(owner, image_id, **asked).status_code == 202
    write = spread.Spread._write

    def looking(self, ctx, origin, store_id):
        image = show(owner, image_id)
        seen.append((image["status"], "from" in image))
        return write(self, ctx, origin, store_id)

    monkeypatch.setattr(spread.Spread, "_write", looking)
    own.work()
    assert seen == [("importing", False), ("active", True)]


@pytest.mark.parametrize("roles", [("admin",), ("member", "curator")])
def test_some_roles_are_spared(own, roles):
    caller = Caller(own.app, None, *roles)
    image_id = imported(own, caller)
    own.work()
    image = caller.get(f"/v2/images/{image_id}").json
    assert (image["status"], "from" in image) == ("active", False)


def test_a_copy_into_a_store_injects_nothing(own):
    owner = Caller(own.app)
    admin = Caller(own.app, owner.project, "admin", "member")
    image_id = owner.active()
    body = {"method": {"name": "copy-image"}, "stores": ["fast"]}
    assert admin.request("POST", f"/v2/images/{image_id}/import", body).status_code == 202
    own.work()
    image = owner.get(f"/v2/images/{image_id}").json
    assert ("fast" in image["stores"], "from" in image) == (True, False)


def test_more_properties_than_an_image_may_have_are_a_failure(own):
    owner = Caller(own.app)
    image_id = imported(own, owner)
    owner.patch(image_id, *(("add", f"/p{n}", "x") for n in range(127)))
    own.work()
    image = owner.get(f"/v2/images/{image_id}").json
    assert (image["status"], "from" in image) == ("uploading", False)
    task = owner.get(f"/v2/images/{image_id}/tasks").json["tasks"][0]
    assert (task["status"], "properties" in task["message"]) == ("failure", True)


@pytest.mark.parametrize(
    "more",
    [
        "plugins = x", "plugins = inject_metadata_properties\ninjected_properties = os_glance_x:y",
        "plugins = inject_metadata_properties\ninjected_properties = deleted:y",
        "plugins = inject_metadata_properties\ninjected_properties = provided_until:2030-06-30",
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_told_at_the_start(tmp_path, more):
    url = f"sqlite:///{tmp_path}/imagesvc.sqlite"
    with pytest.raises(errors.ConfigurationError, match="import"):
        Several(tmp_path, url, f"[import]\n{more}\n")


PACKERS = {
    "gzip": lambda data: gzip.compress(data, mtime=0),
    "xz": lzma.compress,
    "zstd": zstandard.compress,
}


def brought(site, answers, way, data, **values):
    """An image that these bytes were imported into, and its last task."""
    if way == "fetched":
        answers[0] = answer(data)
        image_id, status = site.begin(**values)
        assert status == 202
    else:
        image_id = imported(site.several, site.owner, data, **values)
    image = site.done(image_id)
    return image, site.owner.get(f"/v2/images/{image_id}/tasks").json["tasks"][0]


@pytest.mark.parametrize("way", ["fetched", "staged"])
@pytest.mark.parametrize("packer", [*PACKERS, ""])
def test_packed_bytes_are_unpacked(site, answers, way, packer):
    image, _ = brought(site, answers, way, PACKERS.get(packer, bytes)(DATA))
    assert (image["status"], image["size"]) == ("active", len(DATA))
    assert site.owner.get(f"/v2/images/{image['id']}/file").content == DATA


@pytest.mark.parametrize("way", ["fetched", "staged"])
def test_what_is_in_the_packing_is_judged(site, answers, way):
    good, bad = hostile_image.qcow2(), b"QFI\xfb" + bytes(5000)
    image, _ = brought(site, answers, way, gzip.compress(good, mtime=0), disk_format="qcow2")
    assert (image["status"], image["size"]) == ("active", len(good))
    image, task = brought(site, answers, way, gzip.compress(bad, mtime=0))
    assert (image["status"] in ("queued", "uploading"), task["status"]) == (True, "failure")


PACKED = gzip.compress(DATA, mtime=0)


@pytest.mark.parametrize("way", ["fetched", "staged"])
@pytest.mark.parametrize(
    "data",
    [PACKED[:-1], PACKED[:5], PACKED + b"x", PACKED * 2, gzip.compress(bytes(3_000_000), mtime=0),
     gzip.compress(PACKED, mtime=0)[:3] + b"\xff" * 2000],
    ids=["cut", "head", "trailing", "twice", "bomb", "broken"],
)  # fmt: skip
def test_hostile_packing_makes_no_image(site, answers, way, data):
    image, task = brought(site, answers, way, data)
    assert (image["status"] in ("queued", "uploading"), task["status"]) == (True, "failure")
    assert task["message"]


def test_a_container_of_packed_bytes_stays_packed(site, answers):
    image, _ = brought(site, answers, "fetched", PACKED, container_format="compressed")
    assert (image["status"], image["size"]) == ("active", len(PACKED))
    assert site.owner.get(f"/v2/images/{image['id']}/file").content == PACKED


def test_a_digest_that_was_given_is_that_of_the_packed_bytes(site, answers):
    answers[0] = answer(PACKED)
    for data, status in ((PACKED, "active"), (DATA, "queued")):
        image_id = site.owner.create()["id"]
        value = hashlib.sha512(data).hexdigest()
        body = {
            "url": site.web.url(),
            "validation_data": {"os_hash_algo": "sha512", "os_hash_value": value},
        }
        found = site.owner.request("POST", f"/v2/images/{image_id}/locations", body)
        assert found.status_code == 202
        assert site.done(image_id)["status"] == status


def test_a_cancel_is_heeded_though_nothing_comes_out_of_the_packing(site, answers):
    def send(connection):
        """The head of gzip, and a name that does not end."""
        head, name, count = b"\x1f\x8b\x08\x08" + bytes(6), b"x" * 100_000, 60
        connection.sendall(answer(head, length=len(head) + len(name) * count))
        task = show(site.owner, image_id)["os_glance_import_task"]
        assert site.owner.request("POST", f"/imagesvc/v1/jobs/{task}/cancel").status_code == 202
        for _ in range(count):
            connection.sendall(name)
            threading.Event().wait(0.02)

    answers[0] = send
    site.several.service.conf.set_override("lease_s", 1.0, "worker")
    image_id, _ = site.begin()
    site.done(image_id)
    (job,) = site.owner.get("/imagesvc/v1/jobs").json["jobs"]
    assert (job["image_id"], job["state"]) == (image_id, "cancelled")


def test_what_an_upload_set_aside_does_not_count_against_what_was_packed(own):
    tus, admin = Tus(Caller(own.app)), Caller(own.app, None, "admin", "member")
    inside = os.urandom(50_000)
    packed = gzip.compress(inside, mtime=0)
    limits = {"stored_bytes": len(packed)}
    path = f"/imagesvc/v1/quota/{tus.caller.project}"
    assert admin.request("PUT", path, limits).status_code == 200
    _, image_id, last = tus.whole(packed)
    own.work()
    assert (tus.status(image_id), tus.job(last)["cause"]) == ("active", None)
    assert tus.quota()["stored_bytes"] == (len(inside), 0)
