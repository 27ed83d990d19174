"""Which copies of a disk are the last good ones."""

import pytest

from imagesvc.domain.image import Damage
from imagesvc.manager import image_copy
from tests.unit.db import make

PLACES = (("plain", "p"), ("mirror", "m"))


class Store:
    """A store that keeps so many copies of each object."""

    def __init__(self, count):
        self._count = count

    def copies(self):
        return self._count


class Backends:
    """One plain store and one with a mirror."""

    def __init__(self):
        self._found = {"plain": Store(1), "mirror": Store(2)}
        self.stores = self

    def storage(self, store_id):
        return self._found[store_id]

    def order(self, found, preferred):
        return sorted(found)


def damaged(*copies):
    return tuple(Damage(store, key, number, "corrupt", make.START) for store, key, number in copies)


@pytest.mark.parametrize(
    ("bad", "removed", "last"),
    [
        ((), ["mirror"], False),
        ((), ["mirror", "plain"], True),
        ((("plain", "p", 0),), ["mirror"], True),
        ((("plain", "p", 0),), ["plain"], False),
        ((("plain", "p", 0), ("mirror", "m", 0)), ["mirror"], True),
        ((("mirror", "m", 0), ("mirror", "m", 1)), ["plain"], True),
        ((("plain", "p", 0), ("mirror", "m", 0), ("mirror", "m", 1)), ["plain"], False),
    ],
)
def test_the_last_good_copy_is_known_by_its_number_too(bad, removed, last):
    disk = make.disk(locations=PLACES, damages=damaged(*bad))
    assert image_copy.is_last(Backends(), disk, removed) is last
