"""An error as our own API words it."""

from typing import Any


def render(*, code: int, reason: str, message: str, request_id: str) -> dict[str, Any]:
    """One object: the status again, the neutral reason, a sentence, the request id."""
    return {"error": {"code": code, "reason": reason, "message": message, "request_id": request_id}}
