"""Data keys wrapped by a key that this process holds: AES-256-GCM (NIST SP 800-38D).

A wrapped data key is `01`, the version of the key (4 bytes, big-endian), a random nonce (12), and
the sealed data key with its tag (48). Its additional data are the id of the key, the version and
the context. Nonces are random, so one version may wrap 2**32 data keys.
"""

import os
import struct

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from imagesvc.interface import errors
from imagesvc.interface.encryption import DATA_KEY_BYTES, Context, DataKey

KEY_BYTES = 32
_FORMAT = 1
_HEAD = struct.Struct(">BI")
_NONCE_BYTES, _TAG_BYTES = 12, 16
_WRAPPED_BYTES = _HEAD.size + _NONCE_BYTES + DATA_KEY_BYTES + _TAG_BYTES
_DOMAIN = "imagesvc data key 1"


def canonical(context: Context) -> bytes:
    """One encoding of a context, whatever the order of its names; no other context has it.

    The count, then each name and value in the order of the names, each behind its length.
    Raises InvalidArgument for what is no text.
    """
    parts = [struct.pack(">I", len(context))]
    for name in sorted(context):
        parts += [_framed(name), _framed(context[name])]
    return b"".join(parts)


def fresh_key() -> bytes:
    """A random key that wraps data keys, or a data key."""
    return os.urandom(KEY_BYTES)


def wrap(key: bytes, plain: bytes, *, key_id: str, version: int, context: Context) -> DataKey:
    """Wrap a data key under `key`, the given version of `key_id`. Raises InvalidArgument."""
    nonce = os.urandom(_NONCE_BYTES)
    sealed = AESGCM(key).encrypt(nonce, plain, _binding(key_id, version, context))
    return DataKey(plain, _HEAD.pack(_FORMAT, version) + nonce + sealed, version)


def version_of(wrapped: bytes) -> int:
    """Under which version it was wrapped. Raises IntegrityError."""
    if len(wrapped) != _WRAPPED_BYTES:
        raise refusal()
    kind, version = _HEAD.unpack_from(wrapped)
    if kind != _FORMAT:
        raise refusal()
    return int(version)


def unwrap(key: bytes, wrapped: bytes, *, key_id: str, context: Context) -> DataKey:
    """Open a wrapped data key with the version of `key_id` that wrapped it. Raises IntegrityError."""
    version = version_of(wrapped)
    nonce, sealed = wrapped[_HEAD.size :][:_NONCE_BYTES], wrapped[_HEAD.size + _NONCE_BYTES :]
    try:
        plain = AESGCM(key).decrypt(nonce, sealed, _binding(key_id, version, context))
    except InvalidTag:
        raise refusal() from None
    return DataKey(plain, wrapped, version)


def refusal() -> errors.IntegrityError:
    """What is said of a wrapped key that does not open."""
    return errors.IntegrityError(
        "The wrapped key does not open: it, its context or its key is another than when it was "
        "wrapped."
    )


def _binding(key_id: str, version: int, context: Context) -> bytes:
    return _framed(_DOMAIN) + _framed(key_id) + struct.pack(">I", version) + canonical(context)


def _framed(text: str) -> bytes:
    try:
        data = text.encode()
    except UnicodeEncodeError as exc:
        raise errors.InvalidArgument("A context holds text that is no UTF-8.") from exc
    return struct.pack(">I", len(data)) + data
