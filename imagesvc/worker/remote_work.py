"""Long work of a compute driver, as steps follow it and take it back."""

from collections.abc import Callable
from typing import Any

from imagesvc import errors
from imagesvc.interface.compute import ComputeDriver
from imagesvc.interface.errors import DriverError, NotFound
from imagesvc.interface.operation import Handle, ProgressState
from imagesvc.worker.flow import StepContext, Wait


def follow(
    ctx: StepContext, driver: ComputeDriver, handle: Handle, poll_s: float, failed: str
) -> Any:
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
    ctx: StepContext, driver: ComputeDriver, start: Callable[[], Handle], poll_s: float
) -> Any:
    """Cancel: None once it is through, the result if the work was faster, or how long to wait.

    A kill may have come before the handle was kept: `start` then finds it again by its token.
    """
    try:
        handle = ctx.memo.once("handle", start)
    except DriverError as exc:
        if exc.retryable:
            raise
        return None  # refused for good, so nothing was begun
    except (errors.ImageGone, errors.NoContent, errors.ImageDamaged):
        return None  # there are no bytes to begin with, and were none before
    try:
        driver.cancel(handle)
        progress = driver.poll(handle)
    except NotFound:
        return None  # forgotten: the driver keeps only what it is still working on
    if not progress.done:
        return Wait(poll_s)
    return progress.result if progress.state is ProgressState.DONE else None
