"""Laws of converters."""

import struct
import threading
import time
from pathlib import Path

import pytest

from imagesvc.interface import converter, errors
from imagesvc.testing.conformance import child
from imagesvc.testing.conformance.comparison import same
from imagesvc.testing.conformance.converter_guest import ConverterGuestConformance

SIZE_BYTES = 4 << 20
LIMITS = converter.Limits(output_bytes=64 << 20)
_CLUSTER = 1 << 16
_KILLS = 4
LEAVE_S = 20.0


def broken_qcow2(*, backing: bytes = b"", data_file: bool = False) -> bytes:
    """A qcow2 header that refers to another file, or one whose tables are missing."""
    head = struct.pack(
        ">IIQIIQIIQQIIQQQQII", 0x514649FB, 3, 512 if backing else 0, len(backing), 16,
        SIZE_BYTES, 0, 1, 3 * _CLUSTER, _CLUSTER, 1, 0, 0, 4 if data_file else 0, 0, 0, 4, 104,
    )  # fmt: skip
    return (head.ljust(512, b"\0") + backing).ljust(4 * _CLUSTER, b"\0")


class ConverterConformance(ConverterGuestConformance):
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
        self,
        driver: converter.ConverterDriver,
        source: converter.Source,
        target: Path,
        to: str,
        variant: str = "",
    ) -> converter.Source:
        """Convert within generous limits."""
        more = {"variant": variant} if variant else {}
        driver.convert(
            source, target, to,
            progress=lambda done, total: None, cancel=threading.Event(), limits=LIMITS, **more,
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

    def streams(self, driver: converter.ConverterDriver, source: converter.Source) -> bool:
        """Whether RAW_STREAM is promised; if not, `open_raw` has to say NotSupported."""
        if self.has(driver, converter.ConverterCapability.RAW_STREAM):
            return True
        with pytest.raises(errors.NotSupported):
            driver.open_raw(source, limits=LIMITS)
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
            assert same(back.path.read_bytes(), raw.path.read_bytes())

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

    def test_every_variant_keeps_the_disk(
        self, driver: converter.ConverterDriver, raw: converter.Source, tmp_path: Path
    ) -> None:
        """Each of `variants` opens in its format; another word is NotSupported (VARIANTS)."""
        if not self.has(driver, converter.ConverterCapability.VARIANTS):
            assert driver.variants("qcow2") == ()
            return
        for to in sorted({target for _, target in driver.formats()}):
            for variant in driver.variants(to):
                made = self.convert(driver, raw, tmp_path / f"{to}.{variant}", to, variant)
                assert driver.check(made).virtual_size_bytes == SIZE_BYTES
        with pytest.raises(errors.NotSupported):
            self.convert(driver, raw, tmp_path / "odd", "qcow2", "no-such-variant")

    def test_no_conversion_takes_more_than_was_measured(
        self, driver: converter.ConverterDriver, raw: converter.Source, tmp_path: Path
    ) -> None:
        """`measure` names the bytes of disk that a target takes at most (VARIANTS)."""
        if not self.has(driver, converter.ConverterCapability.VARIANTS):
            with pytest.raises(errors.NotSupported):
                driver.measure(raw, "raw")
            return
        for to in sorted(target for source, target in driver.formats() if source == "raw"):
            measured = driver.measure(raw, to)
            made = self.convert(driver, raw, tmp_path / f"made.{to}", to)
            assert made.path is not None
            assert made.path.stat().st_blocks * 512 <= measured

    def test_a_raw_stream_gives_the_guests_bytes(
        self, driver: converter.ConverterDriver, raw: converter.Source, tmp_path: Path
    ) -> None:
        """`open_raw` gives all of them in order, of each format (RAW_STREAM)."""
        if not self.streams(driver, raw):
            return
        assert raw.path is not None
        with driver.open_raw(raw, limits=LIMITS) as stream:
            assert same(stream.read(), raw.path.read_bytes())
        if self.has(driver, converter.ConverterCapability.CONVERT):
            made = self.convert(driver, raw, tmp_path / "made", "qcow2")
            with driver.open_raw(made, limits=LIMITS) as stream:
                assert same(stream.read(), raw.path.read_bytes())

    def test_a_raw_stream_may_be_left_early(
        self, driver: converter.ConverterDriver, raw: converter.Source
    ) -> None:
        """`close` ends it at once, whatever was read (RAW_STREAM)."""
        if not self.streams(driver, raw):
            return
        begun = time.monotonic()
        with driver.open_raw(raw, limits=LIMITS) as stream:
            assert stream.read(11) == b"conformance"
        driver.open_raw(raw, limits=LIMITS).close()
        assert time.monotonic() - begun < LEAVE_S

    def test_a_stream_of_what_does_not_open_is_refused(
        self, driver: converter.ConverterDriver, tmp_path: Path
    ) -> None:
        """`open_raw` raises UnsafeImage, or its `read` does (RAW_STREAM)."""
        path = tmp_path / "hostile"
        path.write_bytes(bytes(_CLUSTER))
        source = converter.Source("qcow2", path=path)
        if not self.streams(driver, source):
            return
        with pytest.raises(converter.UnsafeImage):
            driver.open_raw(source, limits=LIMITS).read()

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
        assert same(raw.path.read_bytes(), before)
        self.note(f"killed at {len(steps)} lines")
