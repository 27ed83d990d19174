"""What the check of other regions makes of a sign-in that is answered by something else."""

import pytest

from imagesvc.cmd import check_region


@pytest.mark.parametrize(
    "document",
    [{}, {"token": None}, {"token": "t"}, {"token": {"roles": "service"}},
     {"token": {"roles": ["service", {"name": ["service"]}, {}]}}],
)  # fmt: skip
def test_what_is_no_token_has_no_role(document):
    assert check_region._roles(document) == set()


def test_the_roles_of_a_token_are_known_by_name():
    document = {"token": {"roles": [{"id": "1", "name": "service"}, {"name": "member"}]}}
    assert check_region._roles(document) == {"service", "member"}
