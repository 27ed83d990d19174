"""The lock file."""

import dataclasses
import json

import pytest

from imagesvc import errors
from imagesvc.domain import catalog_lock
from tests.unit.domain.test_catalog import NEW, PUBLISHED, signed

ENTRIES = (
    PUBLISHED,
    dataclasses.replace(PUBLISHED, release=dataclasses.replace(signed(NEW), family="alpine")),
)


def test_a_lock_file_gives_back_what_was_written():
    text = catalog_lock.text(ENTRIES)
    found = catalog_lock.parse(text.encode())
    assert [catalog_lock.release(name, one) for name, one in found.items()] == [
        ENTRIES[1].release, ENTRIES[0].release
    ]  # fmt: skip
    assert found["alpine"].image_id == "an-id"


def test_a_lock_file_is_sorted_so_that_git_shows_what_changed():
    text = catalog_lock.text(ENTRIES)
    assert text == catalog_lock.text(reversed(ENTRIES))
    assert text == json.dumps(json.loads(text), indent=2, sort_keys=True) + "\n"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"extra": 1}, "unknown field `extra`"),
        ({"digest": {"algorithm": "sha256", "value": "a" * 63}}, "64 hex digits"),
        ({"digest": {"algorithm": "crc", "value": "a" * 64}}, "algorithm must be one of"),
        ({"trust": "blind"}, "blind"),
        ({"resolved_at": "2026-01-24T12:00:00"}, "without a zone at alpine"),
        ({"url": ""}, "url"),
    ],
)
def test_a_lock_file_that_is_wrong_says_where(change, told):
    whole = json.loads(catalog_lock.text(ENTRIES))
    whole["families"]["alpine"].update(change)
    with pytest.raises(errors.InvalidRequest, match=told):
        catalog_lock.parse(json.dumps(whole).encode())


def test_a_lock_file_has_a_bound():
    with pytest.raises(errors.InvalidRequest, match="at most"):
        catalog_lock.parse(b" " * (catalog_lock.FILE_BYTES_MAX + 1))
