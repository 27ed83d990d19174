"""Typed decoding of bodies."""

from typing import Any, TypeVar

import falcon
import msgspec

from imagesvc import errors
from imagesvc.api import media
from imagesvc.errors import Reason

T = TypeVar("T")


def body(req: falcon.Request, shape: type[T]) -> T:
    """Decode the JSON body into a msgspec struct. Raises InvalidRequest, TooLarge."""
    return struct(media.load(req), shape)


def json_object(req: falcon.Request) -> dict[str, Any]:
    """Decode a JSON body that must be an object with keys of the caller's choice."""
    found = media.load(req)
    if not isinstance(found, dict):
        raise errors.InvalidRequest("The body must be a JSON object.", reason=Reason.MALFORMED)
    return found


def struct(value: Any, shape: type[T]) -> T:
    """Check a decoded value against a type, without any coercion. Raises InvalidRequest."""
    try:
        return msgspec.convert(value, shape)
    except msgspec.ValidationError as error:
        raise errors.InvalidRequest(
            f"The body is not as documented: {error}", reason=Reason.MALFORMED
        ) from error
