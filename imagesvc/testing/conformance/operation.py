"""Laws of long work, the same for every kind: start gives a handle, poll follows it."""

import abc
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

import pytest

from imagesvc.interface import errors
from imagesvc.interface.operation import HANDLE_BYTES_MAX, Handle, Progress, ProgressState
from imagesvc.testing.conformance.base import DriverConformance

_PAUSE_S = 0.03
LIMIT_S = 120.0


class Worker(Protocol):
    """A driver with long work."""

    def poll(self, handle: Handle) -> Progress: ...
    def cancel(self, handle: Handle) -> None: ...


def follow(driver: Worker, handle: Handle, *, limit_s: float = LIMIT_S) -> Progress:
    """Poll to the end of the work, looking at each answer."""
    deadline = time.monotonic() + limit_s
    seen = 0
    while True:
        progress = driver.poll(handle)
        assert progress.done_bytes >= 0
        if progress.total_bytes is not None:
            assert progress.done_bytes <= progress.total_bytes
        if progress.done:
            return progress
        seen = max(seen, progress.done_bytes)
        assert time.monotonic() < deadline, f"not done in {limit_s} s: {progress}"
        time.sleep(_PAUSE_S)


def result_of(driver: Worker, handle: Handle) -> Any:
    """Poll to the end, which must be DONE, and give the result."""
    progress = follow(driver, handle)
    assert progress.state is ProgressState.DONE, progress.error
    return progress.result


class OperationConformance(DriverConformance):
    """Base of the suite of a kind with long work, which gives the fixture `start_work`."""

    @abc.abstractmethod
    @pytest.fixture
    def start_work(self, driver: Any) -> Callable[[Any, str], Handle]:
        """Start some long work of the driver: a function of the driver and the token."""

    def test_a_handle_is_a_short_text(
        self, driver: Any, start_work: Callable[[Any, str], Handle]
    ) -> None:
        """A handle is a string under 1 KiB."""
        handle = start_work(driver, "handle-is-short")
        assert isinstance(handle, str)
        assert 0 < len(handle.encode()) < HANDLE_BYTES_MAX
        follow(driver, handle)

    def test_the_same_token_is_the_same_work(
        self, driver: Any, start_work: Callable[[Any, str], Handle]
    ) -> None:
        """Start with a used token returns the first handle, while it runs and after."""
        first = start_work(driver, "same")
        assert start_work(driver, "same") == first
        result = result_of(driver, first)
        assert start_work(driver, "same") == first
        assert result_of(driver, first) == result
        another = start_work(driver, "another")
        assert another != first
        follow(driver, another)

    def test_two_instances_at_once_do_the_work_once(
        self, driver: Any, start_work: Callable[[Any, str], Handle]
    ) -> None:
        """Several processes start and follow work with one token: one handle, one result."""
        pair = [driver, self.again(driver)] * 2
        with ThreadPoolExecutor(len(pair)) as pool:
            handles = list(pool.map(lambda each: start_work(each, "at once"), pair))
            assert len(set(handles)) == 1
            results = list(pool.map(lambda each: result_of(each, handles[0]), pair))
        assert all(result == results[0] for result in results)

    def test_another_instance_can_follow_the_work(
        self, driver: Any, start_work: Callable[[Any, str], Handle]
    ) -> None:
        """A handle outlives the process that asked for it."""
        handle = start_work(driver, "outlives")
        other = self.again(driver)
        result = result_of(other, handle)
        assert result_of(driver, handle) == result

    @pytest.mark.parametrize("handle", ["unknown", "", "../../etc/passwd", "a/b"])
    def test_an_unknown_handle_is_not_found(self, driver: Any, handle: str) -> None:
        """`poll` and `cancel` of an unknown handle raise NotFound."""
        with pytest.raises(errors.NotFound):
            driver.poll(handle)
        with pytest.raises(errors.NotFound):
            driver.cancel(handle)

    def test_cancel_leaves_ended_work_as_it_is(
        self, driver: Any, start_work: Callable[[Any, str], Handle]
    ) -> None:
        """`cancel` of ended work changes nothing."""
        handle = start_work(driver, "ended")
        before = follow(driver, handle)
        driver.cancel(handle)
        assert follow(driver, handle) == before

    def test_cancelled_work_ends(
        self, driver: Any, start_work: Callable[[Any, str], Handle]
    ) -> None:
        """`cancel` of running work ends it, CANCELLED unless it was faster."""
        handle = start_work(driver, "cancelled")
        driver.cancel(handle)
        assert follow(driver, handle).state in (ProgressState.CANCELLED, ProgressState.DONE)
