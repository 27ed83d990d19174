"""Each law of converters is broken by a driver that breaks its promise, and kept by a sound one."""

import inspect

import pytest

from imagesvc.interface import converter
from imagesvc.testing.conformance import converter as suite_module
from imagesvc.testing.conformance import guest
from imagesvc.testing.conformance.base import DriverConformance
from imagesvc.testing.conformance.converter import SIZE_BYTES, ConverterConformance
from imagesvc.testing.conformance.converter import broken_qcow2 as broken_image
from imagesvc_drivers.converter.qemu_img import QemuImgConverter
from tests.unit.testing import converter_fault
from tests.unit.testing.law import broken

CASES = [
    ("Foreign", "a_probe_tells_format_and_size", {}),
    (
        "Trusting",
        "what_is_unsafe_or_does_not_open_is_refused",
        {"data": broken_image(backing=b"/etc/passwd")},
    ),
    ("HeaderOnly", "check_finds_a_damaged_structure", {}),
    ("Guessing", "an_unknown_format_is_not_supported", {}),
    ("Unclaimed", "every_target_keeps_the_disk", {}),
    ("Copying", "every_target_keeps_the_disk", {}),
    ("Copying", "there_and_back_gives_the_same_bytes", {}),
    ("Silent", "progress_ends_at_the_total", {}),
    ("Overwriting", "a_name_that_is_taken_is_left_alone", {}),
    ("Leaving", "a_convert_that_ends_early_leaves_nothing", {"how": "output"}),
    ("Indifferent", "every_variant_keeps_the_disk", {}),
    ("Optimistic", "no_conversion_takes_more_than_was_measured", {}),
    ("Verbatim", "a_raw_stream_gives_the_guests_bytes", {}),
    ("Clinging", "a_raw_stream_may_be_left_early", {}),
    ("Empty", "a_stream_of_what_does_not_open_is_refused", {}),
    ("Believing", "what_starts_a_disk_is_found", {"machine": guest.AARCH64}),
    ("Assuming", "what_is_not_known_is_not_said", {"data": bytes(1 << 20)}),
    ("Strict", "a_look_that_may_take_no_time_ends", {}),
    ("Spoiling", "a_convert_cut_short_by_a_kill_can_be_done_again", {}),
]


class Converter(ConverterConformance):
    """The suite without pytest's machinery."""

    driver = None


def run(folder, driver_class, law, facts):
    folder.mkdir()
    raw = folder / "source.raw"
    raw.write_bytes(b"conformance".ljust(SIZE_BYTES - 5, b"\0") + b"tail!")
    suite = Converter()
    given = {
        "driver": suite.make(driver_class),
        "raw": converter.Source("raw", path=raw),
        "tmp_path": folder,
        **facts,
    }
    method = getattr(suite, f"test_{law}")
    method(**{name: given[name] for name in inspect.signature(method).parameters})


@pytest.fixture(autouse=True)
def _impatient(monkeypatch):
    """A driver that clings need not cling for long."""
    monkeypatch.setattr(suite_module, "LEAVE_S", 5.0)


@pytest.mark.parametrize(("fault", "law", "facts"), CASES, ids=lambda each: str(each)[:40])
def test_a_fault_breaks_its_law(tmp_path, fault, law, facts):
    run(tmp_path / "sound", QemuImgConverter, law, facts)
    with broken():
        run(tmp_path / "faulty", getattr(converter_fault, fault), law, facts)


def test_every_law_has_a_fault():
    common = set(dir(DriverConformance))
    laws = {name for name in dir(Converter) if name.startswith("test_") and name not in common}
    assert {name.removeprefix("test_") for name in laws} == {law for _, law, _ in CASES}
