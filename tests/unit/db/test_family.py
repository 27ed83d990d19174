"""Families on both engines: the newest image, its alias, and the one image that all are shown."""

import datetime

import pytest

from imagesvc import errors
from imagesvc.db import family as rows
from imagesvc.db import image as image_rows
from imagesvc.db import metadata
from tests.unit.db import make

NAME = "debian-13"


def born(database, **facts):
    values = {"status": "active", "family": NAME, "visibility": "private"} | facts
    image = make.image(**values)
    with database.write() as conn:
        image_rows.insert(conn, image)
    return image.id


def newest(database, project="alpha"):
    with database.read() as conn:
        return rows.resolve(conn, NAME, project)


def moved(database, image_id, former):
    with database.write() as conn:
        return rows.move(conn, "alpha", NAME, image_id, former, metadata.now())


def test_the_newest_is_the_one_with_the_highest_numbers(database):
    ten = born(database, family_version="20260101-10")
    born(database, family_version="20260101-9")
    assert newest(database) == ten


def test_a_version_that_changes_changes_its_place(database):
    first = born(database, family_version="1")
    second = born(database, family_version="2")
    assert newest(database) == second
    with database.write() as conn:
        image_rows.update(conn, first, {"family_version": "3"})
    assert newest(database) == first


@pytest.mark.parametrize(
    "out", [{"hidden": True}, {"deprecated_at": make.START}, {"status": "deactivated"}]
)
def test_hidden_deprecated_and_inactive_images_do_not_count(database, out):
    old = born(database, family_version="1")
    born(database, family_version="2", **out)
    assert newest(database) == old


def test_a_deprecation_to_come_is_none_yet(database):
    later = metadata.now() + datetime.timedelta(days=1)
    image_id = born(database, deprecated_at=later)
    assert newest(database) == image_id


def test_the_own_family_comes_before_a_public_one(database):
    public = born(database, owner="catalog", visibility="public", family_version="9")
    assert newest(database) == newest(database, "beta") == newest(database, None) == public
    own = born(database, family_version="1")
    assert (newest(database), newest(database, "beta")) == (own, public)


def test_a_private_family_is_nobody_elses(database):
    born(database)
    assert newest(database, "beta") is None


def test_an_alias_says_which_image_is_the_newest(database):
    old = born(database, family_version="1", hidden=True)
    born(database, family_version="2")
    assert moved(database, old, None)
    assert newest(database) == old
    with database.write() as conn:
        image_rows.transition(conn, old, "deactivate")
    assert newest(database) != old


def test_of_two_that_move_an_alias_from_the_same_image_one_loses(database):
    first, second, third = (born(database, family_version=str(n)) for n in range(3))
    assert moved(database, first, None)
    assert not moved(database, second, None)
    assert moved(database, second, first)
    assert not moved(database, third, first)
    with database.read() as conn:
        assert rows.alias(conn, "alpha", NAME) == (second, first)


def test_without_its_alias_versions_decide_again(database):
    old, new = (born(database, family_version=version) for version in ("1", "2"))
    moved(database, old, None)
    with database.write() as conn:
        assert rows.remove(conn, "alpha", NAME)
        assert not rows.remove(conn, "alpha", NAME)
    assert newest(database) == new


def test_a_family_shows_one_public_image(database):
    first = born(database, visibility="public", family_version="1")
    with pytest.raises(errors.Conflict, match="shows one public image"):
        born(database, visibility="public", family_version="2")
    second = born(database, visibility="public", family_version="2", hidden=True)
    with pytest.raises(errors.Conflict, match="shows one public image"), database.write() as conn:
        image_rows.update(conn, second, {"hidden": False})
    with database.write() as conn:
        image_rows.update(conn, first, {"hidden": True})
        image_rows.update(conn, second, {"hidden": False})
    assert newest(database, "beta") == second


def test_families_are_listed_by_name_with_their_newest_image(database):
    born(database, owner="catalog", visibility="public", family_version="9")
    own = born(database, family_version="2")
    other = born(database, family="arch", owner="catalog", visibility="public")
    born(database, family="secret", owner="beta")
    old = born(database, family_version="1", hidden=True)
    with make.counted(database) as seen, database.read() as conn:
        listed = rows.list(conn, "alpha", None, 10)
    assert len(seen) == 1
    assert [(one.name, one.image_id, one.pinned) for one in listed] == [
        ("arch", other, False),
        (NAME, own, False),
    ]
    moved(database, old, None)
    with database.read() as conn:
        (found,) = rows.list(conn, "alpha", "arch", 10)
        assert (found.image_id, found.version, found.pinned) == (old, "1", True)
        assert rows.get(conn, "alpha", NAME).image_id == old


def test_an_index_finds_the_newest_of_a_family(database):
    with database.read() as conn:
        for statement, index in (
            (rows._highest(NAME, image_rows.TABLE.c.owner == "alpha"), "ix_image_owner_family"),
            (rows._highest(NAME, image_rows.TABLE.c.visibility == "public"), "ix_image_family"),
        ):
            compiled = statement.compile(database.engine)
            if database.dialect == "sqlite":
                explain = "EXPLAIN QUERY PLAN "
            else:
                conn.exec_driver_sql("SET LOCAL enable_seqscan = off")
                conn.exec_driver_sql("SET LOCAL enable_bitmapscan = off")
                explain = "EXPLAIN "
            params = compiled.construct_params()
            if compiled.positional:
                params = tuple(params[name] for name in compiled.positiontup)
            found = conn.exec_driver_sql(explain + str(compiled), params)
            text = "\n".join(str(row[-1]) for row in found)
            assert index in text, text
            assert "TEMP B-TREE" not in text, text
