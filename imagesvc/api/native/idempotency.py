"""The Idempotency-Key header: a repeated submission gives the first job."""

import falcon

from imagesvc import errors

KEY_LENGTH_MAX = 255


def key(req: falcon.Request) -> str | None:
    """The caller's key, if there is one. Raises InvalidRequest for one that is no token."""
    value: str | None = req.get_header("Idempotency-Key")
    if value is None:
        return None
    if not value or len(value) > KEY_LENGTH_MAX or not value.isascii() or not value.isprintable():
        raise errors.InvalidRequest(
            f"Idempotency-Key must be 1 to {KEY_LENGTH_MAX} printable ASCII characters.",
            reason=errors.Reason.MALFORMED,
        )
    return value
