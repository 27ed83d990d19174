"""Upload-Metadata of tus 1.0 ("Creation", tus.io): pairs of a key and a value in Base64."""

import base64
import binascii
import re

from imagesvc import errors

_BYTES_MAX = 4096
_KEY = re.compile(r"[!-+\--~]{1,64}")  # visible ASCII but for the comma
_VALUE_LENGTH_MAX = 255


def read(text: str) -> dict[str, str]:
    """The values in clear. Raises InvalidRequest."""
    if len(text) > _BYTES_MAX:
        raise errors.InvalidRequest(f"Upload-Metadata may have {_BYTES_MAX} characters at most.")
    found: dict[str, str] = {}
    for pair in text.split(",") if text else ():
        key, _, encoded = pair.strip(" ").partition(" ")
        if not _KEY.fullmatch(key) or key in found:
            raise errors.InvalidRequest("A key of Upload-Metadata is malformed, or there twice.")
        found[key] = _text(key, encoded)
    return found


def decoded(encoded: str) -> bytes | None:
    """Bytes in Base64; None for what is none."""
    try:
        return base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):  # the latter for what is no ASCII
        return None


def _text(key: str, encoded: str) -> str:
    value = decoded(encoded)
    try:
        text = value.decode("utf-8") if value is not None else None
    except UnicodeDecodeError:
        text = None
    if text is None or len(text) > _VALUE_LENGTH_MAX or not (text.isprintable() or not text):
        raise errors.InvalidRequest(
            f"The value of {key} in Upload-Metadata must be printable text in Base64, "
            f"{_VALUE_LENGTH_MAX} characters at most."
        )
    return text
