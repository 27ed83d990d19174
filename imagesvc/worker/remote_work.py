"""Long work of a driver, as steps follow it and take it back."""

from collections.abc import Callable
from typing import Any, Protocol

from imagesvc import errors
from imagesvc.interface.errors import AccessDenied, DriverError, NotFound
from imagesvc.interface.operation import Handle, Progress, ProgressState
from imagesvc.worker.flow import StepContext, Wait


class Worker(Protocol):
    """A driver with long work."""

    def poll(self, handle: Handle) -> Progress: ...
    def cancel(self, handle: Handle) -> None: ...


def follow(ctx: StepContext, driver: Worker, handle: Handle, poll_s: float, failed: str) -> Any:
    """The result, or how long to wait. Raises DriverError if it failed, `failed` being the text
    where the driver has none."""
    progress = driver.poll(handle)
    if not progress.done:
        ctx.progress(progress.done_bytes, progress.total_bytes)
        return Wait(poll_s)
    if progress.state is not ProgressState.DONE:
        raise DriverError(progress.error or failed)
    return progress.result


def withdraw(
    ctx: StepContext, driver: Worker, find: Callable[[], Handle | None], poll_s: float
) -> Any:
    """Cancel: None once it is through, the result if the work was faster, or how long to wait.

    A kill may have come before the handle was kept: `find` then gives it by the work's token, or
    None if nothing was begun. Starting with the same token does too, where no harm is done if the
    work begins only then. Raises what passes, and AccessDenied: whoever is not let in cannot know
    what was begun.
    """
    try:
        handle = ctx.memo.once("handle", find)
    except DriverError as exc:
        if exc.retryable or isinstance(exc, AccessDenied):
            raise
        return None  # refused for good: nothing was begun, or nothing can be found
    except (errors.ImageGone, errors.NoContent, errors.ImageDamaged):
        return None  # there are no bytes to begin with, and were none before
    if handle is None:
        return None
    try:
        driver.cancel(handle)
        progress = driver.poll(handle)
    except NotFound:
        return None  # forgotten: the driver keeps only what it is still working on
    if not progress.done:
        return Wait(poll_s)
    return progress.result if progress.state is ProgressState.DONE else None
