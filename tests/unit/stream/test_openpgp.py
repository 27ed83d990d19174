"""OpenPGP signatures, made by real keys."""

import time

import pysequoia
import pytest
from pysequoia import SignatureMode, Tsk

from imagesvc.stream import openpgp

LIST = b"aaaa  a.img\n"


@pytest.fixture(scope="module")
def key():
    return Tsk.generate("Publisher <p@example.org>")


def public(key):
    cert = key.extract_certificate()
    return bytes(cert), {cert.fingerprint.upper()}


def sign(key, data=LIST, mode=SignatureMode.DETACHED):
    return pysequoia.sign(key.signer(), data, mode=mode)


def test_a_subkey_of_the_pinned_primary_signs_a_list(key):
    keys, pinned = public(key)
    found = openpgp.detached(LIST, sign(key), keys, pinned)
    assert (found.data, {found.fingerprint}) == (LIST, pinned)


def test_a_clear_signed_list_gives_what_was_signed(key):
    found = openpgp.inline(sign(key, mode=SignatureMode.CLEAR), *public(key))
    assert found.data.strip() == LIST.strip()


def test_a_tampered_list_is_refused(key):
    with pytest.raises(openpgp.SignatureRefusedError, match="not a good signature") as caught:
        openpgp.detached(LIST + b"x", sign(key), *public(key))
    assert "\n" not in str(caught.value)
    clear = sign(key, mode=SignatureMode.CLEAR).replace(b"a.img", b"b.img")
    with pytest.raises(openpgp.SignatureRefusedError, match="not a good signature"):
        openpgp.inline(clear, *public(key))


def test_a_key_that_is_not_the_publishers_is_refused(key):
    other = Tsk.generate("Other <o@example.org>")
    with pytest.raises(openpgp.SignatureRefusedError, match="not a good signature"):
        openpgp.detached(LIST, sign(other), *public(key))
    keys, _ = public(other)
    with pytest.raises(openpgp.SignatureRefusedError, match="none of the keys"):
        openpgp.detached(LIST, sign(other), keys, public(key)[1])


def test_what_is_no_signature_is_refused(key):
    with pytest.raises(openpgp.SignatureRefusedError, match="cannot be read"):
        openpgp.detached(LIST, b"<html>", *public(key))
    with pytest.raises(openpgp.SignatureRefusedError, match="no signature"):
        openpgp.inline(LIST, *public(key))


def test_a_key_that_expired_since_is_refused_unless_the_entry_allows_it():
    key = Tsk.generate("Publisher <p@example.org>", validity_seconds=62)  # made a minute ago
    signature, (keys, pinned) = sign(key), public(key)
    time.sleep(3)
    with pytest.raises(openpgp.SignatureRefusedError, match="has expired"):
        openpgp.detached(LIST, signature, keys, pinned)
    assert openpgp.detached(LIST, signature, keys, pinned, allow_expired_key=True).data == LIST
