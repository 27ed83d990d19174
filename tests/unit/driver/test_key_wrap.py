"""Data keys that this process wraps: one encoding a context, and the bytes of a wrapped key."""

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from imagesvc.interface import errors
from imagesvc_drivers.client import key_wrap

KEY, PLAIN = bytes(range(32)), bytes(range(32, 64))
TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=8)
RECORDED = (
    "0100000007c3804fa1b75b946c9be74fc91cd30e383838dff2c54b6975cdb34291"
    "775ccd3a91591b7260da478b272914965dcef7a59eeb231e2217348fb893905e"
)
CONTEXT = st.dictionaries(TEXT, TEXT, max_size=4)


@given(CONTEXT, CONTEXT)
def test_two_contexts_have_one_encoding_only_if_they_are_one(one, other):
    same = key_wrap.canonical(one) == key_wrap.canonical(other)
    assert same == (one == other)


@given(CONTEXT)
def test_the_order_of_names_is_nothing(context):
    turned = dict(reversed(context.items()))
    assert key_wrap.canonical(turned) == key_wrap.canonical(context)


def test_a_context_is_encoded_as_the_module_says():
    """It never changes: nothing that was wrapped before would open."""
    assert key_wrap.canonical({}).hex() == "00000000"
    assert key_wrap.canonical({"b": "", "a": "é"}).hex() == (
        "00000002000000016100000002c3a9000000016200000000"
    )


def test_a_wrapped_key_is_what_the_module_says():
    """Opened by hand: format, version, nonce, sealed key; domain, id, version, context bound."""
    made = key_wrap.wrap(KEY, PLAIN, key_id="k", version=7, context={"a": "b"})
    head, nonce, sealed = made.wrapped[:5], made.wrapped[5:17], made.wrapped[17:]
    assert (head.hex(), made.version, len(sealed)) == ("0100000007", 7, 48)
    domain = b"imagesvc data key 1"
    bound = (
        len(domain).to_bytes(4, "big") + domain + b"\0\0\0\1k" + b"\0\0\0\7"
        + key_wrap.canonical({"a": "b"})
    )  # fmt: skip
    assert AESGCM(KEY).decrypt(nonce, sealed, bound) == PLAIN


def test_what_an_earlier_release_wrapped_opens():
    """Recorded with the release that made the format."""
    wrapped = bytes.fromhex(RECORDED)
    opened = key_wrap.unwrap(KEY, wrapped, key_id="k", context={"a": "b"})
    assert (opened.plain, opened.version) == (PLAIN, 7)


@pytest.mark.parametrize(
    ("key_id", "version", "context"),
    [("l", 7, {"a": "b"}), ("k", 8, {"a": "b"}), ("k", 7, {"a": "c"}), ("k", 7, {})],
)
def test_what_is_bound_has_to_be_the_same(key_id, version, context):
    made = key_wrap.wrap(KEY, PLAIN, key_id="k", version=7, context={"a": "b"})
    changed = made.wrapped[:1] + version.to_bytes(4, "big") + made.wrapped[5:]
    with pytest.raises(errors.IntegrityError):
        key_wrap.unwrap(KEY, changed, key_id=key_id, context=context)


def test_text_that_is_no_unicode_is_refused():
    with pytest.raises(errors.InvalidArgument):
        key_wrap.canonical({"a": "\ud800"})
