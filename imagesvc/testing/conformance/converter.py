"""Laws of converters."""

import struct
import threading
from pathlib import Path

import pytest

from imagesvc.interface import converter, errors
from imagesvc.testing.conformance import base, child, guest

SIZE_BYTES = 4 << 20
LIMITS = converter.Limits(output_bytes=64 << 20)
_CLUSTER = 1 << 16
_KILLS = 4


def broken_qcow2(*, backing: bytes = b"", data_file: bool = False) -> bytes:
    """A qcow2 header that refers to another file, or one whose tables are missing."""
    head = struct.pack(
        ">IIQIIQIIQQIIQQQQII", 0x514649FB, 3, 512 if backing else 0, len(backing), 16,
        SIZE_BYTES, 0, 1, 3 * _CLUSTER, _CLUSTER, 1, 0, 0, 4 if data_file else 0, 0, 0, 4, 104,
    )  # fmt: skip
    return (head.ljust(512, b"\0") + backing).ljust(4 * _CLUSTER, b"\0")


class ConverterConformance(base.DriverConformance):
    """Derive, and give a fixture `driver` made by `self.make(...)`."""

    VERSION = converter.VERSION
    CAPABILITY = converter.ConverterCapability

    @pytest.fixture
    def raw(self, tmp_path: Path) -> converter.Source:
        """A raw disk with a few bytes in it."""
        path = tmp_path / "source.raw"
        path.write_bytes(b"conformance".ljust(SIZE_BYTES - 5, b"\0") + b"tail!")
        return converter.Source("raw", path=path)

    def convert(
        self, driver: converter.ConverterDriver, source: converter.Source, target: Path, to: str
    ) -> converter.Source:
        """Convert within generous limits."""
        driver.convert(
            source, target, to,
            progress=lambda done, total: None, cancel=threading.Event(), limits=LIMITS,
        )  # fmt: skip
        return converter.Source(to, path=target)

    def converts(
        self, driver: converter.ConverterDriver, raw: converter.Source, target: Path
    ) -> bool:
        """Whether CONVERT is promised; if not, `convert` has to say NotSupported."""
        if self.has(driver, converter.ConverterCapability.CONVERT):
            return True
        with pytest.raises(errors.NotSupported):
            self.convert(driver, raw, target, "raw")
        return False

    def looks(self, driver: converter.ConverterDriver, raw: converter.Source) -> bool:
        """Whether GUEST_FACTS is promised; if not, `facts` has to say NotSupported."""
        if self.has(driver, converter.ConverterCapability.GUEST_FACTS):
            return True
        with pytest.raises(errors.NotSupported):
            driver.facts(raw)
        return False

    def test_a_probe_tells_format_and_size(
        self, driver: converter.ConverterDriver, raw: converter.Source
    ) -> None:
        """`probe` answers in the caller's names of formats."""
        info = driver.probe(raw)
        assert (info.disk_format, info.virtual_size_bytes) == ("raw", SIZE_BYTES)
        assert (info.backing_file, info.data_file, info.encrypted) == (False, False, False)

    @pytest.mark.parametrize(
        "data",
        [
            broken_qcow2(backing=b"/etc/passwd"),
            broken_qcow2(data_file=True),
            broken_qcow2()[:80],
            bytes(_CLUSTER),
        ],
        ids=["backing", "data-file", "cut", "another-format"],
    )
    def test_what_is_unsafe_or_does_not_open_is_refused(
        self, driver: converter.ConverterDriver, tmp_path: Path, data: bytes
    ) -> None:
        """`probe` and `check` raise UnsafeImage."""
        path = tmp_path / "hostile"
        path.write_bytes(data)
        for judge in (driver.probe, driver.check):
            with pytest.raises(converter.UnsafeImage):
                judge(converter.Source("qcow2", path=path))

    def test_check_finds_a_damaged_structure(
        self, driver: converter.ConverterDriver, tmp_path: Path
    ) -> None:
        """A header alone is not enough for `check`."""
        path = tmp_path / "damaged"
        path.write_bytes(broken_qcow2())
        with pytest.raises(converter.UnsafeImage):
            driver.check(converter.Source("qcow2", path=path))

    def test_an_unknown_format_is_not_supported(
        self, driver: converter.ConverterDriver, raw: converter.Source
    ) -> None:
        """A format that no pair of `formats` names raises NotSupported."""
        with pytest.raises(errors.NotSupported):
            driver.probe(converter.Source("no-such-format", path=raw.path))

    def test_every_target_keeps_the_disk(
        self, driver: converter.ConverterDriver, raw: converter.Source, tmp_path: Path
    ) -> None:
        """Each target from raw opens in its format and has the guest's size."""
        if not self.converts(driver, raw, tmp_path / "refused"):
            return
        for to in sorted(target for source, target in driver.formats() if source == "raw"):
            made = self.convert(driver, raw, tmp_path / f"made.{to}", to)
            info = driver.check(made)
            assert (info.disk_format, info.virtual_size_bytes) == (to, SIZE_BYTES)

    def test_there_and_back_gives_the_same_bytes(
        self, driver: converter.ConverterDriver, raw: converter.Source, tmp_path: Path
    ) -> None:
        """For every format that can be read as well as written."""
        if not self.converts(driver, raw, tmp_path / "refused"):
            return
        pairs = driver.formats()
        for to in sorted({b for a, b in pairs if a == "raw" and (b, "raw") in pairs} - {"raw"}):
            made = self.convert(driver, raw, tmp_path / f"there.{to}", to)
            back = self.convert(driver, made, tmp_path / f"back.{to}", "raw")
            assert back.path is not None
            assert raw.path is not None
            assert back.path.read_bytes() == raw.path.read_bytes()

    def test_progress_ends_at_the_total(
        self, driver: converter.ConverterDriver, raw: converter.Source, tmp_path: Path
    ) -> None:
        """`progress` is told (done, total), never falling, at last (total, total)."""
        if not self.converts(driver, raw, tmp_path / "refused"):
            return
        seen: list[tuple[int, int]] = []
        driver.convert(
            raw, tmp_path / "out", "qcow2",
            progress=lambda done, total: seen.append((done, total)),
            cancel=threading.Event(), limits=LIMITS,
        )  # fmt: skip
        assert seen == sorted(seen)
        assert seen[-1] == (SIZE_BYTES, SIZE_BYTES)

    def test_a_name_that_is_taken_is_left_alone(
        self, driver: converter.ConverterDriver, raw: converter.Source, tmp_path: Path
    ) -> None:
        """`convert` makes a new file only: AlreadyExists."""
        if not self.converts(driver, raw, tmp_path / "refused"):
            return
        target = tmp_path / "taken"
        target.write_bytes(b"mine")
        with pytest.raises(errors.AlreadyExists):
            self.convert(driver, raw, target, "qcow2")
        assert target.read_bytes() == b"mine"

    @pytest.mark.parametrize("how", ["cancel", "output", "pair"])
    def test_a_convert_that_ends_early_leaves_nothing(
        self, driver: converter.ConverterDriver, raw: converter.Source, tmp_path: Path, how: str
    ) -> None:
        """Cancelled, over its bound or not possible: a DriverError and no file."""
        if not self.converts(driver, raw, tmp_path / "refused"):
            return
        folder = tmp_path / "folder"
        folder.mkdir()
        cancel = threading.Event()
        if how == "cancel":
            cancel.set()
        with pytest.raises(errors.DriverError):
            driver.convert(
                raw, folder / "out", "no-such-format" if how == "pair" else "raw",
                progress=lambda done, total: None, cancel=cancel,
                limits=converter.Limits(output_bytes=1000) if how == "output" else LIMITS,
            )  # fmt: skip
        assert not list(folder.iterdir())

    def test_a_convert_cut_short_by_a_kill_can_be_done_again(
        self, driver: converter.ConverterDriver, raw: converter.Source, tmp_path: Path
    ) -> None:
        """Restartable from nothing: the source is as it was, and a new target becomes whole."""
        if not self.converts(driver, raw, tmp_path / "refused"):
            return
        assert raw.path is not None
        before = raw.path.read_bytes()
        recipe = self.recipe(driver)
        target = tmp_path / "whole"
        steps = child.steps_of(recipe, "convert", raw, target, "qcow2", most=_KILLS, limits=LIMITS)
        for step in steps:
            target = tmp_path / f"step-{step}"
            child.run_to_step(recipe, step, "convert", raw, target, "qcow2", limits=LIMITS)
            made = self.convert(driver, raw, tmp_path / f"again-{step}", "qcow2")
            assert driver.check(made).virtual_size_bytes == SIZE_BYTES
        assert raw.path.read_bytes() == before
        self.note(f"killed at {len(steps)} lines")

    @pytest.mark.parametrize("machine", [guest.X86_64, guest.AARCH64], ids=["x86_64", "aarch64"])
    def test_what_starts_a_disk_is_found(
        self, driver: converter.ConverterDriver, raw: converter.Source, tmp_path: Path, machine: int
    ) -> None:
        """Boot code is of a BIOS; a loader in the EFI partition is of UEFI, and has a machine."""
        if not self.looks(driver, raw):
            return
        name, word = {
            guest.X86_64: ("BOOTX64.EFI", "x86_64"), guest.AARCH64: ("BOOTAA64.EFI", "aarch64")
        }[machine]  # fmt: skip
        system = guest.fat({f"EFI/BOOT/{name}": guest.pe(machine)})
        for disk, firmware, architecture in (
            (guest.mbr([(0x83, bytes(1 << 20))], code=b"\xfa\xeb\xfe"), ("bios",), None),
            (guest.gpt([(guest.ESP, system)]), ("uefi",), word),
            (guest.mbr([(0xEF, system)], code=b"\xfa\xeb\xfe"), ("bios", "uefi"), word),
        ):
            path = tmp_path / "disk"
            path.write_bytes(disk)
            found = driver.facts(converter.Source("raw", path=path))
            assert (found.firmware, found.architecture, found.os_type) == (
                firmware, architecture, None,
            )  # fmt: skip

    @pytest.mark.parametrize(
        "data",
        [
            b"",
            bytes(1 << 20),
            b"\xff" * (1 << 20),
            bytes(1080) + b"\x53\xef" + b"\xff" * (1 << 16),
            guest.gpt([(guest.ESP, guest.fat({"EFI/BOOT/BOOTX64.EFI": b"MZ"}))])[: 1 << 20],
        ],
        ids=["none", "zeroes", "ones", "no-file-system", "cut"],
    )
    def test_what_is_not_known_is_not_said(
        self, driver: converter.ConverterDriver, raw: converter.Source, tmp_path: Path, data: bytes
    ) -> None:
        """Whatever the bytes are, `facts` raises nothing and guesses nothing."""
        if not self.looks(driver, raw):
            return
        path = tmp_path / "disk"
        path.write_bytes(data)
        for disk_format in ("raw", "qcow2"):
            found = driver.facts(converter.Source(disk_format, path=path))
            assert (found.os_type, found.architecture, found.firmware) == (None, None, ())

    def test_a_look_that_may_take_no_time_ends(
        self, driver: converter.ConverterDriver, raw: converter.Source
    ) -> None:
        """Limits that are reached are no error: what is not known by then is not said."""
        if not self.looks(driver, raw):
            return
        found = driver.facts(raw, limits=converter.Limits(cpu_s=1, wall_s=0.001))
        assert found == converter.GuestFacts()
