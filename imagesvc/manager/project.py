"""The project that a caller acts for."""

from imagesvc import errors
from imagesvc.context import RequestContext


def require(ctx: RequestContext, things: str) -> str:
    """The caller's project. Raises Forbidden if the token names none."""
    if ctx.project_id is None:
        raise errors.Forbidden(f"The token names no project; {things} belong to projects.")
    return ctx.project_id
