"""Gate one over every hostile image, in several cuts."""

import pytest

from imagesvc import errors
from imagesvc.domain import disk_format
from imagesvc.stream import inspect
from imagesvc.stream.format import table
from tests import hostile_image

CAP = 1 << 40


def judge(declared: str, data: bytes, step: int) -> inspect.Facts:
    inspector = inspect.Inspector(declared, virtual_cap_bytes=CAP)
    for at in range(0, len(data), step):
        inspector.feed(data[at : at + step])
    return inspector.finish(len(data))


@pytest.mark.parametrize("step", [1000, 1 << 20])
@pytest.mark.parametrize("name", hostile_image.CASES)
def test_gate_one_judges_the_set(name: str, step: int) -> None:
    case = hostile_image.CASES[name]
    if case.accepted or case.late:
        facts = judge(case.declared, case.data, step)
        assert facts.disk_format == case.declared
        return
    with pytest.raises((errors.UnsupportedImage, errors.TooLarge)) as caught:
        judge(case.declared, case.data, step)
    assert caught.value.reason is not errors.Reason.UNKNOWN


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("qcow2-declared-raw", errors.Reason.FORMAT_MISMATCH),
        ("iso-also-qcow2", errors.Reason.FORMAT_MISMATCH),
        ("ploop-not-judged", errors.Reason.FORMAT_MISMATCH),
        ("qcow2-backing", errors.Reason.FORMAT_UNSAFE),
        ("luks-2-declared-raw", errors.Reason.FORMAT_UNSAFE),
        ("qcow2-size-1-pib", errors.Reason.SIZE_CAP),
    ],
)
def test_the_reason_tells_a_mistake_from_an_attack(name: str, reason: errors.Reason) -> None:
    case = hostile_image.CASES[name]
    with pytest.raises(errors.ImagesvcError) as caught:
        judge(case.declared, case.data, 1 << 20)
    assert caught.value.reason is reason


@pytest.mark.parametrize("declared", sorted(disk_format.JUDGED_FORMATS))
def test_no_bytes_are_fine_in_every_judged_format(declared: str) -> None:
    assert judge(declared, b"", 1) == inspect.Facts(declared, 0)


def test_another_format_is_refused_by_naming_those_that_are_taken() -> None:
    with pytest.raises(errors.UnsupportedImage, match="iso, qcow2, qed, raw"):
        inspect.Inspector("ploop")


def test_every_judged_format_has_rules_and_no_other() -> None:
    assert set(table.RULES) == disk_format.JUDGED_FORMATS


def test_the_virtual_size_is_the_headers() -> None:
    assert judge("qcow2", hostile_image.qcow2(), 1 << 20).virtual_size_bytes == 1 << 20


def test_a_wrong_total_is_refused() -> None:
    inspector = inspect.Inspector("raw")
    inspector.feed(b"abc")
    with pytest.raises(errors.InvalidRequest):
        inspector.finish(4)


@pytest.mark.parametrize("length", range(0, 180, 7))
def test_a_cut_header_is_a_refusal_and_never_another_error(length: int) -> None:
    data = hostile_image.qcow2()[: length + 1]
    with pytest.raises(errors.UnsupportedImage):
        judge("qcow2", data, 1 << 20)
