"""Both gates over the set of tools/make-hostile-images: one file a family, or all (peer)."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from imagesvc import errors
from imagesvc.interface import converter
from imagesvc.stream import gate, pipe
from imagesvc.testing.conformance.options import options_of
from imagesvc_drivers.client import sandbox
from imagesvc_drivers.converter.qemu_img import QemuImgConverter

TOOL = Path(__file__).resolve().parents[2] / "tools" / "make-hostile-images"
# An image of no bytes is taken: Nova saves such ones for servers that boot from a volume.
OURS = {"raw-empty": "accept"}
# One file a family that is quick to make, and the honest ones.
SAMPLE = (
    "qcow2-ok-v3", "qcow2-data-file", "qcow2-shared-cluster-bomb", "qcow2-l1-loop", "vmdk-ok-sparse",
    "vmdk-flat-absolute", "vmdk-parent-hint", "vhd-ok-dynamic", "vhd-ok-fixed", "vhd-differencing",
    "vhdx-ok", "vhdx-dirty-log", "vdi-ok", "vdi-map-past-end", "qed-ok", "qed-backing",
    "raw-ok-gpt", "raw-empty", "iso-ok-hybrid", "iso-vmdk-polyglot", "luks2-declared-raw",
)  # fmt: skip


@pytest.fixture(scope="module")
def qemu_img() -> QemuImgConverter:
    driver = QemuImgConverter(options_of(QemuImgConverter, {}), backend_id="test")
    driver.open()
    return driver


def make(folder: Path, *names: str) -> dict[str, Any]:
    only = ["--only", *names] if names else []
    subprocess.run([sys.executable, TOOL, folder, *only], check=True, capture_output=True)
    made: dict[str, Any] = json.loads((folder / "manifest.json").read_text())
    return made


class Writer:
    """A file that is not committed, as the store keeps it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = path.open("wb")

    def write(self, data: bytes) -> object:
        return self._file.write(data)

    def uncommitted_path(self) -> Path:
        self._file.flush()
        return self._path

    def close(self) -> None:
        self._file.close()


def judge(
    driver: QemuImgConverter, case: dict[str, Any], settings: dict[str, int], at: Path
) -> str:
    """What the upload door says of one file."""
    writer = Writer(at.parent / "staged")
    try:
        with at.open("rb") as source:
            result = pipe.pump(
                source,
                writer,
                disk_format=case["format"],
                container_format=case["container"],
                virtual_cap_bytes=settings["max_virtual_bytes"],
                unpacked_cap_bytes=settings["max_unpacked_bytes"],
            )
        gate.check_writer(driver, result.facts, writer, result.size_bytes)  # type: ignore[arg-type]
    except (errors.UnsupportedImage, errors.TooLarge):
        return "reject"
    finally:
        writer.close()
    return "accept"


def judged(driver: QemuImgConverter, folder: Path, made: dict[str, Any]) -> dict[str, str]:
    return {
        case["file"]: judge(driver, case, made["settings"], folder / case["file"])
        for case in made["cases"]
    }


def wanted(made: dict[str, Any]) -> dict[str, str]:
    return {case["file"]: OURS.get(case["file"], case["verdict"]) for case in made["cases"]}


def test_one_file_a_family_is_judged_rightly(qemu_img: QemuImgConverter, tmp_path: Path) -> None:
    made = make(tmp_path, *SAMPLE)
    assert len(made["cases"]) == len(SAMPLE)
    assert judged(qemu_img, tmp_path, made) == wanted(made)


def peak_kib() -> int:
    """The most memory that this process has held; collecting all tests alone takes 700 MiB."""
    (line,) = (
        line
        for line in Path("/proc/self/status").read_text().splitlines()
        if line.startswith("VmHWM:")
    )
    return int(line.split()[1])


@pytest.mark.peer
def test_the_whole_set_is_judged_rightly(qemu_img: QemuImgConverter, tmp_path: Path) -> None:
    made = make(tmp_path)
    assert len(made["cases"]) == 103
    Path("/proc/self/clear_refs").write_text("5")  # the peak is what is in use now
    before_kib = peak_kib()
    assert judged(qemu_img, tmp_path, made) == wanted(made)
    more_kib = peak_kib() - before_kib
    assert more_kib < 512 << 10, "every bound in the manifest is 512 MiB or more"


MADE = {
    "vmdk": ("subformat=monolithicSparse", "subformat=streamOptimized", "compat6=on"),
    "vdi": ("static=off", "static=on"),
    "vhd": ("subformat=dynamic", "subformat=fixed", "force_size=on"),
    "vhdx": ("subformat=dynamic", "subformat=fixed", "block_size=1M", "log_size=2M"),
    "qed": ("cluster_size=64K", "cluster_size=4K,table_size=16"),
}


@pytest.mark.parametrize("disk_format", MADE)
def test_images_that_the_tool_makes_pass(
    qemu_img: QemuImgConverter, tmp_path: Path, disk_format: str
) -> None:
    """With data in them and sizes that are no power of two."""
    box, limits = sandbox.Sandbox(), converter.Limits(output_bytes=1 << 30)
    source = tmp_path / "source"
    source.write_bytes((bytes(70_000) + bytes(range(256)) * 400) * 40 + bytes(777 * 512))
    source.write_bytes(source.read_bytes()[: source.stat().st_size // 512 * 512])
    name = {"vhd": "vpc"}.get(disk_format, disk_format)
    for number, options in enumerate(MADE[disk_format]):
        place = f"/out/{number}"
        argv = ["qemu-img", "convert", "-f", "raw", "-O", name, "-o", options, "/in/s", place]
        done = box.run(argv, reads={"s": source}, writes=tmp_path, limits=limits)
        assert done.returncode == 0, done.stderr
        case = {"format": disk_format, "container": "bare"}
        settings = {"max_virtual_bytes": 1 << 40, "max_unpacked_bytes": 1 << 28}
        assert judge(qemu_img, case, settings, tmp_path / str(number)) == "accept", options
