"""An object on its way to an announced place, with which another worker can go on after a kill.

Bytes go to the store a window at a time. Before a window goes, the memo says so, with the hash of
all bytes up to its end. Who goes on reads all bytes once more and gives the store those that it
lacks; a window that may have gone before goes again only if that hash is the same. So the bytes in
the store are those that were hashed, whoever wrote them, and no two are sealed under one nonce.
"""

import contextlib
from collections.abc import Iterator

from imagesvc import errors
from imagesvc.crashpoint import crashpoint
from imagesvc.interface.errors import NotFound
from imagesvc.interface.storage import ObjectWriter, StorageCapability
from imagesvc.stream.digest import Digest
from imagesvc.worker import failure
from imagesvc.worker.flow import Released, StepContext

Place = tuple[str, str]  # store id, storage key

WINDOW_BYTES = 16 << 20
# So many windows may be on their way to a store, which takes several parts at once.
_MARKS_MAX = 64
_MEMO = "under_way"


class Lost(Exception):
    """There is nothing to go on with, or the source gives other bytes by now: begin anew."""


class GradualWrite:
    """Takes the bytes from the first one on, also of those that the store has; for one thread.

    Memo: under_way (index of the disk, upload_id, marks: pairs of the end of a window and the hash
    of all bytes before it), put before any of these bytes.
    """

    def __init__(self, ctx: StepContext, writer: ObjectWriter, index: int) -> None:
        self._ctx = ctx
        self._writer = writer
        self._index = index
        memo = ctx.memo.get(_MEMO)
        self._marks: dict[int, str] = {} if memo is None else dict(map(tuple, memo["marks"]))
        self._there = writer.offset
        self._last_mark = max(self._marks, default=0)
        self._window: list[bytes] = []
        self._begin = self._end = 0  # of the window
        self._digest = Digest()  # of nothing
        if self._there > self._last_mark:
            raise Lost

    def heed(self, digest: Digest) -> None:
        """Take what hashes the bytes, before the first of them."""
        self._digest = digest

    def write(self, data: bytes) -> None:
        """Take the next bytes. Raises Lost, LeaseLost, and what the store raises."""
        self._window.append(data)
        self._end += len(data)
        if self._end - self._begin >= WINDOW_BYTES:
            self._give()
            crashpoint("step.copy.part")

    def commit(self) -> None:
        """Give the rest, and commit. Raises as `write` does."""
        self._give()
        self._writer.commit()

    def _give(self) -> None:
        self._mark()
        at, window, self._window = self._begin, self._window, []
        for block in window:
            if at >= self._there:
                self._writer.write(block)
            elif at + len(block) > self._there:
                self._writer.write(block[self._there - at :])
            at += len(block)
        self._begin = self._end

    def _mark(self) -> None:
        """Prove a window that may have gone before, and note one that has not. Raises Lost."""
        end = self._end
        if end in self._marks:
            if self._marks[end] != self._digest.so_far():
                raise Lost
        elif end > self._last_mark:
            self._marks[end] = self._digest.so_far()
            self._marks = dict(sorted(self._marks.items())[-_MARKS_MAX:])
            self._ctx.memo[_MEMO] = {
                "index": self._index,
                "upload_id": self._writer.upload_id,
                "marks": list(self._marks.items()),
            }
        elif end > self._there:
            raise Lost  # nobody knows what went


def left(ctx: StepContext, index: int) -> Place | None:
    """Where a write of that disk waits for who goes on with it."""
    memo = ctx.memo.get(_MEMO)
    if memo is None or memo["index"] != index or not ctx.memo.get("writing"):
        return None
    store_id, key = ctx.memo["writing"]
    return store_id, key


def is_for(ctx: StepContext, store_id: str, size_bytes: int) -> bool:
    """Whether such a write is worth while: of more than a window, into a store that resumes."""
    able = ctx.service.backends.storage(store_id).info().capabilities
    return size_bytes > WINDOW_BYTES and StorageCapability.RESUMABLE_WRITE in able


@contextlib.contextmanager
def begun(ctx: StepContext, place: Place, index: int, size_bytes: int) -> Iterator[GradualWrite]:
    """Begin at an announced place. Raises what the store raises."""
    forget(ctx)
    store = ctx.service.backends.storage(place[0])
    with store.open_write(place[1], size=size_bytes) as writer, _kept(ctx, writer):
        yield GradualWrite(ctx, writer, index)


@contextlib.contextmanager
def gone_on(ctx: StepContext, place: Place, index: int) -> Iterator[GradualWrite]:
    """Go on with what is `left`. Raises Lost, and what the store raises."""
    store = ctx.service.backends.storage(place[0])
    try:
        opened = store.resume_write(place[1], ctx.memo[_MEMO]["upload_id"])
    except NotFound as exc:
        raise Lost from exc
    with opened as writer, _kept(ctx, writer):
        yield GradualWrite(ctx, writer, index)


def forget(ctx: StepContext) -> None:
    """What is under way is given up. Raises LeaseLost."""
    if ctx.memo.get(_MEMO) is not None:
        ctx.memo[_MEMO] = None


@contextlib.contextmanager
def _kept(ctx: StepContext, writer: ObjectWriter) -> Iterator[None]:
    """Leave the write to who comes next, if that may end it or has it already."""
    try:
        yield
    except Exception as exc:  # whatever it is, it goes on from here
        if _may_go_on(ctx, exc):
            writer.leave()
        raise


def _may_go_on(ctx: StepContext, exc: Exception) -> bool:
    if isinstance(exc, Released | errors.LeaseLost) or failure.of(exc).retryable:
        return True
    try:
        forget(ctx)
    except errors.LeaseLost:
        return True
    return False
