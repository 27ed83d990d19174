"""THE one module that checks OpenPGP signatures; nothing of the library's own errors leaves it."""

import dataclasses
import datetime
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import pysequoia
from pysequoia import packet

_BEGIN_SIGNATURE = b"-----BEGIN PGP SIGNATURE-----"
_BEGIN_MESSAGE = b"-----BEGIN PGP SIGNED MESSAGE-----"
_WEAK = ("MD5", "SHA1", "RIPEMD")
_NOT_GOOD = "it is not a good signature of these bytes."


class SignatureRefusedError(ValueError):
    """A signature is not believed; the text says why."""


@dataclasses.dataclass(frozen=True, slots=True)
class Signed:
    """What was signed, by the primary key of `fingerprint` (capitals), and when, in UTC."""

    data: bytes
    fingerprint: str
    made_at: datetime.datetime


@dataclasses.dataclass(frozen=True, slots=True)
class Keyring:
    """Bytes of files of certificates, and the primary fingerprints (capitals) that are believed.

    `allow_expired_key` also believes keys that have expired since they signed.
    """

    files: Sequence[bytes]
    pinned: Collection[str]
    allow_expired_key: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class Certificate:
    """A key as its file has it; times in UTC, None if it never expires."""

    fingerprint: str
    expires_at: datetime.datetime | None
    is_revoked: bool


def certificates(data: bytes) -> tuple[Certificate, ...]:
    """The keys of a file. Raises SignatureRefusedError if it has none that can be read."""
    return tuple(
        Certificate(cert.fingerprint.upper(), cert.expiration, cert.is_revoked)
        for cert in _certs(data)
    )


def detached(data: bytes | Path, signature: bytes, ring: Keyring) -> Signed:
    """Check a signature beside `data`, of a file its path; `data` of the answer is empty then.

    Raises SignatureRefusedError.
    """
    sig, made_at, cert = _judge(signature, ring)
    if isinstance(data, Path):
        _verify(cert, signature=sig, file=str(data))
        return Signed(b"", cert.fingerprint.upper(), made_at)
    _verify(cert, signature=sig, bytes=data)
    return Signed(data, cert.fingerprint.upper(), made_at)


def inline(data: bytes, ring: Keyring) -> Signed:
    """Check a clear-signed text and give what was signed. Raises SignatureRefusedError."""
    if data.count(_BEGIN_MESSAGE) > 1:
        raise SignatureRefusedError("there are several signed texts in it.")
    before, found, rest = data.partition(_BEGIN_SIGNATURE)
    if not found or _BEGIN_MESSAGE not in before:
        raise SignatureRefusedError("there is no signature in it.")
    _, made_at, cert = _judge(found + rest, ring)
    return Signed(_verify(cert, bytes=data), cert.fingerprint.upper(), made_at)


def claimed(signature: bytes, ring: Keyring) -> Signed:
    """Judge all of a signature but the bytes, which are not here yet. Raises SignatureRefusedError."""
    _, made_at, cert = _judge(signature, ring)
    return Signed(b"", cert.fingerprint.upper(), made_at)


def _judge(
    signature: bytes, ring: Keyring
) -> tuple[pysequoia.Sig, datetime.datetime, pysequoia.Cert]:
    """The one signature, when it was made, and the pinned key that it says to be of."""
    now = datetime.datetime.now(datetime.UTC)
    sig = _one(signature)
    if any(word in str(sig.hash_algorithm).upper().replace("-", "") for word in _WEAK):
        raise SignatureRefusedError("it is made with a hash that is broken (SHA-1 or MD5).")
    if sig.created is None or sig.created > now:
        raise SignatureRefusedError("it says that it was made in the future, or not when.")
    certs = [cert for data in ring.files for cert in _certs(data)]
    usable = [cert for cert in certs if cert.fingerprint.upper() in ring.pinned]
    if not usable:
        raise SignatureRefusedError("none of the keys is one that the entry names.")
    # Older tools name the key by the end of its fingerprint alone, which the check itself makes good.
    issuer = sig.issuer_fingerprint or sig.issuer_key_id or ""
    known = (one for one in usable if issuer and _has(one, issuer))
    if (cert := next(known, None)) is None:
        issuer = issuer.upper() or "a key that it does not name"
        raise SignatureRefusedError(f"it is by {issuer}, which is no key that the entry names.")
    if cert.is_revoked:
        raise SignatureRefusedError("its key is revoked.")
    if not ring.allow_expired_key and cert.expiration and cert.expiration <= now:
        raise SignatureRefusedError(f"its key has expired on {cert.expiration:%Y-%m-%d}.")
    return sig, sig.created, cert


def _one(signature: bytes) -> pysequoia.Sig:
    """The only signature of a file: of several nobody knows which one counts."""
    if signature.count(_BEGIN_SIGNATURE) > 1:
        raise SignatureRefusedError("there are several signatures in it.")
    try:
        found = list(packet.PacketPile.from_bytes(signature))
        signatures = [one for one in found if one.tag == packet.Tag.Signature]
        sig = pysequoia.Sig.from_bytes(signature)
    except Exception as exc:  # its errors have no class of their own
        raise SignatureRefusedError("the signature cannot be read.") from exc
    if len(signatures) != 1 or len(found) != 1:
        raise SignatureRefusedError("there are several signatures in it.")
    return sig


def _certs(data: bytes) -> list[pysequoia.Cert]:
    try:
        return list(pysequoia.Cert.split_bytes(data))
    except Exception as exc:  # its errors have no class of their own
        raise SignatureRefusedError("a file of keys cannot be read.") from exc


def _has(cert: pysequoia.Cert, issuer: str) -> bool:
    """Whether the primary key or one under it is the one that is named."""
    found = packet.PacketPile.from_bytes(bytes(cert))
    return any(one.fingerprint and one.fingerprint.endswith(issuer) for one in found)


def _verify(cert: pysequoia.Cert, **what: Any) -> bytes:
    """Hold the bytes against their signature; what was signed, if it is in them."""
    try:
        found = pysequoia.verify(store=lambda _: [cert], **what)
    except Exception as exc:  # its errors have no class of their own, and carry a native trace
        raise SignatureRefusedError(_NOT_GOOD) from exc
    if cert.fingerprint not in {one.certificate for one in found.valid_sigs}:
        raise SignatureRefusedError(_NOT_GOOD)
    return found.bytes or b""
