"""What the converter of qemu-img finds by looking into guests, whatever their disks hold."""

import io
import random
import struct
import threading
from pathlib import Path

import pytest

from imagesvc.interface import converter, errors
from imagesvc.interface.converter import GuestFacts, Limits
from imagesvc.stream import nbd
from imagesvc.testing.conformance import guest
from imagesvc.testing.conformance.options import options_of
from imagesvc_drivers.client import sandbox
from imagesvc_drivers.converter import sniffer
from imagesvc_drivers.converter.qemu_img import QemuImgConverter
from tests import guest_disk

SPARK = GuestFacts(
    os_type="linux", os_distro="debian", os_version="12", os_name="Spark 1", firmware=("bios",),
    cloud_init=True, file_systems=("ext",),
)  # fmt: skip
ACME = GuestFacts(
    os_type="linux", os_distro="acme", os_version="7.2", os_name="Acme Linux 7 (Bolt)",
    architecture="x86_64", firmware=("uefi",), virtio=True, cloud_init=True,
    file_systems=("ext", "fat"),
)  # fmt: skip
SERVER_2022 = GuestFacts(
    os_type="windows", os_distro="windows", os_version="10.0.20348",
    os_name="Windows Server 2022 Datacenter", architecture="x86_64", firmware=("uefi",),
    virtio=True, cloud_init=True, file_systems=("fat", "ntfs"),
)  # fmt: skip


@pytest.fixture(scope="module")
def driver() -> QemuImgConverter:
    made = QemuImgConverter(options_of(QemuImgConverter, {}), backend_id="test")
    made.open()
    return made


@pytest.fixture(scope="module")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return guest_disk.spark(tmp_path_factory.mktemp("spark"))


@pytest.fixture(scope="module")
def windows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return guest_disk.windows(tmp_path_factory.mktemp("windows"))


def facts(
    driver: QemuImgConverter, folder: Path, disk: bytes, disk_format: str = "raw"
) -> GuestFacts:
    path = folder / "disk"
    path.write_bytes(disk)
    return driver.facts(converter.Source(disk_format, path=path))


def rooted(folder: Path, fill) -> bytes:
    return guest.mbr([(0x83, guest_disk.ext4(folder, fill))], code=guest_disk.BOOT_CODE)


@pytest.mark.parametrize("disk_format", ["raw", "qcow2"])
def test_spark_is_told(driver: QemuImgConverter, spark: Path, disk_format: str) -> None:
    source = converter.Source(disk_format, path=spark.with_suffix(f".{disk_format}"))
    assert driver.facts(source) == SPARK


def test_where_landlock_alone_holds_tools_nothing_is_looked_into(
    monkeypatch: pytest.MonkeyPatch, spark: Path
) -> None:
    best = sandbox.Sandbox
    monkeypatch.setattr(sandbox, "Sandbox", lambda: best(sandbox.Level.LANDLOCK))
    made = QemuImgConverter(options_of(QemuImgConverter, {}), backend_id="test")
    made.open()
    assert converter.ConverterCapability.GUEST_FACTS not in made.info().capabilities
    with pytest.raises(errors.NotSupported, match="bubblewrap"):
        made.facts(converter.Source("raw", path=spark))


@pytest.mark.parametrize("disk_format", ["raw", "qcow2"])
def test_a_stored_object_is_looked_into_through_a_socket(
    driver: QemuImgConverter, spark: Path, disk_format: str
) -> None:
    data = spark.with_suffix(f".{disk_format}").read_bytes()
    opened = []

    def read(offset: int, length: int) -> io.BytesIO:
        opened.append(length)
        return io.BytesIO(data[offset : offset + length])

    with nbd.NbdServer(read, len(data)) as server:
        source = converter.Source(disk_format, nbd_socket=server.path)
        assert driver.facts(source) == SPARK
    assert len(opened) < 100


def test_a_distribution_of_today_is_told(driver: QemuImgConverter, tmp_path: Path) -> None:
    assert facts(driver, tmp_path, guest_disk.linux(tmp_path)) == ACME


def test_programs_are_believed_before_the_loader(driver: QemuImgConverter, tmp_path: Path) -> None:
    found = facts(driver, tmp_path, guest_disk.linux(tmp_path, machine=183, virtio=False))
    assert (found.architecture, found.virtio) == ("aarch64", False)


@pytest.mark.parametrize("disk_format", ["raw", "qcow2", "vmdk", "vhd", "vhdx", "vdi"])
def test_windows_is_told_in_every_format(
    driver: QemuImgConverter, windows: Path, tmp_path: Path, disk_format: str
) -> None:
    path = windows
    if disk_format != "raw":
        path = tmp_path / "image"
        driver.convert(
            converter.Source("raw", path=windows), path, disk_format,
            progress=lambda done, total: None, cancel=threading.Event(),
            limits=Limits(output_bytes=64 << 20),
        )  # fmt: skip
    assert driver.facts(converter.Source(disk_format, path=path)) == SERVER_2022


@pytest.mark.parametrize(
    ("platforms", "firmware"),
    [((), ()), ((0,), ("bios",)), ((0xEF,), ("uefi",)), ((0, 0xEF), ("bios", "uefi"))],
)
def test_a_disc_tells_its_label_and_what_starts_it(
    driver: QemuImgConverter, tmp_path: Path, platforms: tuple[int, ...], firmware: tuple[str, ...]
) -> None:
    found = facts(driver, tmp_path, guest_disk.iso("ACME_7", platforms), "iso")
    assert found == GuestFacts(label="ACME_7", firmware=firmware, file_systems=("iso9660",))


def test_a_disc_over_which_the_library_hangs_tells_what_it_told(
    driver: QemuImgConverter, tmp_path: Path
) -> None:
    """Without a path table The Sleuth Kit 4 never ends."""
    disc = bytearray(guest_disk.iso("ACME_7", (0xEF,)))
    disc[16 * 2048 + 132 : 16 * 2048 + 156] = bytes(24)
    path = tmp_path / "disc"
    path.write_bytes(disc)
    source = converter.Source("iso", path=path)
    found = driver.facts(source, limits=Limits(cpu_s=2, wall_s=4))
    assert found == GuestFacts(label="ACME_7", firmware=("uefi",), file_systems=("iso9660",))


@pytest.mark.parametrize(
    ("at", "signature", "word"),
    [(0, b"XFSB", "xfs"), (65600, b"_BHRfS_M", "btrfs"), (512, b"LABELONE", "lvm")],
)
def test_what_cannot_be_read_is_named_and_no_more(
    driver: QemuImgConverter, tmp_path: Path, at: int, signature: bytes, word: str
) -> None:
    volume = bytes(at) + signature + bytes(1 << 17)
    found = facts(driver, tmp_path, guest.gpt([(guest.DATA, volume)]))
    assert found == GuestFacts(file_systems=(word,))


# ---------------------------------------------------------------- hostile disks


def a_link_in_a_circle(root: Path) -> None:
    (root / "etc").mkdir()
    (root / "etc/os-release").symlink_to("../etc/os-release")
    (root / "usr").symlink_to("usr/lib")


def a_link_out_of_the_disk(root: Path) -> None:
    (root / "etc").mkdir()
    (root / "etc/os-release").symlink_to("../../../../../../etc/os-release")


def a_folder_for_a_file(root: Path) -> None:
    (root / "etc/os-release").mkdir(parents=True)


def a_release_of_a_mebibyte(root: Path) -> None:
    (root / "etc").mkdir()
    (root / "etc/os-release").write_bytes(b"ID=" + b"a" * (1 << 20))


def a_release_of_control_characters(root: Path) -> None:
    (root / "etc").mkdir()
    (root / "etc/os-release").write_bytes(
        b'ID="a\x1b[2J"\nVERSION_ID="\xff\xfe<b>"\nPRETTY_NAME="a\\nb\x07\x00"\n'
    )


@pytest.mark.parametrize("fill", [a_link_in_a_circle, a_link_out_of_the_disk, a_folder_for_a_file])
def test_what_leads_nowhere_is_not_known(driver: QemuImgConverter, tmp_path: Path, fill) -> None:
    found = facts(driver, tmp_path, rooted(tmp_path, fill))
    assert found == GuestFacts(firmware=("bios",), file_systems=("ext",))


@pytest.mark.parametrize("fill", [a_release_of_a_mebibyte, a_release_of_control_characters])
def test_words_that_are_none_are_not_repeated(
    driver: QemuImgConverter, tmp_path: Path, fill
) -> None:
    found = facts(driver, tmp_path, rooted(tmp_path, fill))
    assert (found.os_type, found.os_distro, found.os_version, found.os_name) == (
        "linux", None, None, None,
    )  # fmt: skip


def test_a_huge_folder_ends_within_its_limits(driver: QemuImgConverter, tmp_path: Path) -> None:
    def fill(root: Path) -> None:
        modules = root / "lib/modules"
        modules.mkdir(parents=True)
        for number in range(3000):
            (modules / f"{number:0100}").touch()
        (root / "etc").mkdir()
        (root / "etc/os-release").write_text("ID=acme\n")

    found = facts(driver, tmp_path, rooted(tmp_path, fill))
    assert (found.os_distro, found.virtio) == ("acme", False)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("kind", ["linux", "windows"])
def test_damaged_file_systems_never_raise(
    driver: QemuImgConverter, tmp_path: Path, windows: Path, kind: str, seed: int
) -> None:
    """Bytes of the places where a file system keeps its tables, changed at random."""
    chance = random.Random(seed)
    disk = bytearray(windows.read_bytes() if kind == "windows" else guest_disk.linux(tmp_path))
    begin = 2 << 20
    used = [n for n in range(begin, len(disk), 512) if any(disk[n : n + 512])]
    for _ in range(200):
        disk[chance.choice(used) + chance.randrange(512)] = chance.randrange(256)
    found = facts(driver, tmp_path, bytes(disk))
    assert found.firmware in ((), ("uefi",))


def test_a_disk_that_is_cut_keeps_what_is_there(
    driver: QemuImgConverter, windows: Path, tmp_path: Path
) -> None:
    found = facts(driver, tmp_path, windows.read_bytes()[: (2 << 20) + 4096])
    assert (found.firmware, found.os_type) == (("uefi",), None)


def test_partitions_in_a_circle_end(driver: QemuImgConverter, tmp_path: Path) -> None:
    link = struct.pack("<4xB3xII", 0x83, 1, 8) + struct.pack("<4xB3xII", 0x05, 8, 8)
    chain = (bytes(446) + link).ljust(510, b"\0") + b"\x55\xaa"
    disk = guest.mbr([(0x05, chain * 16)], code=guest_disk.BOOT_CODE)
    assert facts(driver, tmp_path, disk) == GuestFacts(firmware=("bios",))


@pytest.mark.parametrize(
    ("count", "size"), [(0xFFFFFFFF, 128), (4, 0), (4, 0xFFFFFFFF), (128, 4096)]
)
def test_a_table_that_claims_much_is_bounded(
    driver: QemuImgConverter, tmp_path: Path, count: int, size: int
) -> None:
    disk = bytearray(guest.gpt([(guest.DATA, bytes(1 << 20))]))
    disk[512 + 80 : 512 + 88] = struct.pack("<II", count, size)
    disk[512 + 72 : 512 + 80] = struct.pack("<Q", 2)
    assert facts(driver, tmp_path, bytes(disk)) == GuestFacts()


def test_what_was_found_before_a_limit_is_kept(driver: QemuImgConverter, tmp_path: Path) -> None:
    """A store that stops to answer in the middle of the disk: the look ends by its own clock."""
    disk = guest_disk.linux(tmp_path)
    ended = threading.Event()

    def read(offset: int, length: int) -> io.BytesIO:
        if offset >= 2 << 20 and length > 4608:  # the root's file system, after its signature
            ended.wait(60)
        return io.BytesIO(disk[offset : offset + length])

    with nbd.NbdServer(read, len(disk)) as server:
        try:
            source = converter.Source("raw", nbd_socket=server.path)
            found = driver.facts(source, limits=Limits(cpu_s=20, wall_s=8))
        finally:
            ended.set()
    assert found == GuestFacts(
        firmware=("uefi",), architecture="x86_64", file_systems=("ext", "fat")
    )


@pytest.mark.parametrize(
    "said",
    [
        b"", b"\xff\xfe\n", b"[]\n1\nnull\n", b"[" * 5000, b'{"os_type": "linux"',
        b'{"os_type": "plan9", "architecture": ["x86_64"], "virtio": "yes", "cloud_init": 1}',
        b'{"firmware": "uefi", "file_systems": [["ext"], {}, null], "os_distro": "a b\\n"}',
        b'{"os_name": "a\\u001b[31m", "label": "\\u202egnp", "os_version": {"a": 1}}',
        b'{"os_name": "' + b"a" * 129 + b'", "os_distro": "' + b"a" * 65 + b'"}',
    ],
)  # fmt: skip
def test_an_answer_is_judged_as_a_strangers(said: bytes) -> None:
    assert sniffer.judge(said) == GuestFacts()


def test_of_an_answer_the_good_words_are_kept() -> None:
    said = b'{"os_type": "linux", "os_distro": "../x"}\nnonsense\n{"os_type": null, "virtio": true}\n{"os'
    assert sniffer.judge(said) == GuestFacts(os_type="linux", virtio=True)


def test_without_the_library_nothing_is_promised(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sniffer, "library", lambda: None)
    made = QemuImgConverter(options_of(QemuImgConverter, {}), backend_id="test")
    assert converter.ConverterCapability.GUEST_FACTS not in made.info().capabilities
