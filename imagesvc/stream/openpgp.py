"""THE one module that checks OpenPGP signatures; nothing of the library's own errors leaves it."""

import dataclasses
import datetime
from collections.abc import Collection

import pysequoia

_BEGIN_SIGNATURE = b"-----BEGIN PGP SIGNATURE-----"
_WEAK = ("MD5", "SHA1", "RIPEMD")


class SignatureRefusedError(ValueError):
    """A signature is not believed; the text says why."""


@dataclasses.dataclass(frozen=True, slots=True)
class Signed:
    """What was signed, by the primary key of `fingerprint` (capitals), and when, in UTC."""

    data: bytes
    fingerprint: str
    made_at: datetime.datetime


def detached(
    data: bytes,
    signature: bytes,
    keys: bytes,
    pinned: Collection[str],
    *,
    allow_expired_key: bool = False,
) -> Signed:
    """Check a signature beside `data`; `keys` are certificates, `pinned` primary fingerprints.

    Raises SignatureRefusedError.
    """
    return _check(data, signature, signature, keys, pinned, allow_expired_key)


def inline(
    data: bytes, keys: bytes, pinned: Collection[str], *, allow_expired_key: bool = False
) -> Signed:
    """Check a clear-signed text and give what was signed. Raises SignatureRefusedError."""
    _, found, rest = data.partition(_BEGIN_SIGNATURE)
    if not found:
        raise SignatureRefusedError("there is no signature in it.")
    return _check(data, None, found + rest, keys, pinned, allow_expired_key)


def _check(
    data: bytes,
    beside: bytes | None,
    signature: bytes,
    keys: bytes,
    pinned: Collection[str],
    allow_expired_key: bool,
) -> Signed:
    now = datetime.datetime.now(datetime.UTC)
    try:
        sig = pysequoia.Sig.from_bytes(signature)
        certs = pysequoia.Cert.split_bytes(keys)
    except Exception as exc:  # its errors have no class of their own
        raise SignatureRefusedError("the signature or a key cannot be read.") from exc
    made_at = sig.created
    usable = [cert for cert in certs if cert.fingerprint.upper() in pinned]
    if not usable:
        raise SignatureRefusedError("none of the keys is one that the entry names.")
    if any(word in str(sig.hash_algorithm).upper().replace("-", "") for word in _WEAK):
        raise SignatureRefusedError("it is made with a hash that is broken (SHA-1 or MD5).")
    if made_at is None or made_at > now:
        raise SignatureRefusedError("it says that it was made in the future, or not when.")
    try:
        found = pysequoia.verify(
            bytes=data,
            store=lambda _: usable,
            signature=None if beside is None else sig,
        )
    except Exception as exc:  # its errors have no class of their own, and carry a native trace
        if any(cert.is_revoked for cert in usable):
            raise SignatureRefusedError("the key is revoked.") from exc
        raise SignatureRefusedError("it is not a good signature by a key of the entry.") from exc
    signers = {one.certificate.upper() for one in found.valid_sigs}
    cert = _signer(usable, signers, None if allow_expired_key else now)
    signed = data if beside is not None else found.bytes or b""
    return Signed(signed, cert.fingerprint.upper(), made_at)


def _signer(
    usable: list[pysequoia.Cert], signers: set[str], now: datetime.datetime | None
) -> pysequoia.Cert:
    """The key that signed, if it is good today."""
    cert = next((one for one in usable if one.fingerprint.upper() in signers), None)
    if cert is None:
        raise SignatureRefusedError("it is not a good signature by a key of the entry.")
    if cert.is_revoked:
        raise SignatureRefusedError("the key is revoked.")
    if now and cert.expiration and cert.expiration <= now:
        raise SignatureRefusedError("the key has expired.")
    return cert
