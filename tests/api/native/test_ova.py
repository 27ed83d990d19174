"""An OVA taken apart at the doors of our own API: bucket, URL and resumable upload."""

import gzip
import hashlib
import lzma

import pytest
import zstandard

from imagesvc.worker import reaper
from tests import disk_image, hostile_image, ova
from tests.api.caller import Caller
from tests.api.native.customer import ROOT, Customer
from tests.api.native.test_image_origin import failed, refused
from tests.api.native.tus import Tus
from tests.ova import Part
from tests.web_server import answer, serving

PACKERS = {"gzip": gzip.compress, "xz": lzma.compress, "zstd": zstandard.compress}
MIB = 1 << 20
BLIND = "[image]\ndetect = off\n"  # a look takes half a second, and is of few tests


@pytest.fixture(scope="module")
def raws(tmp_path_factory):
    """Two disks, raw; their paths."""
    first = disk_image.make_raw(tmp_path_factory.mktemp("first"))
    second = tmp_path_factory.mktemp("second") / "disk.raw"
    second.write_bytes(bytes(range(256)) * 4096 + bytes(MIB))
    return first, second


@pytest.fixture(scope="module")
def streams(raws):
    """The same as VMDK streams, as hypervisors export them."""
    return tuple(disk_image.convert(raw, "vmdk-stream") for raw in raws)


@pytest.fixture(scope="module")
def archive(streams):
    """An OVA of a machine of both, the second one first."""
    text = ova.machine(Part("data.vmdk", 1), Part("root.vmdk", 0))
    return ova.packed(text, {"data.vmdk": streams[1], "root.vmdk": streams[0]})


@pytest.fixture(params=["sqlite", "postgresql"])
def customer(request, tmp_path, s3_place):
    """A customer of a service on each engine."""
    url = f"sqlite:///{tmp_path}/imagesvc.sqlite"
    if request.param == "postgresql":
        url = request.getfixturevalue("postgresql_url")
    made = Customer(tmp_path, url, s3_place, BLIND)
    yield made
    made.close()


@pytest.fixture(scope="module")
def shared(tmp_path_factory, s3_place):
    """A customer of a service on SQLite, for what no engine sees."""
    folder = tmp_path_factory.mktemp("shared")
    made = Customer(folder, f"sqlite:///{folder}/imagesvc.sqlite", s3_place, BLIND)
    yield made
    made.close()


@pytest.fixture
def alone(shared):
    """The same for one test, which leaves nothing to the next."""
    yield shared
    for image_id in shared.owner.listed():
        assert shared.owner.request("DELETE", f"/v2/images/{image_id}").status_code == 204
    shared.several.work()
    reaper.run(shared.service)
    assert shared.several.keys("plain") == []


def detail(customer, image):
    """An image as our own API shows it."""
    return customer.owner.get(f"{ROOT}/images/{image['id']}").json["image"]


def hold(customer, image, raws, folder, name="qcow2"):
    """The image holds these disks, in this order, in this format."""
    shown = detail(customer, image)
    assert [disk["role"] for disk in shown["disks"]] == ["system", "data"][: len(raws)]
    for disk, raw in zip(shown["disks"], raws, strict=True):
        path = f"{ROOT}/images/{image['id']}/disk/{disk['index']}/file"
        made = folder / "made"
        made.write_bytes(customer.owner.get(path).content)
        assert disk_image.same(raw, made, name) is True
        assert disk["disk_format"] == name
    reaper.run(customer.service)
    assert len(customer.several.keys("plain")) == len(raws)


def test_a_machine_of_two_disks_becomes_one_image_of_it(customer, archive, raws, tmp_path):
    customer.lay(archive)
    digest = {"algorithm": "sha256", "value": hashlib.sha256(archive).hexdigest()}
    image, job = customer.bring(
        disk_format="ova", digest=digest, size_bytes=len(archive), tags=["a"]
    )
    assert (job["cause"], job["state"], job["type"]) == (None, "done", "create-from-ova")
    assert job["result"] == {"image_id": image["id"], "disks": 2}
    assert (image["status"], image["disk_format"], image["tags"]) == ("active", "qcow2", ["a"])
    assert detail(customer, image)["kind"] == "whole-machine"
    hold(customer, image, raws, tmp_path)
    actions = [one["action"] for one in customer.owner.get(f"{ROOT}/audit").json["events"]]
    assert {"image_import:create", "image_import:complete"} <= set(actions)


def test_what_the_descriptor_tells_is_proposed_and_what_was_said_stays(tmp_path, s3_place, archive):
    one = Customer(tmp_path, f"sqlite:///{tmp_path}/x.sqlite", s3_place)
    one.lay(archive)
    image, _ = one.bring(disk_format="ova", os_type="windows", min_ram_mib=16)
    found = detail(one, image)["found"]
    assert (found["os_type"], found["os_distro"], found["firmware"]) == (
        "linux", "ubuntu", ["uefi"],
    )  # fmt: skip
    assert (found["machine_name"], found["vcpus"], found["memory_mib"]) == ("two disks", 2, 2048)
    assert found["differs"] == ["os_type"]
    assert (image["os_type"], image["min_ram"]) == ("windows", 16)
    assert (image["os_distro"], image["hw_firmware_type"]) == ("ubuntu", "uefi")
    one.close()


def test_nothing_is_proposed_where_nobody_wants_to_know(alone, archive):
    alone.lay(archive)
    image, _ = alone.bring(disk_format="ova")
    assert detail(alone, image)["found"]["os_type"] is None
    assert "os_type" not in image


def test_a_machine_of_one_disk_becomes_an_image_of_a_system_disk(alone, raws, tmp_path):
    text = ova.machine(Part("x.qcow2", format=""))
    alone.lay(ova.packed(text, {"x.qcow2": disk_image.convert(raws[0], "qcow2")}))
    image, job = alone.bring(disk_format="ova", format_wanted="raw")
    assert (job["cause"], detail(alone, image)["kind"]) == (None, "system-disk")
    hold(alone, image, raws[:1], tmp_path, "raw")


def test_disks_that_are_of_the_format_already_stay_as_they_came(alone, streams, archive):
    alone.lay(archive)
    image, job = alone.bring(disk_format="ova", format_wanted="vmdk")
    assert (job["cause"], image["disk_format"]) == (None, "vmdk")
    shown = [alone.owner.get(f"{ROOT}/images/{image['id']}/disk/{n}/file").content for n in (0, 1)]
    assert shown == list(streams)


@pytest.mark.parametrize("packer", PACKERS)
def test_a_packed_ova_is_unpacked(alone, archive, raws, tmp_path, packer):
    alone.lay(PACKERS[packer](archive))
    image, job = alone.bring(disk_format="ova")
    assert job["cause"] is None
    hold(alone, image, raws, tmp_path)


def test_packed_disks_inside_are_unpacked(alone, raws, streams, tmp_path):
    text = ova.machine(Part("root.vmdk.gz", file='o:compression="gzip"'), Part("data.vmdk", 1))
    files = {"root.vmdk.gz": gzip.compress(streams[0]), "data.vmdk": streams[1]}
    alone.lay(ova.packed(text, files))
    image, job = alone.bring(disk_format="ova")
    assert job["cause"] is None
    hold(alone, image, raws, tmp_path)


def test_a_packed_disk_in_parts_is_put_together(alone, raws, streams, tmp_path):
    packed = gzip.compress(streams[0])
    half = len(packed) // 2 + 1
    said = f'o:compression="gzip" o:size="{len(packed)}" o:chunkSize="{half}"'
    text = ova.machine(Part("root.vmdk.gz", file=said), Part("data.vmdk", 1))
    files = {
        "root.vmdk.gz.000000000": packed[:half], "root.vmdk.gz.000000001": packed[half:],
        "data.vmdk": streams[1],
    }  # fmt: skip
    alone.lay(ova.packed(text, files))
    image, job = alone.bring(disk_format="ova")
    assert job["cause"] is None
    hold(alone, image, raws, tmp_path)


def test_an_ova_of_a_url_is_taken_apart(tmp_path, s3_place, archive, raws):
    with serving(lambda _, connection: connection.sendall(answer(archive))) as web:
        one = Customer(tmp_path, f"sqlite:///{tmp_path}/x.sqlite", s3_place, ports=[web.port])
        image, job = one.bring({"type": "url", "url": web.url("/vm.ova")}, disk_format="ova")
        assert (job["cause"], job["type"]) == (None, "create-from-ova")
        hold(one, image, raws, tmp_path)
        one.close()


def test_a_run_that_breaks_off_after_a_disk_leaves_nothing_and_can_be_run_again(
    tmp_path, s3_place, archive, raws
):
    sent = [answer(archive)[:-2000], answer(archive)]
    with serving(lambda _, connection: connection.sendall(sent.pop(0))) as web:
        one = Customer(
            tmp_path, f"sqlite:///{tmp_path}/x.sqlite", s3_place, BLIND, ports=[web.port]
        )
        image, job = one.bring({"type": "url", "url": web.url("/vm.ova")}, disk_format="ova")
        failed(one, image, job, "could not fetch")
        again = one.owner.request("POST", f"{ROOT}/jobs/{job['id']}/retry")
        assert again.status_code == 202
        one.several.work()
        assert one.job(job["id"])["cause"] is None
        hold(one, image, raws, tmp_path)
        one.close()


def test_a_resumable_upload_of_an_ova_is_taken_apart(alone, archive, raws, tmp_path):
    tus = Tus(alone.owner)
    formats = {"disk_format": "qcow2", "container_format": "bare"}
    sha256 = hashlib.sha256(archive).hexdigest()
    path, image_id = tus.begin(len(archive), image=formats, source_format="ova", sha256=sha256)
    tus.patch(path, 0, archive[:100_000])
    last = tus.patch(path, 100_000, archive[100_000:])
    assert tus.job(last)["type"] == "import-ova"
    alone.several.work()
    image = alone.image(image_id)
    assert (image["status"], tus.job(last)["cause"]) == ("active", None)
    assert detail(alone, image)["kind"] == "whole-machine"
    assert "os_glance_import_task" not in image
    hold(alone, image, raws, tmp_path)


def test_what_an_uploaded_ova_set_aside_does_not_count_against_its_disks(
    tmp_path, s3_place, archive
):
    one = Customer(tmp_path, f"sqlite:///{tmp_path}/x.sqlite", s3_place, BLIND)
    one.lay(archive)
    image, _ = one.bring(disk_format="ova")
    needed = sum(disk["size_bytes"] for disk in detail(one, image)["disks"])
    admin, path = Caller(one.several.app, None, "admin", "member"), "/v2/images/" + image["id"]
    assert one.owner.request("DELETE", path).status_code == 204
    limits = {"stored_bytes": max(needed, len(archive))}
    quota = f"{ROOT}/quota/{one.owner.project}"
    assert admin.request("PUT", quota, limits).status_code == 200
    tus, formats = Tus(one.owner), {"disk_format": "qcow2", "container_format": "bare"}
    _, image_id, last = tus.whole(archive, image=formats, source_format="ova")
    one.several.work()
    assert (tus.status(image_id), tus.job(last)["cause"]) == ("active", None)
    one.close()


def test_an_upload_that_is_no_ova_leaves_its_image_queued(alone):
    tus = Tus(alone.owner)
    formats = {"disk_format": "raw", "container_format": "bare"}
    _, image_id, last = tus.whole(b"x" * 5000, image=formats, source_format="ova")
    alone.several.work()
    assert tus.status(image_id) == "queued"
    assert "header of the OVA is broken" in tus.job(last)["cause"]
    reaper.run(alone.service)
    assert alone.several.keys("plain") == []


@pytest.mark.parametrize(
    ("formats", "source_format"),
    [
        ({"disk_format": "vmdk", "container_format": "ova"}, "ova"),
        ({"disk_format": "iso", "container_format": "bare"}, "ova"),
        ({"disk_format": "raw", "container_format": "bare"}, "zip"),
    ],
)
def test_an_upload_that_cannot_become_its_image_is_refused_at_once(alone, formats, source_format):
    image_id = alone.owner.create(**formats)["id"]
    refused(Tus(alone.owner).ask(image_id, 10, source_format=source_format), 400, "invalid-request")


@pytest.mark.parametrize(
    "values", [{"container_format": "ova"}, {"stores": ["plain", "fast"]}]
)  # fmt: skip
def test_what_does_not_go_together_is_refused_at_once(alone, values):
    refused(alone.bring(work=False, disk_format="ova", **values), 400, "invalid-request")
    assert alone.owner.listed() == []


def test_an_archive_that_nobody_said_to_be_one_is_told(alone, archive):
    alone.lay(archive)
    failed(alone, *alone.bring(), "say disk_format ova")


def test_several_disks_are_no_data_disk(alone, archive):
    alone.lay(archive)
    failed(alone, *alone.bring(disk_format="ova", kind="data-disk"), "no image of a data disk")


def test_all_disks_count_against_the_quota(tmp_path, s3_place, archive):
    one = Customer(tmp_path, f"sqlite:///{tmp_path}/x.sqlite", s3_place, BLIND)
    one.lay(archive)
    image, _ = one.bring(disk_format="ova")
    sizes = [disk["size_bytes"] for disk in detail(one, image)["disks"]]
    shown = one.owner.get(f"{ROOT}/quota/{one.owner.project}").json
    assert str(sum(sizes)) in str(shown)
    admin = Caller(one.several.app, None, "admin", "member")
    limits = {"stored_bytes": 2 * sum(sizes) - 1}
    path = f"{ROOT}/quota/{one.owner.project}"
    assert admin.request("PUT", path, limits).status_code == 200
    again, job = one.bring(disk_format="ova")
    assert (again["status"], job["state"]) == ("killed", "failed")
    assert "Quota" in job["cause"]
    one.close()


def test_in_the_other_dialect_an_ova_stays_as_it_came(alone, archive):
    formats = {"disk_format": "vmdk", "container_format": "ova"}
    image_id = alone.owner.create(**formats)["id"]
    path = f"/v2/images/{image_id}/file"
    assert (
        alone.owner.request("PUT", path, archive, kind="application/octet-stream").status_code
        == 204
    )
    assert alone.owner.get(path).content == archive


TEXT = ova.machine(Part("a.vmdk"))
DISK = ova.vmdk()
FILES = {"a.vmdk": DISK}
# Name -> (the archive, words of the cause).
HOSTILE = {
    "wrong digest": (
        ova.archive(("vm.ovf", TEXT), ("vm.mf", ova.manifest(("a.vmdk", b"x"))), ("a.vmdk", DISK)),
        "does not fit a.vmdk",
    ),
    "wrong sha1": (
        ova.archive(
            ("vm.ovf", TEXT), ("a.vmdk", DISK),
            ("vm.mf", ova.manifest(("a.vmdk", b"x"), algorithm="SHA1")),
        ),
        "does not fit a.vmdk",
    ),
    "path": (ova.packed(ova.machine(Part("../a.vmdk")), {"../a.vmdk": DISK}), "outside of the OVA"),
    "path of an entry": (ova.packed(TEXT, {"../a.vmdk": DISK}), "a name that is not"),
    "link": (
        ova.entry("vm.ovf", TEXT) + ova.entry("a.vmdk", b"", kind=b"2") + bytes(1024),
        "other than plain files",
    ),
    "device": (
        ova.entry("vm.ovf", TEXT) + ova.entry("a.vmdk", b"", kind=b"3") + bytes(1024),
        "other than plain files",
    ),
    "sparse member": (
        ova.entry("vm.ovf", TEXT) + ova.entry("a.vmdk", DISK, kind=b"S") + bytes(1024),
        "other than plain files",
    ),
    "huge member": (
        ova.entry("vm.ovf", TEXT)
        + ova.entry("a.vmdk", DISK, size=b"\x80" + (1 << 60).to_bytes(11)) + bytes(1024),
        "unpacked image",
    ),
    "long member": (
        ova.entry("vm.ovf", TEXT)
        + ova.entry("a.vmdk", DISK, size=b"%011o\0" % (1 << 20)) + bytes(1024),
        "ends too early",
    ),
    "one name twice": (
        ova.archive(("vm.ovf", TEXT), ("a.vmdk", DISK), ("a.vmdk", DISK)), "two entries of one name",
    ),
    "file not there": (ova.archive(("vm.ovf", TEXT)), "not in the OVA"),
    "stray file": (ova.packed(TEXT, FILES | {"b.vmdk": DISK}), "does not name"),
    "five disks": (
        ova.packed(
            ova.machine(*(Part(f"{n}.vmdk", n) for n in range(5))),
            {f"{n}.vmdk": DISK for n in range(5)},
        ),
        "at most 4",
    ),
    "entities": (
        ova.packed(TEXT.replace(b"<Envelope", b'<!DOCTYPE x [<!ENTITY e "y">]><Envelope', 1), FILES),
        "declares a document type",
    ),
    "deep": (ova.packed(ova.machine(Part("a.vmdk"), more="<a>" * 99 + "</a>" * 99), FILES), "too deep"),
    "href": (
        ova.packed(ova.machine(Part("http://169.254.169.254/a.vmdk")), FILES), "outside of the OVA",
    ),
    "collection": (
        ova.packed(
            ova.machine(
                Part("a.vmdk"), wrap="<VirtualSystemCollection>{0}{0}</VirtualSystemCollection>"
            ),
            FILES,
        ),
        "one virtual system",
    ),
    "endless zeros": (ova.packed(TEXT, FILES) + bytes(2 << 20), "does not end"),
    "not a vmdk": (ova.packed(TEXT, {"a.vmdk": hostile_image.qcow2()}), "is qcow2"),
    "backing file": (
        ova.packed(
            ova.machine(Part("a.qcow2", format="")),
            {"a.qcow2": hostile_image.CASES["qcow2-backing"].data},
        ),
        "",
    ),
    "not gzip": (
        ova.packed(ova.machine(Part("a.vmdk", file='o:compression="gzip"')), FILES), "not packed",
    ),
    "nothing inside of gzip": (
        ova.packed(
            ova.machine(Part("a.raw", format="", file='o:compression="gzip"')),
            {"a.raw": gzip.compress(b"")},
        ),
        "a disk of the OVA is empty",
    ),
    "bomb": (
        ova.packed(
            ova.machine(Part("a.raw", format="", file='o:compression="gzip"')),
            {"a.raw": gzip.compress(bytes(101_000_000))},
        ),
        "",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_archive_is_refused_with_its_cause(alone, name):
    data, words = HOSTILE[name]
    alone.lay(data)
    failed(alone, *alone.bring(disk_format="ova"), words)
