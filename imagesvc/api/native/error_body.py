"""An error as our own API words it."""

from collections.abc import Mapping
from typing import Any


def render(
    *, code: int, reason: str, message: str, request_id: str, detail: Mapping[str, Any]
) -> dict[str, Any]:
    """One object: the status again, the neutral reason, a sentence, the request id, what more is known."""
    told: dict[str, Any] = {
        "code": code,
        "reason": reason,
        "message": message,
        "request_id": request_id,
    }
    return {"error": {**told, **detail}}
