"""The table of ways names every source, target and kind of job, and tests that are there."""

import re
from pathlib import Path

import pytest

from imagesvc.domain.job import JobType
from tests.client import test_way as ways

ROOT = Path(__file__).parents[3]
TEXT = (ROOT / "docs" / "operator" / "way.rst").read_text("utf-8")
CODE = re.compile(r"``([^`]+)``")
TEST = re.compile(r"^(?:async )?def (test_\w+)\(", re.MULTILINE)
BEFORE = 3  # columns: source, image, job


def rows():
    """The cells of each row of the table, its heading first."""
    body = TEXT.partition(".. list-table::")[2].partition("\n\nThe way on")[0]
    return [
        [cell.strip() for cell in re.split(r"\n     - ", row)]
        for row in re.split(r"\n   \* - ", body)[1:]
    ]


def known_tests():
    """Names of all tests."""
    return {
        name
        for path in (ROOT / "tests").rglob("test_*.py")
        for name in TEST.findall(path.read_text("utf-8"))
    }


HEAD, *ROWS = rows()


def test_the_table_has_each_source_and_each_target():
    assert [row[0] for row in ROWS] == list(ways.SOURCES)
    assert HEAD[BEFORE:] == list(ways.TARGETS)
    assert {len(row) for row in ROWS} == {len(HEAD)}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_each_cell_names_tests_that_are_there(row):
    known = known_tests() | {"way"}
    for cell in row[BEFORE:]:
        assert CODE.findall(cell)
        assert set(CODE.findall(cell)) <= known


def test_every_kind_of_job_has_its_place():
    assert {str(one) for one in JobType} <= set(CODE.findall(TEXT))
    named = {name for row in ROWS for name in CODE.findall(row[BEFORE - 1])}
    assert named <= {str(one) for one in JobType}


def test_tests_that_the_text_names_are_there():
    assert {name for name in CODE.findall(TEXT) if name.startswith("test_")} <= known_tests()
