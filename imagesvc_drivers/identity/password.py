"""Password hashes by scrypt (RFC 7914), with bounded cost for whoever guesses."""

import base64
import hashlib
import hmac
import secrets
import threading

from imagesvc.interface import errors

BYTES_MAX = 1024
_N, _R, _P = 1 << 15, 8, 1  # 32 MiB and some 80 ms a guess on one core
_PARALLEL = 4
_WAIT_S = 10.0
_slots = threading.BoundedSemaphore(_PARALLEL)


def hash_password(password: str) -> str:
    """Make a salted hash. Raises InvalidArgument for an empty or overlong password."""
    raw = password.encode("utf-8", "surrogatepass")
    if not 0 < len(raw) <= BYTES_MAX:
        raise errors.InvalidArgument(f"A password has 1 to {BYTES_MAX} bytes.")
    salt = secrets.token_bytes(16)
    return f"scrypt${_N}${_R}${_P}${_text(salt)}${_text(_scrypt(raw, salt, _N, _R, _P))}"


def matches(password: str, stored: str | None) -> bool:
    """Compare in constant time; without a `stored` hash the same work is done in vain.

    At most four run at once in a process. Raises Unavailable if none of them ends in time.
    """
    raw = password.encode("utf-8", "surrogatepass")
    _, n, r, p, salt, wanted = (stored or _NOBODY).split("$")
    found = _scrypt(raw[:BYTES_MAX], base64.b64decode(salt), int(n), int(r), int(p))
    same = hmac.compare_digest(found, base64.b64decode(wanted))
    return same and stored is not None and len(raw) <= BYTES_MAX


def _scrypt(raw: bytes, salt: bytes, n: int, r: int, p: int) -> bytes:
    if not _slots.acquire(timeout=_WAIT_S):
        raise errors.Unavailable("Too many logins at once; try again.")
    try:
        return hashlib.scrypt(raw, salt=salt, n=n, r=r, p=p, maxmem=256 * n * r, dklen=32)
    finally:
        _slots.release()


def _text(raw: bytes) -> str:
    return base64.b64encode(raw).decode("ascii")


_NOBODY = f"scrypt${_N}${_R}${_P}${_text(bytes(16))}${_text(bytes(32))}"
