"""The list against brute force, on both engines; markers; the number of statements."""

import dataclasses
import datetime
import random

import pytest

from imagesvc import errors
from imagesvc.db import image as rows
from imagesvc.db import image_list, member
from imagesvc.domain.image import Visibility
from imagesvc.domain.image_query import SORT_KEYS, FieldFilter, ImageQuery, Operator, SortKey
from imagesvc.domain.member import Member
from imagesvc.domain.state import ImageStatus, MemberStatus
from imagesvc.policy import visibility
from tests.unit.db import listing, make

NAMES = (None, "a", "B", "ä", "Z z")
CALLERS = (
    make.caller("alpha"),
    make.caller("beta"),
    make.caller("nobody"),
    make.caller(None),
    make.caller("alpha", is_admin=True),
    make.caller(None, is_admin=True),
)


def _populate(database, chance, count):
    """Random images with random offers: {id: (image, answers)}."""
    world = {}
    with database.write() as conn:
        for _ in range(count):
            image = make.image(
                owner=chance.choice((*listing.PROJECTS, None)),
                name=chance.choice(NAMES),
                status=chance.choice((ImageStatus.QUEUED, ImageStatus.ACTIVE)),
                visibility=chance.choice(tuple(Visibility)),
                hidden=chance.random() < 0.2,
                protected=chance.random() < 0.5,
                created_at=make.START + datetime.timedelta(microseconds=chance.randrange(6)),
                updated_at=make.START + datetime.timedelta(microseconds=chance.randrange(6)),
                disk_format=chance.choice((None, "raw", "qcow2")),
                container_format=chance.choice((None, "bare")),
                size_bytes=chance.choice((None, 1, 2**40)),
                tags=tuple(tag for tag in listing.TAGS if chance.random() < 0.5),
                properties={"p": chance.choice("xy")} if chance.random() < 0.5 else {},
            )
            answers = {
                project: chance.choice(tuple(MemberStatus))
                for project in listing.PROJECTS
                if chance.random() < 0.4
            }
            rows.insert(conn, image)
            for project, answer in answers.items():
                offer = Member(image.id, project, answer, make.START, make.START)
                member.insert(conn, offer, image_created_at=image.created_at)
            if chance.random() < 0.1 and not image.protected:
                rows.transition(conn, image.id, "delete")
            else:
                world[image.id] = image, answers
    return world


def _maybe(chance, *choices):
    return chance.choice(choices) if chance.random() < 0.5 else choices[0]


def _query(chance):
    fields = (
        FieldFilter("name", Operator.EQ, "a"),
        FieldFilter("name", Operator.IN, ("a", "ä")),
        FieldFilter("status", Operator.EQ, "active"),
        FieldFilter("size_bytes", Operator.GTE, 2),
        FieldFilter("size_bytes", Operator.LTE, 1),
        FieldFilter("size_bytes", Operator.LTE, 2**80),
        FieldFilter("size_bytes", Operator.EQ, 2**80),
        FieldFilter("protected", Operator.EQ, True),
        FieldFilter("disk_format", Operator.NEQ, "raw"),
        FieldFilter("created_at", Operator.GT, make.START + datetime.timedelta(microseconds=2)),
        FieldFilter("updated_at", Operator.LT, make.START + datetime.timedelta(microseconds=4)),
    )
    return ImageQuery(
        visibility=_maybe(chance, None, "all", *Visibility),
        member_status=_maybe(chance, MemberStatus.ACCEPTED, None, *MemberStatus),
        owner=chance.choice(listing.PROJECTS) if chance.random() < 0.2 else None,
        hidden=chance.random() < 0.2,
        tags=tuple(tag for tag in listing.TAGS if chance.random() < 0.15),
        fields=tuple(field for field in fields if chance.random() < 0.08),
        properties=(("p", "x"),) if chance.random() < 0.15 else (),
        sort=tuple(
            SortKey(field, chance.random() < 0.5)
            for field in chance.sample(SORT_KEYS, chance.choice((1, 1, 1, 2, 3)))
        ),
        limit=chance.choice((1, 3, 7, 100)),
    )


def _walk(database, ctx, query):
    """All pages one after the other."""
    found = []
    with database.read() as conn:
        while True:
            page = rows.list_page(conn, query, visibility.scope(ctx, query))
            found += page.images
            if not page.full:
                return found
            query = dataclasses.replace(query, marker=page.images[-1].id)


@pytest.mark.parametrize(
    "seed", [0, 1, *(pytest.param(seed, marks=pytest.mark.soak) for seed in range(2, 9))]
)
def test_pages_hold_what_brute_force_finds(database, seed):
    chance = random.Random(seed)
    world = _populate(database, chance, 80)
    for _ in range(60):
        ctx, query = chance.choice(CALLERS), _query(chance)
        expected = [
            image
            for image, answers in world.values()
            if listing.listed(ctx, query, image, answers) and listing.wanted(query, image)
        ]
        found = _walk(database, ctx, query)
        assert found == listing.ordered(query, expected), (ctx, query)


@pytest.mark.parametrize("seed", range(2))
def test_the_predicate_and_the_python_test_agree(database, seed):
    world = _populate(database, random.Random(seed), 80)
    with database.read() as conn:
        for ctx in CALLERS:
            for image, answers in world.values():
                found = rows.get(conn, image.id, visibility.predicate(ctx))
                answer = answers.get(ctx.project_id)
                assert (found is not None) == visibility.visible(ctx, image, answer)


@pytest.mark.parametrize("seed", range(2))
def test_what_is_listed_is_visible(database, seed):
    world = _populate(database, random.Random(seed), 60)
    for ctx in CALLERS:
        for image in _walk(database, ctx, ImageQuery(visibility="all", limit=7)):
            answer = world[image.id][1].get(ctx.project_id)
            assert visibility.visible(ctx, image, answer)


def test_a_page_costs_one_statement_and_two_behind_a_marker(database):
    world = _populate(database, random.Random(1), 40)
    for limit in (1, 30):
        query = ImageQuery(limit=limit, visibility="all", member_status=None)
        for ctx in CALLERS:
            if not (ctx.project_id or ctx.is_admin):  # sees none, and nobody is asked
                continue
            with make.counted(database) as seen, database.read() as conn:
                page = rows.list_page(conn, query, visibility.scope(ctx, query))
            assert len(seen) == 1
            behind = dataclasses.replace(query, marker=page.images[-1].id)
            with make.counted(database) as seen, database.read() as conn:
                rows.list_page(conn, behind, visibility.scope(ctx, behind))
            assert len(seen) == 2
    assert world


def test_the_statement_of_a_page_is_made_once_a_caller_and_order(database):
    with database.write() as conn:
        for _ in range(6):
            rows.insert(conn, make.image(owner="maker"))
    before = image_list._kept_statement.cache_info().misses
    for _ in range(2):
        marker = None
        for _ in range(3):
            query = ImageQuery(limit=2, marker=marker)
            scope = visibility.scope(make.caller("maker"), query)
            with database.read() as conn:
                marker = rows.list_page(conn, query, scope).images[-1].id
    # One for the first page, one for those behind a marker.
    assert image_list._kept_statement.cache_info().misses == before + 2


def test_a_marker_must_be_an_image_that_the_caller_sees(database):
    foreign = make.image(owner="beta", visibility=Visibility.PRIVATE)
    deleted, own = make.image(), make.image()
    with database.write() as conn:
        for image in (foreign, deleted, own):
            rows.insert(conn, image)
        rows.transition(conn, deleted.id, "delete")
    for marker in ("unknown", foreign.id, deleted.id):
        for query in (ImageQuery(marker=marker), ImageQuery(marker=marker, limit=0)):
            with pytest.raises(errors.InvalidRequest) as caught, database.read() as conn:
                rows.list_page(conn, query, visibility.scope(make.caller("alpha"), query))
            assert caught.value.reason is errors.Reason.MARKER


def test_an_empty_limit_and_an_impossible_filter_give_an_empty_page(database):
    with database.write() as conn:
        rows.insert(conn, make.image())
        for query in (ImageQuery(limit=0), ImageQuery(impossible=True)):
            page = rows.list_page(conn, query, visibility.scope(make.caller("alpha"), query))
            assert (page.images, page.full) == ((), False)
