"""Images that are converted while they are imported: the same disk in another format."""

import pytest

from imagesvc.worker import conversion, reaper, scratch
from tests import disk_image, guest_disk
from tests.api.native.customer import ROOT, Customer

# Every format in, every format out.
PAIRS = (
    ("qcow2", "raw"), ("raw", "qcow2"), ("vmdk", "qcow2"), ("vhd-fixed", "raw"), ("vhd", "vmdk"),
    ("vhdx", "vhd"), ("vdi", "vhdx"), ("qed", None), ("qcow", None), ("raw", "vdi"),
    ("qcow2", "qcow2"), ("raw", "vhd"),
)  # fmt: skip


@pytest.fixture(scope="module")
def shared(tmp_path_factory, s3_place):
    """A customer for all conversions."""
    folder = tmp_path_factory.mktemp("conversion")
    made = Customer(folder, f"sqlite:///{folder}/imagesvc.sqlite", s3_place)
    yield made
    made.close()


def brought(customer, raw, name, wanted, **values):
    """Import the disk in a format; image and job."""
    customer.lay(disk_image.convert(raw, name))
    if wanted:
        values["format_wanted"] = wanted
    if name in ("raw", "vhd-fixed"):  # the others show what they are
        values["disk_format"] = name.partition("-")[0]
    return customer.bring(**values)


@pytest.mark.parametrize(("name", "wanted"), PAIRS)
def test_a_disk_stays_the_same_in_another_format(shared, tmp_path, name, wanted):
    raw = disk_image.make_raw(tmp_path)
    image, job = brought(shared, raw, name, wanted)
    kept = wanted or "qcow2"
    assert (job["cause"], image["status"], image["disk_format"]) == (None, "active", kept)
    assert image["virtual_size"] == disk_image.SIZE
    made = tmp_path / "made"
    made.write_bytes(shared.owner.get(f"/v2/images/{image['id']}/file").content)
    assert disk_image.same(raw, made, kept) is True
    reaper.run(shared.service)
    assert len([key for key in shared.several.keys("plain") if image["id"] in key]) == 1
    shared.owner.request("DELETE", f"/v2/images/{image['id']}")


def test_what_was_found_on_a_disk_is_known_in_the_other_format_too(shared, tmp_path):
    shared.lay(guest_disk.spark(tmp_path).read_bytes())
    image, _ = shared.bring(disk_format="raw", format_wanted="qcow2")
    said = [image.get(name) for name in ("disk_format", "os_type", "os_distro", "os_version")]
    assert said == ["qcow2", "linux", "debian", "12"]
    kept = shared.owner.get(f"{ROOT}/images/{image['id']}").json["image"]
    assert (kept["found"]["os_name"], kept["found"]["firmware"]) == ("Spark 1", ["bios"])
    shared.owner.request("DELETE", f"/v2/images/{image['id']}")


def test_without_room_a_conversion_waits_for_others(shared, tmp_path):
    raw = disk_image.make_raw(tmp_path)
    shared.service.conf.set_override("scratch_bytes", 40 << 20, "worker")
    shared.service.conf.set_override("retry_s", 3600, "worker")
    area = scratch.of(shared.service)
    with area.reserve("other", 39 << 20):
        image, job = brought(shared, raw, "qcow2", "vdi")
        assert (job["state"], job["phase"]) == ("ready", "convert")
    shared.several.work()
    assert shared.image(image["id"])["status"] == "active"
    shared.service.conf.clear_override("scratch_bytes", "worker")
    shared.service.conf.clear_override("retry_s", "worker")
    shared.owner.request("DELETE", f"/v2/images/{image['id']}")


def test_what_never_fits_fails(shared, tmp_path):
    shared.service.conf.set_override("scratch_bytes", 1 << 20, "worker")
    image, job = brought(shared, disk_image.make_raw(tmp_path), "qcow2", "vdi")
    assert (job["state"], image["status"]) == ("failed", "killed")
    assert "larger than" in job["cause"]
    shared.service.conf.clear_override("scratch_bytes", "worker")


def test_a_conversion_that_is_cancelled_leaves_nothing(shared, tmp_path, monkeypatch):
    raw = disk_image.make_raw(tmp_path)
    tool = shared.service.backends.converter()
    convert = type(tool).convert

    def asked(self, source, target, target_format, **options):
        found = shared.owner.get("/imagesvc/v1/jobs", query_string="state=running").json["jobs"]
        path = f"/imagesvc/v1/jobs/{found[0]['id']}/cancel"
        assert shared.owner.request("POST", path).status_code == 202
        return convert(self, source, target, target_format, **options)

    monkeypatch.setattr(type(tool), "convert", asked)
    image, job = brought(shared, raw, "raw", "qcow2")
    assert (job["state"], image["status"]) == ("cancelled", "killed")
    reaper.run(shared.service)
    assert [key for key in shared.several.keys("plain") if image["id"] in key] == []


@pytest.mark.parametrize("body", [{"container_format": "ova", "format_wanted": "raw"},
                                  {"container_format": "ova"}])  # fmt: skip
def test_what_is_in_a_container_is_not_converted(shared, body):
    found = shared.bring(work=False, **body)
    assert found.status_code == 400


def test_what_changed_in_the_store_is_not_converted(shared, tmp_path, monkeypatch):
    opened = conversion.opened

    def late(ctx, disk, wanted):
        ((store_id, key),) = disk.locations
        path = shared.service.backends.storage(store_id).path(key)
        path.chmod(0o600)
        data = bytearray(path.read_bytes())
        data[0] ^= 1
        path.write_bytes(data)
        return opened(ctx, disk, wanted)

    monkeypatch.setattr(conversion, "opened", late)
    image, job = brought(shared, disk_image.make_raw(tmp_path), "raw", "qcow2")
    assert (job["state"], image["status"]) == ("failed", "killed")
    assert "does not give back what was written" in job["cause"]
