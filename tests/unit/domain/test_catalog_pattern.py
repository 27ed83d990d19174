"""Builds by the placeholders of their names."""

import pytest

from imagesvc.domain.catalog_pattern import Pattern, order


@pytest.mark.parametrize(
    ("text", "name", "build"),
    [
        ("{date8}-{int}/", "20260101-10/", "20260101-10"),
        ("release-{date8}/", "release-20260101/", "20260101"),
        ("R-9-{version}.x.qcow2", "R-9-9.7-20260101.0.x.qcow2", "9.7-20260101.0"),
        ("{date8}/", "latest/", None),
        ("a.{int}", "ab1", None),
    ],
)
def test_a_name_tells_its_build(text, name, build):
    assert Pattern(text).build(name) == build


def test_builds_are_ordered_by_numbers():
    assert max(("20260101-9", "20260101-10"), key=order) == "20260101-10"


@pytest.mark.parametrize("text", ["{regex}", "plain"])
def test_a_pattern_without_known_placeholders_is_refused(text):
    with pytest.raises(ValueError, match="placeholder"):
        Pattern(text)
