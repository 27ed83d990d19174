"""OpenPGP signatures, made by real keys."""

import hashlib
import time

import pysequoia
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from pysequoia import ArmorKind, SignatureMode, Tsk, packet

from imagesvc.stream import openpgp
from imagesvc.stream.openpgp import Keyring
from tests import catalog_mirror

LIST = b"aaaa  a.img\n"


@pytest.fixture(scope="module")
def key():
    return Tsk.generate("Publisher <p@example.org>")


def ring(key, **options):
    cert = key.extract_certificate()
    return Keyring((bytes(cert),), {cert.fingerprint.upper()}, **options)


def sign(key, data=LIST, mode=SignatureMode.DETACHED):
    return pysequoia.sign(key.signer(), data, mode=mode)


def test_a_subkey_of_the_pinned_primary_signs_a_list(key):
    found = openpgp.detached(LIST, sign(key), ring(key))
    assert (found.data, {found.fingerprint}) == (LIST, ring(key).pinned)
    assert openpgp.claimed(sign(key), ring(key)).fingerprint == found.fingerprint


def old_signature(secret_key, data):
    """A signature as tools made it that name a key by the last 64 bits of its fingerprint alone.

    RFC 4880, 5.2.3 and 5.5.3: of RSA, version 4, with SHA-256.
    """
    (primary, *_) = packet.PacketPile.from_bytes(secret_key)
    body, at, numbers = primary.body, 6, []
    for count in range(5):
        at += 1 if count == 2 else 0  # how the secret part is protected: not at all
        size = (int.from_bytes(body[at : at + 2], "big") + 7) // 8
        numbers.append(int.from_bytes(body[at + 2 : at + 2 + size], "big"))
        at += 2 + size
    n, e, d, p, q = numbers
    key = rsa.RSAPrivateNumbers(
        p, q, d, rsa.rsa_crt_dmp1(d, p), rsa.rsa_crt_dmq1(d, q), rsa.rsa_crt_iqmp(p, q),
        rsa.RSAPublicNumbers(e, n),
    ).private_key()  # fmt: skip
    hashed = bytes([4, 0, 1, 8, 0, 6, 5, 2]) + int(time.time() - 5).to_bytes(4, "big")
    signed = data + hashed + b"\x04\xff" + len(hashed).to_bytes(4, "big")
    value = key.sign(signed, padding.PKCS1v15(), hashes.SHA256())
    issuer = bytes([0, 10, 9, 16]) + bytes.fromhex(primary.fingerprint)[-8:]
    start = hashlib.sha256(signed).digest()[:2]
    number = int.from_bytes(value, "big")
    made = hashed + issuer + start + number.bit_length().to_bytes(2, "big") + value.lstrip(b"\0")
    return b"\xc2\xff" + len(made).to_bytes(4, "big") + made


def test_a_signature_that_names_its_key_by_the_end_of_the_fingerprint_is_checked(key):
    with catalog_mirror.gnupg() as old:
        ring_of_old = Keyring((old.certificate,), {old.fingerprint})
        signature = old_signature(old.secret_key(), LIST)
        assert pysequoia.Sig.from_bytes(signature).issuer_fingerprint is None
        assert openpgp.detached(LIST, signature, ring_of_old).fingerprint == old.fingerprint
        with pytest.raises(openpgp.SignatureRefusedError, match="not a good signature"):
            openpgp.detached(LIST + b"x", signature, ring_of_old)
        with pytest.raises(openpgp.SignatureRefusedError, match="no key that the entry names"):
            openpgp.detached(LIST, signature, ring(key))


def test_a_file_is_checked_as_its_bytes_are(key, tmp_path):
    path = tmp_path / "image"
    path.write_bytes(LIST)
    assert openpgp.detached(path, sign(key), ring(key)).fingerprint in ring(key).pinned
    path.write_bytes(LIST + b"x")
    with pytest.raises(openpgp.SignatureRefusedError, match="not a good signature"):
        openpgp.detached(path, sign(key), ring(key))


def test_a_clear_signed_list_gives_what_was_signed(key):
    found = openpgp.inline(sign(key, mode=SignatureMode.CLEAR), ring(key))
    assert found.data.strip() == LIST.strip()


def test_text_around_a_clear_signed_list_is_not_part_of_it(key):
    clear = sign(key, mode=SignatureMode.CLEAR)
    for data in (b"bbbb  b.img\n" + clear, clear + b"bbbb  b.img\n"):
        try:
            assert b"b.img" not in openpgp.inline(data, ring(key)).data
        except openpgp.SignatureRefusedError:
            continue


def test_a_tampered_list_is_refused(key):
    with pytest.raises(openpgp.SignatureRefusedError, match="not a good signature") as caught:
        openpgp.detached(LIST + b"x", sign(key), ring(key))
    assert "\n" not in str(caught.value)
    clear = sign(key, mode=SignatureMode.CLEAR).replace(b"a.img", b"b.img")
    with pytest.raises(openpgp.SignatureRefusedError, match="not a good signature"):
        openpgp.inline(clear, ring(key))


def test_a_key_that_is_not_the_publishers_is_refused(key):
    other = Tsk.generate("Other <o@example.org>")
    with pytest.raises(openpgp.SignatureRefusedError, match="no key that the entry names"):
        openpgp.detached(LIST, sign(other), ring(key))
    exchanged = Keyring(ring(other).files, ring(key).pinned)
    with pytest.raises(openpgp.SignatureRefusedError, match="none of the keys"):
        openpgp.detached(LIST, sign(other), exchanged)
    both = Keyring((*ring(other).files, *ring(key).files), ring(key).pinned)
    with pytest.raises(openpgp.SignatureRefusedError, match="no key that the entry names"):
        openpgp.detached(LIST, sign(other), both)


def test_what_is_no_signature_is_refused(key):
    with pytest.raises(openpgp.SignatureRefusedError, match="cannot be read"):
        openpgp.detached(LIST, b"<html>", ring(key))
    with pytest.raises(openpgp.SignatureRefusedError, match="no signature"):
        openpgp.inline(LIST, ring(key))
    with pytest.raises(openpgp.SignatureRefusedError, match="file of keys"):
        openpgp.detached(LIST, sign(key), Keyring((b"<html>",), ring(key).pinned))


def test_several_signatures_are_refused(key):
    one = sign(key)
    (found,) = packet.PacketPile.from_bytes(one)
    binary = bytes(found)
    for data in (one + one, binary + binary, pysequoia.armor(binary + binary, ArmorKind.Signature)):
        data = data.encode() if isinstance(data, str) else data
        with pytest.raises(openpgp.SignatureRefusedError, match="several signatures"):
            openpgp.detached(LIST, data, ring(key))
    clear = sign(key, mode=SignatureMode.CLEAR)
    with pytest.raises(openpgp.SignatureRefusedError, match="several"):
        openpgp.inline(clear + clear, ring(key))


def test_a_revoked_key_is_refused(key):
    cert = key.extract_certificate()
    primary, *rest = (bytes(one) for one in packet.PacketPile.from_bytes(bytes(cert)))
    revoked = b"".join([primary, bytes(cert.revoke(key.certifier())), *rest])
    found = Keyring((revoked,), {cert.fingerprint.upper()})
    assert openpgp.certificates(revoked)[0].is_revoked
    with pytest.raises(openpgp.SignatureRefusedError, match="key is revoked"):
        openpgp.detached(LIST, sign(key), found)


def test_a_key_that_expired_since_is_refused_unless_the_entry_allows_it():
    key = Tsk.generate("Publisher <p@example.org>", validity_seconds=62)  # made a minute ago
    signature = sign(key)
    catalog_mirror.until_expired(key.extract_certificate())
    with pytest.raises(openpgp.SignatureRefusedError, match="has expired on"):
        openpgp.detached(LIST, signature, ring(key))
    allowing = ring(key, allow_expired_key=True)
    assert openpgp.detached(LIST, signature, allowing).data == LIST
