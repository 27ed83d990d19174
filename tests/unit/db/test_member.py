"""Members of images."""

import dataclasses

import pytest

from imagesvc import errors
from imagesvc.db import image, member
from imagesvc.domain import state
from imagesvc.domain.member import Member
from imagesvc.domain.state import MemberStatus
from tests.unit.db import make


@pytest.fixture
def offer(database):
    shared = make.image()
    offered = Member(shared.id, "beta", MemberStatus.PENDING, make.START, make.START)
    with database.write() as conn:
        image.insert(conn, shared)
        member.insert(conn, offered, image_created_at=shared.created_at)
    return offered


def test_a_member_is_found_and_listed(database, offer):
    with database.read() as conn:
        assert member.get(conn, offer.image_id, "beta") == offer
        assert member.get(conn, offer.image_id, "gamma") is None
        assert member.list(conn, offer.image_id) == (offer,)
        assert member.count(conn, offer.image_id) == 1


def test_a_project_is_a_member_once(database, offer):
    with pytest.raises(errors.Conflict), database.write() as conn:
        member.insert(conn, offer, image_created_at=make.START)


@pytest.mark.parametrize("before", MemberStatus)
@pytest.mark.parametrize("after", MemberStatus)
def test_an_answer_may_be_changed_to_any_other(database, offer, before, after):
    for status in (before, after):
        with database.write() as conn:
            answered = member.transition(conn, offer.image_id, "beta", state.MEMBER_EVENTS[status])
        assert answered == dataclasses.replace(offer, status=status, updated_at=answered.updated_at)


def test_a_project_without_offer_has_no_answer(database, offer):
    with pytest.raises(errors.MemberNotFound), database.write() as conn:
        member.transition(conn, offer.image_id, "gamma", "accept")
    with database.write() as conn:
        member.delete(conn, offer.image_id, "beta")
    with pytest.raises(errors.MemberNotFound), database.write() as conn:
        member.delete(conn, offer.image_id, "beta")
