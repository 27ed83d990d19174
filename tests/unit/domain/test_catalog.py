"""What a sync takes, and what it never goes back to."""

import dataclasses
import datetime

import pytest

from imagesvc import errors
from imagesvc.domain import catalog, catalog_plan
from imagesvc.domain.catalog import Allowance, FamilyState, Published, Release, Signature

NOON = datetime.datetime(2026, 1, 24, 12, tzinfo=datetime.UTC)
HOUR = datetime.timedelta(hours=1)
OLD = Release(
    family="debian-13",
    build="20260101-9",
    order=(20260101, 9),
    url="https://cloud.example/20260101-9/disk.qcow2",
    digest=("sha256", "a" * 64),
    size_bytes=100,
    trust="tls",
)
NEW = dataclasses.replace(
    OLD, build="20260101-10", order=(20260101, 10), digest=("sha256", "b" * 64)
)
PUBLISHED = Published("an-id", OLD, ("sha512", "c" * 128), NOON, NOON)
STATE = FamilyState("debian-13")


def signed(release, moment=NOON):
    """The same, signed."""
    return dataclasses.replace(
        release, trust="signed", signature=Signature("AB" * 20, moment, "d" * 64)
    )


def check(offered, published=PUBLISHED, state=STATE, **allowed):
    """Judge it."""
    catalog.check_list(offered, state, Allowance(**allowed))
    catalog.check(offered, published, Allowance(**allowed))


def test_builds_are_ordered_by_numbers():
    check(NEW)
    with pytest.raises(
        errors.CatalogRefused, match="20260101-9 is older than the published 20260101-10"
    ):
        check(OLD, dataclasses.replace(PUBLISHED, release=NEW))
    check(OLD, dataclasses.replace(PUBLISHED, release=NEW), downgrade=True)


def test_a_build_that_has_other_bytes_by_now_is_refused():
    moved = dataclasses.replace(NEW, build=OLD.build, order=OLD.order)
    with pytest.raises(errors.CatalogRefused, match="with other bytes"):
        check(moved)


def test_a_list_that_is_older_than_the_last_one_is_refused():
    state = dataclasses.replace(STATE, signed_at=NOON)
    with pytest.raises(errors.CatalogRefused, match="11:00:00 UTC, and one"):
        check(signed(NEW, NOON - HOUR), state=state)
    check(signed(NEW), state=state)
    check(signed(NEW, NOON - HOUR), state=state, downgrade=True)


def test_a_family_that_was_signed_stays_so():
    before = dataclasses.replace(PUBLISHED, release=signed(OLD))
    with pytest.raises(errors.CatalogRefused, match="by tls, and the published one by signed"):
        check(NEW, before)
    check(NEW, before, weaker=True)
    check(signed(NEW), before)


def test_what_was_rolled_back_is_not_new():
    assert catalog.is_new(NEW, PUBLISHED, frozenset())
    assert catalog.is_new(NEW, None, frozenset())
    assert not catalog.is_new(NEW, PUBLISHED, frozenset({NEW.digest_text}))
    assert not catalog.is_new(OLD, PUBLISHED, frozenset())


def test_every_line_of_a_plan_has_its_reason_and_bytes():
    plan = catalog_plan.FamilyPlan("debian-13", catalog_plan.of_release(signed(NEW), PUBLISHED))
    assert plan.lines == (
        "debian-13: fetch build 20260101-10 (100 bytes): it is new, its sha256 is "
        f"bbbbbbbbbbbbbbbb..., signed by {'AB' * 20}",
        "debian-13: publish build 20260101-10: its bytes have that digest",
        "debian-13: move-alias family debian-13: build 20260101-10 follows 20260101-9",
        "debian-13: hide image an-id: build 20260101-9 is not the newest; it stays usable by id",
    )
    assert catalog_plan.FamilyPlan("debian-13").lines == ("debian-13: nothing new",)
    first = catalog_plan.of_release(NEW, None)
    assert [step.verb for step in first] == ["fetch", "publish", "move-alias"]
