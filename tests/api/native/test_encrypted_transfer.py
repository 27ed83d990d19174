"""Encrypted images out to buckets, and machines in OVAs into them."""

import tempfile

import pytest

from imagesvc.manager import data_key
from imagesvc.worker import scratch
from tests import disk_image, ova, s3_server
from tests.api.caller import Caller
from tests.api.native.customer import ROOT, Customer
from tests.api.native.test_encryption import MARKER, enabled, key_of, on_disk
from tests.api.native.test_export import export
from tests.api.native.test_ova import detail, hold
from tests.api.native.tus import Tus
from tests.ova import Part

MIB = 1 << 20


@pytest.fixture
def alone(tmp_path, s3_place):
    """A customer of a service on SQLite, with a work area in memory that no other has."""
    (tmp_path / "service").mkdir()
    url = f"sqlite:///{tmp_path}/service/imagesvc.sqlite"
    with tempfile.TemporaryDirectory(dir="/dev/shm") as memory:
        more = f"[worker]\nmemory_scratch_dir = {memory}/own\n"
        made = Customer(tmp_path / "service", url, s3_place, more)
        yield made
        assert on_disk(made) == []
        made.close()


@pytest.fixture
def rooms(monkeypatch):
    """Where work areas were asked for, and what the service had on its disk while they were."""
    asked = []
    reserve = scratch.Scratch.reserve

    def spy(self, name, size_bytes):
        asked.append(self.root)
        return reserve(self, name, size_bytes)

    monkeypatch.setattr(scratch.Scratch, "reserve", spy)
    return asked


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    """A disk with the marker in it; its path."""
    path = disk_image.make_raw(tmp_path_factory.mktemp("raw"))
    with path.open("r+b") as disk:
        disk.seek(2 * MIB)
        disk.write(MARKER * 1000)
    return path


def uploaded(customer, raw):
    """An encrypted image of the disk; its id."""
    image_id = customer.owner.create(imagesvc_key_id=key_of(customer.owner))["id"]
    assert customer.owner.upload(image_id, raw.read_bytes()).status_code == 204
    return image_id


def test_an_export_of_an_encrypted_image_is_plain(alone, raw):
    job = export(alone, uploaded(alone, raw))
    assert (job["state"], job["cause"]) == ("done", None)
    assert alone.objects()["out"] == raw.read_bytes()


@pytest.mark.parametrize("name", ["qcow2", "vmdk", "vhd-fixed"])
def test_an_encrypted_image_is_converted_in_memory_on_its_way_out(
    alone, raw, rooms, tmp_path, name
):
    wanted = {"format": name} if name != "vhd-fixed" else {"format": "vhd", "subformat": "fixed"}
    job = export(alone, uploaded(alone, raw), **wanted)
    assert (job["state"], job["cause"]) == ("done", None)
    (tmp_path / "made").write_bytes(alone.objects()["out"])
    assert disk_image.same(raw, tmp_path / "made", name) is True
    assert all(scratch.in_memory(root) for root in rooms)
    assert bool(rooms) == (name != "vhd-fixed")  # that is a stream
    assert all(not scratch.folders(root) for root in rooms)


@pytest.mark.parametrize("door", ["bucket", "tus"])
def test_a_machine_in_an_ova_becomes_an_encrypted_image(alone, raw, rooms, tmp_path, door):
    stream = disk_image.convert(raw, "vmdk-stream")
    text = ova.machine(Part("a.vmdk"), Part("b.vmdk", 1))
    archive = ova.packed(text, {"a.vmdk": stream, "b.vmdk": stream})
    key_id = key_of(alone.owner)
    if door == "bucket":
        alone.lay(archive)
        image, job = alone.bring(disk_format="ova", key_id=key_id)
        assert (job["state"], job["cause"]) == ("done", None)
    else:
        formats = {"disk_format": "qcow2", "imagesvc_key_id": key_id}
        tus = Tus(alone.owner)
        path, image_id = tus.begin(len(archive), image=formats, source_format="ova")
        answer = tus.patch(path, 0, archive)
        assert answer.status_code == 204
        alone.several.work()
        job = tus.job(answer)
        assert (job["state"], job["cause"]) == ("done", None)
        image = alone.image(image_id)
    assert (image["status"], detail(alone, image)["key_id"]) == ("active", key_id)
    hold(alone, image, (raw, raw), tmp_path)
    assert rooms
    assert all(scratch.in_memory(root) for root in rooms)


def test_an_export_under_a_disabled_key_ends_with_that_cause_and_leaves_nothing(
    alone, raw, monkeypatch
):
    key_id = key_of(alone.owner)
    image_id = alone.owner.create(imagesvc_key_id=key_id)["id"]
    assert alone.owner.upload(image_id, raw.read_bytes()).status_code == 204
    enabled(alone.owner, key_id, False)
    found = export(alone, image_id, work=False)
    assert (found.status_code, found.json["error"]["reason"]) == (409, "key-unavailable")
    enabled(alone.owner, key_id, True)
    monkeypatch.setattr(data_key, "_KEPT_S", 0.0)
    answer = export(alone, image_id, work=False)
    enabled(alone.owner, key_id, False)
    alone.several.work()
    job = alone.job(answer.json["job"]["id"])
    assert (job["state"], "disabled" in job["cause"]) == ("failed", True)
    assert (alone.objects(), alone.unfinished()) == ({}, [])


def test_a_member_whose_own_key_is_disabled_exports_nothing(alone, raw):
    member = Caller(alone.several.app)
    key_id = key_of(member)
    image_id = uploaded(alone, raw)
    alone.owner.share(image_id, member.project, "accepted")
    store = {
        "name": "theirs", "endpoint": alone.place.endpoints[0],
        "access_key": s3_server.KEY, "secret_key": s3_server.SECRET,
    }  # fmt: skip
    found = member.request("POST", f"{ROOT}/object-stores", store)
    theirs = {"object_store_id": found.json["object_store"]["id"], "caller": member}
    answer = export(alone, image_id, work=False, **theirs)
    assert answer.status_code == 202, answer.text
    enabled(member, key_id, False)
    found = export(alone, image_id, work=False, **theirs)
    assert (found.status_code, found.json["error"]["reason"]) == (409, "key-unavailable")
    alone.several.work()
    job = member.get(f"{ROOT}/jobs/{answer.json['job']['id']}").json["job"]
    assert (job["state"], job["cause"]) == ("failed", "The key is disabled.")
    assert alone.objects() == {}
