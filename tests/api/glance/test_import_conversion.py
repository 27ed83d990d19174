"""Imports that the operator keeps in one disk format."""

import gzip
import hashlib
import json

import pytest

from imagesvc import errors
from imagesvc.domain import storage_key
from imagesvc.domain.image_import import Method
from imagesvc.interface import errors as driver_errors
from imagesvc.manager import quota_verify, store_verify
from imagesvc.worker import reaper
from imagesvc.worker.step import spread
from tests import disk_image, hostile_image
from tests.api.caller import Caller
from tests.api.glance.conftest import DATA, Several
from tests.api.glance.test_image_import import begin, show, staged
from tests.api.glance.test_import_plugin import brought
from tests.api.glance.test_task import imported
from tests.api.native.tus import Tus
from tests.web_server import answer

PLUGINS = """
[import]
plugins = image_decompression, image_conversion
output_format = {kept}
"""
MIB = 1 << 20
INSIDE = b"honest\n" * 100
# A disk of 1 MiB, and less than that in format qcow2.
SMALL = hostile_image.qcow2(data=INSIDE)
PACKED = gzip.compress(SMALL, mtime=0)


@pytest.fixture
def kept():
    """The format that the operator keeps imports in."""
    return "raw"


@pytest.fixture
def settings(kept):
    """All imports end as one format."""
    return PLUGINS.format(kept=kept)


@pytest.fixture
def database_url(tmp_path):
    """The engine sees nothing of formats: one is enough, but for the test that asks for both."""
    return f"sqlite:///{tmp_path}/imagesvc.sqlite"


def facts(image):
    """What the image says of its bytes."""
    return tuple(image[name] for name in ("status", "disk_format", "size", "virtual_size"))


def is_what_it_says(caller, image, data=None):
    """The bytes that come have the size and the digests of the image."""
    found = caller.get(f"/v2/images/{image['id']}/file").content
    assert (len(found), hashlib.md5(found).hexdigest()) == (image["size"], image["checksum"])
    assert hashlib.new(image["os_hash_algo"], found).hexdigest() == image["os_hash_value"]
    assert data in (None, found)
    return found


def nothing_besides(several, **objects):
    """The stores hold so many objects, all of them an image's, and the counters are true."""
    service = several.service
    reaper.run(service)
    found = store_verify.verify(service.database, service.backends, older_than_s=0)
    assert (found.findings, quota_verify.verify(service.database)) == ([], ())
    held = {store: len(several.keys(store)) for store in ("plain", "fast", "archive")}
    assert held == {"plain": 0, "fast": 0, "archive": 0, **objects}


def by_location(site, data, **values):
    image_id = site.owner.create(**values)["id"]
    said = {"os_hash_algo": "sha512", "os_hash_value": hashlib.sha512(data).hexdigest()}
    body = {"url": site.web.url(), "validation_data": said}
    found = site.owner.request("POST", f"/v2/images/{image_id}/locations", body)
    assert found.status_code == 202, found.text
    return site.done(image_id)


def by_task(site, data, **values):
    admin = Caller(site.several.app, site.owner.project, "admin")
    properties = {"name": "made", "container_format": "bare"}
    asked = {"import_from": site.web.url(), "import_from_format": values["disk_format"]}
    body = {"type": "import", "input": {**asked, "image_properties": properties}}
    found = admin.request("POST", "/v2/tasks", body)
    assert found.status_code == 201, found.text
    return site.done(found.json["image_id"])


def by_tus(site, data, **values):
    tus = Tus(site.owner)
    path, image_id = tus.begin(len(data), image=values)
    assert tus.patch(path, 0, data).status_code == 204
    return site.done(image_id)


DOORS = {"location": by_location, "task": by_task, "tus": by_tus}


@pytest.mark.parametrize("door", ["fetched", "staged", *DOORS])
def test_whatever_way_a_disk_comes_it_ends_as_the_format(site, answers, door):
    answers[0] = answer(SMALL)
    if door in DOORS:
        image = DOORS[door](site, SMALL, disk_format="qcow2")
    else:
        image, task = brought(site, answers, door, SMALL, disk_format="qcow2")
        assert (task["status"], task["message"]) == ("success", "")
    assert facts(image) == ("active", "raw", MIB, MIB)
    is_what_it_says(site.owner, image, INSIDE.ljust(MIB, b"\0"))


@pytest.mark.parametrize(("engine", "kept"), [("sqlite", "vmdk"), ("postgresql", "qcow2")])
def test_the_disk_is_the_same(tmp_path, request, engine, kept):
    url = f"sqlite:///{tmp_path}/imagesvc.sqlite"
    if engine == "postgresql":
        url = request.getfixturevalue("postgresql_url")
    made = Several(tmp_path, url, PLUGINS.format(kept=kept))
    owner, raw = Caller(made.app), disk_image.make_raw(tmp_path)
    image_id = imported(made, owner, raw.read_bytes())
    made.work()
    image = show(owner, image_id)
    assert (image["status"], image["disk_format"]) == ("active", kept)
    assert image["virtual_size"] == disk_image.SIZE
    (tmp_path / "made").write_bytes(is_what_it_says(owner, image))
    assert disk_image.same(raw, tmp_path / "made", kept) is True
    nothing_besides(made, fast=1)
    made.close()


@pytest.mark.parametrize("door", ["fetched", "staged"])
def test_packed_disks_are_unpacked_first(site, answers, door):
    image, _ = brought(site, answers, door, PACKED, disk_format="qcow2")
    assert facts(image) == ("active", "raw", MIB, MIB)
    nothing_besides(site.several, **{"plain" if door == "fetched" else "fast": 1})


@pytest.mark.parametrize(
    ("door", "data", "values"),
    [
        ("fetched", DATA, {}),
        ("staged", DATA, {}),
        ("fetched", hostile_image.CASES["iso"].data, {"disk_format": "iso"}),
        ("staged", SMALL, {"disk_format": "qcow2", "container_format": "aki"}),
        ("fetched", PACKED, {"disk_format": "qcow2", "container_format": "compressed"}),
    ],
    ids=["format", "staged", "disc", "kernel", "container"],
)
def test_what_is_that_already_or_no_bare_disk_stays(site, answers, door, data, values):
    image, _ = brought(site, answers, door, data, **values)
    wanted = values.get("disk_format", "raw")
    assert (image["status"], image["disk_format"]) == ("active", wanted)
    is_what_it_says(site.owner, image, data)


def test_each_store_gets_the_converted_disk(own, monkeypatch):
    owner, seen = Caller(own.app), []
    image_id = staged(owner, SMALL, disk_format="qcow2")
    asked = {"stores": ["fast", "archive"], "all_stores_must_succeed": False}
    assert begin(owner, image_id, **asked).status_code == 202
    write = spread.Spread._write

    def looking(self, ctx, origin, store_id):
        seen.append(facts(show(owner, image_id)))
        return write(self, ctx, origin, store_id)

    monkeypatch.setattr(spread.Spread, "_write", looking)
    own.work()
    whole = ("active", "raw", MIB, MIB)
    assert (seen, facts(show(owner, image_id))) == ([whole], whole)
    nothing_besides(own, fast=1, archive=1)


def test_staged_bytes_are_there_for_another_import_though_they_were_converted(own, monkeypatch):
    def fail(self, ctx, origin, store_id):
        raise driver_errors.InvalidArgument("No.")

    owner = Caller(own.app)
    image_id = staged(owner, SMALL, disk_format="qcow2")
    with monkeypatch.context() as patch:
        patch.setattr(spread.Spread, "_write", fail)
        assert begin(owner, image_id, stores=["fast", "archive"]).status_code == 202
        own.work()
    image = show(owner, image_id)
    assert (image["status"], image["disk_format"]) == ("uploading", "qcow2")
    nothing_besides(own, plain=1)
    assert begin(owner, image_id).status_code == 202
    own.work()
    assert facts(show(owner, image_id)) == ("active", "raw", MIB, MIB)
    nothing_besides(own, plain=1)


def test_a_digest_that_was_given_is_that_of_the_bytes_as_they_came(site, answers):
    answers[0] = answer(SMALL)
    assert by_location(site, SMALL, disk_format="qcow2")["status"] == "active"
    other = by_location(site, INSIDE.ljust(MIB, b"\0"), disk_format="qcow2")
    assert (other["status"], other["disk_format"]) == ("queued", "qcow2")


def test_an_image_of_another_region_is_kept_in_the_format_too(site, answers, monkeypatch):
    """The embedded identity has no catalogue to find the region in, so the test says where it is."""
    digest = hashlib.sha512(SMALL).hexdigest()
    document = {
        "status": "active", "size": len(SMALL), "disk_format": "qcow2", "container_format": "bare",
        "os_hash_algo": "sha512", "os_hash_value": digest,
    }  # fmt: skip
    said = iter((json.dumps(document).encode(), SMALL))
    answers[0] = lambda connection: connection.sendall(answer(next(said)))
    service = site.several.service
    monkeypatch.setattr(service.imports, "methods", (Method.GLANCE_DOWNLOAD,))
    monkeypatch.setattr(service.remotes, "_regions", frozenset({"far"}))
    monkeypatch.setattr(service.remotes, "locate", lambda job: site.web.url("/v2/images/x"))
    image_id = site.owner.create()["id"]
    far = {"glance_region": "far", "glance_image_id": "00000000-0000-4000-8000-000000000000"}
    body = {"method": {"name": "glance-download", **far}}
    found = site.owner.request("POST", f"/v2/images/{image_id}/import", body)
    assert found.status_code == 202, found.text
    assert facts(site.done(image_id)) == ("active", "raw", MIB, MIB)


def test_uploads_and_copies_stay_as_they_are(own):
    owner = Caller(own.app)
    admin = Caller(own.app, owner.project, "admin", "member")
    image_id = owner.active(SMALL, disk_format="qcow2")
    assert begin(admin, image_id, "copy-image", stores=["fast"]).status_code == 202
    own.work()
    assert facts(show(owner, image_id)) == ("active", "qcow2", len(SMALL), MIB)
    nothing_besides(own, plain=1, fast=1)


# A disk of 20 MiB in some hundred KiB; images may have 10 MB.
LARGE = hostile_image.qcow2(size=20 * MIB, data=INSIDE)


@pytest.mark.parametrize(("door", "status"), [("fetched", "queued"), ("staged", "uploading")])
def test_what_cannot_be_converted_fails_with_words_and_leaves_the_image(
    site, answers, door, status
):
    image, task = brought(site, answers, door, LARGE, disk_format="qcow2")
    assert (image["status"], image["disk_format"]) == (status, "qcow2")
    assert (task["status"], "10000000 bytes" in task["message"]) == ("failure", True), task
    nothing_besides(site.several, plain=int(door == "staged"))


@pytest.mark.parametrize(
    ("door", "spare", "used"),
    [("fetched", 0, (MIB, 0)), ("staged", 0, (MIB, 0)), ("fetched", -1, (0, 0)),
     ("staged", -1, (0, len(SMALL)))],
)  # fmt: skip
def test_the_quota_is_of_what_is_kept(site, answers, door, spare, used):
    admin = Caller(site.several.app, None, "admin", "member")
    path = f"/imagesvc/v1/quota/{site.owner.project}"
    assert admin.request("PUT", path, {"stored_bytes": MIB + spare}).status_code == 200
    image, task = brought(site, answers, door, SMALL, disk_format="qcow2")
    assert (image["status"] == "active") is (spare == 0)
    assert ("stored_bytes" in task["message"]) is (spare < 0), task
    assert Tus(site.owner).quota()["stored_bytes"] == used


def test_an_encrypted_disk_stays_encrypted(own):
    owner = Caller(own.app)
    key_id = owner.request("POST", "/imagesvc/v1/key", {"name": "k"}).json["key"]["id"]
    image_id = staged(owner, SMALL, disk_format="qcow2", imagesvc_key_id=key_id)
    assert begin(owner, image_id).status_code == 202
    own.work()
    image = show(owner, image_id)
    assert facts(image) == ("active", "raw", MIB, MIB)
    is_what_it_says(owner, image, INSIDE.ljust(MIB, b"\0"))
    assert [storage_key.is_encrypted(key) for key in own.keys("plain")] == [True, True]
    nothing_besides(own, plain=1)


@pytest.mark.parametrize(
    ("more", "word"),
    [
        ("output_format = vdi\n[image]\ndisk_formats = raw, qcow2", "takes are: raw, qcow2"),
        ("output_format = iso", "no converter makes; there are: qcow2, raw"),
        ("[converter]\nenabled_backends =", "no converter is enabled"),
    ],
)
def test_a_format_that_nothing_makes_is_told_at_the_start(tmp_path, more, word):
    url = f"sqlite:///{tmp_path}/imagesvc.sqlite"
    with pytest.raises(errors.ConfigurationError, match=word):
        Several(tmp_path, url, f"[import]\nplugins = image_conversion\n{more}\n")


def test_without_the_plugin_the_format_says_nothing(tmp_path):
    url = f"sqlite:///{tmp_path}/imagesvc.sqlite"
    made = Several(tmp_path, url, "[import]\noutput_format = x\n")
    owner = Caller(made.app)
    image_id = imported(made, owner, SMALL, disk_format="qcow2")
    made.work()
    assert facts(show(owner, image_id)) == ("active", "qcow2", len(SMALL), MIB)
    made.close()
