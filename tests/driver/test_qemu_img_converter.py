"""qemu-img as a converter, and both gates over every hostile image."""

import io
import os
import threading
from pathlib import Path

import pytest

from imagesvc import errors
from imagesvc.interface import converter
from imagesvc.stream import gate, pipe
from imagesvc.testing.conformance.converter import ConverterConformance
from imagesvc.testing.conformance.options import options_of
from imagesvc_drivers.client import sandbox
from imagesvc_drivers.converter.qemu_img import QemuImgConverter
from tests import hostile_image

CAP = 1 << 40


@pytest.fixture(scope="module")
def qemu_img() -> QemuImgConverter:
    driver = QemuImgConverter(options_of(QemuImgConverter, {}), backend_id="test")
    driver.open()
    return driver


class TestQemuImgConverter(ConverterConformance):
    @pytest.fixture
    def driver(self) -> QemuImgConverter:
        return self.make(QemuImgConverter)

    def test_the_health_names_the_sandbox(self, driver: QemuImgConverter) -> None:
        assert "sandbox: bubblewrap" in driver.health().detail

    def test_no_call_leaves_the_format_to_the_tool(
        self, driver: QemuImgConverter, raw: converter.Source, tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:  # fmt: skip
        calls: list[list[str]] = []
        run = sandbox.Sandbox.run

        def recorded(self: sandbox.Sandbox, argv: list[str], **options: object) -> sandbox.Result:
            calls.append(argv)
            return run(self, argv, **options)  # type: ignore[arg-type]

        monkeypatch.setattr(sandbox.Sandbox, "run", recorded)
        made = self.convert(driver, raw, tmp_path / "made", "qcow2")
        driver.check(made)
        driver.measure(made, "vmdk")
        with driver.open_raw(made, limits=converter.Limits()) as stream:
            stream.read(1)
        words = {call[1] if call[0] == "qemu-img" else call[0] for call in calls}
        assert words == {"info", "check", "convert", "measure", "qemu-nbd"}
        for call in calls:
            assert call[call.index("-f") + 1] in ("raw", "qcow2")
            assert call[1] not in ("convert", "measure") or "-O" in call
            assert str(tmp_path) not in " ".join(call)


class Writer(io.BytesIO):
    """Bytes that are not committed, in memory or in a local file."""

    def __init__(self, path: Path | None) -> None:
        super().__init__()
        self._path = path

    def uncommitted_path(self) -> Path | None:
        if self._path is not None:
            self._path.write_bytes(self.getvalue())
        return self._path

    def open_uncommitted(self) -> io.BytesIO:
        return io.BytesIO(self.getvalue())


def upload(driver: QemuImgConverter, declared: str, data: bytes, path: Path | None) -> None:
    """Take an upload through both gates."""
    writer = Writer(path)
    result = pipe.pump(io.BytesIO(data), writer, disk_format=declared, virtual_cap_bytes=CAP)
    gate.check_writer(driver, result.facts, writer, result.size_bytes)  # type: ignore[arg-type]


@pytest.mark.parametrize("place", ["file", "object"])
@pytest.mark.parametrize("name", hostile_image.CASES)
def test_the_two_gates_judge_the_set(
    qemu_img: QemuImgConverter, tmp_path: Path, name: str, place: str
) -> None:
    case = hostile_image.CASES[name]
    path = tmp_path / "staged" if place == "file" else None
    (tmp_path / "secret").write_text("sibling")
    if case.accepted:
        upload(qemu_img, case.declared, case.data, path)
        return
    with pytest.raises((errors.UnsupportedImage, errors.TooLarge)):
        upload(qemu_img, case.declared, case.data, path)


@pytest.mark.parametrize("place", ["file", "object"])
def test_images_that_the_tool_makes_pass_both_gates(
    qemu_img: QemuImgConverter, tmp_path: Path, place: str
) -> None:
    """Real images end in the middle of a cluster, and have sizes that are no power of two."""
    box = sandbox.Sandbox()
    limits = converter.Limits(output_bytes=1 << 30)
    for number, options in enumerate(
        ("cluster_size=512", "cluster_size=2M", "compat=0.10", "extended_l2=on",
         "compression_type=zstd", "lazy_refcounts=on", "preallocation=metadata")
    ):  # fmt: skip
        argv = ["qemu-img", "create", "-q", "-f", "qcow2", "-o", options, f"/out/{number}", "10M"]
        assert box.run(argv, writes=tmp_path, limits=limits).returncode == 0
        data = (tmp_path / str(number)).read_bytes()
        upload(qemu_img, "qcow2", data, tmp_path / "staged" if place == "file" else None)


def test_a_store_that_fails_is_no_fault_of_the_image(qemu_img: QemuImgConverter) -> None:
    def broken(offset: int, length: int) -> io.BytesIO:
        raise OSError("store")

    data = hostile_image.qcow2()
    facts = pipe.pump(io.BytesIO(data), io.BytesIO(), disk_format="qcow2").facts
    with pytest.raises(OSError, match="store"):
        gate.check_object(qemu_img, facts, broken, len(data))


def test_a_tool_that_sees_another_size_refuses(qemu_img: QemuImgConverter, tmp_path: Path) -> None:
    path = tmp_path / "image"
    path.write_bytes(hostile_image.qcow2(size=512))
    facts = pipe.pump(
        io.BytesIO(hostile_image.qcow2(size=1024)), io.BytesIO(), disk_format="qcow2"
    ).facts
    with pytest.raises(errors.UnsupportedImage, match="differently"):
        gate.check_file(qemu_img, facts, path)


def test_a_vdi_of_scattered_bytes_takes_no_more_than_was_measured(
    qemu_img: QemuImgConverter, tmp_path: Path
) -> None:
    """QEMU writes a VDI in whole blocks of 1 MiB, whatever little of each is used."""
    path = tmp_path / "image"
    with path.open("wb") as file:
        file.truncate(64 << 20)
        for number in range(64):
            os.pwrite(file.fileno(), b"x", number << 20)
    source = converter.Source("raw", path=path)
    measured = qemu_img.measure(source, "vdi")
    qemu_img.convert(
        source, tmp_path / "made", "vdi", progress=lambda done, total: None,
        cancel=threading.Event(), limits=converter.Limits(output_bytes=1 << 30),
    )  # fmt: skip
    assert (tmp_path / "made").stat().st_blocks * 512 <= measured
