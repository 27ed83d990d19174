"""Stores in the order in which they are read."""

from imagesvc.backend.store import Store, Stores


def test_the_heaviest_is_first_and_foreign_urls_are_last():
    light, heavy = Store("b", "file", weight=-1), Store("c", "s3", weight=5)
    foreign = Store("a", "http", read_only=True, foreign=True)
    found = Stores.of((foreign, light, heavy))
    assert found.ids == ("c", "b", "a")
    assert (found.foreign_id, Stores.of((light,)).foreign_id) == ("a", None)
