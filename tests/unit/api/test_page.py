"""Limits and links."""

import pytest

from imagesvc import errors
from imagesvc.api import page


@pytest.mark.parametrize(("text", "found"), [(None, 25), ("0", 0), ("7", 7), ("5000", 1000)])
def test_a_limit_is_cut_silently(text, found):
    assert page.limit(text, default=25, maximum=1000) == found


@pytest.mark.parametrize("text", ["", "-1", "+1", "1.0", "a", "1 ", "9" * 30, "\u0661"])
def test_a_limit_that_is_no_number_is_refused(text):
    with pytest.raises(errors.InvalidRequest):
        page.limit(text, default=25, maximum=1000)


def test_links_keep_repeats_and_drop_the_old_marker():
    pairs = [("tag", "a b"), ("tag", "c&d"), ("marker", "old"), ("x", "")]
    assert page.first_link("/p", pairs) == "/p?tag=a+b&tag=c%26d&x="
    assert page.next_link("/p", pairs, "new") == "/p?tag=a+b&tag=c%26d&x=&marker=new"
    assert page.first_link("/p", [("marker", "old")]) == "/p"
