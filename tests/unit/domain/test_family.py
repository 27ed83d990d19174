"""Families: the grammar of their names, and the order of their versions."""

import pytest

from imagesvc import errors
from imagesvc.domain import family


@pytest.mark.parametrize(
    ("newer", "older"),
    [
        ("20260101-10", "20260101-9"),
        ("20260201", "20260101-99"),
        ("9.10", "9.9"),
        ("10", "9.9.9"),
        ("v1.2.3", "v1.2"),
        ("1.010", "1.9"),
        ("1", None),
        ("1" + "0" * 40, "9" * 40),
    ],
)
def test_a_version_is_compared_by_its_numbers(newer, older):
    assert family.order(newer) > family.order(older)


def test_zeros_in_front_of_a_number_do_not_count():
    assert family.order("1.09") == family.order("1.9")


@pytest.mark.parametrize("name", ["debian-13-x86_64", "a", "9front", "x" * 64])
def test_a_name_is_a_word_of_small_letters(name):
    assert family.check_name("family", name) == name


@pytest.mark.parametrize("name", ["", "Debian", "a/b", "-a", "x" * 65, "a b", "a\n", "é", 1, ["a"]])
def test_any_other_name_is_refused(name):
    with pytest.raises(errors.InvalidRequest, match="family must be"):
        family.check_name("family", name)


@pytest.mark.parametrize("version", ["", "a b", ".1", "1/2", "1" * 65, 1])
def test_a_version_is_a_word(version):
    with pytest.raises(errors.InvalidRequest, match="version must be"):
        family.check_version("version", version)
