"""An image whose publisher signed its very bytes.

They are kept in the work area as they pass, since a signature is held against all of them. Whoever
reads gets no end of the bytes, and so commits nothing, before the signature was found good.
"""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from imagesvc import errors
from imagesvc.manager.catalog_source import Body
from imagesvc.worker import scratch
from imagesvc.worker.flow import StepContext

Judge = Callable[[Path], None]


class SignedBody:
    """Gives the bytes of a body; `judge` raises for a file of them that is not as it was signed."""

    def __init__(self, body: Body, file: BinaryIO, judge: Callable[[], None]) -> None:
        self._body = body
        self._file = file
        self._judge = judge
        self.size = body.size

    def read(self, size: int, /) -> bytes:
        """Give at most `size` bytes; none at the end. Raises what `judge` does, and the body."""
        data = self._body.read(size)
        self._file.write(data)
        if not data:
            self._file.flush()
            self._judge()
        return data


@contextlib.contextmanager
def opened(
    ctx: StepContext, came: contextlib.AbstractContextManager[Body], judge: Judge
) -> Iterator[SignedBody]:
    """The bytes of what `came`; one that does not say its length is refused.

    Raises CatalogRefused, ScratchFull, TooLarge, and what opening raises.
    """
    with contextlib.ExitStack() as stack:
        body = stack.enter_context(came)
        if body.size is None:
            raise errors.CatalogRefused(
                family=ctx.job.args["family"],
                cause="its server does not say how long the image is, whose signature is checked.",
            )
        room = scratch.of(ctx.service).reserve(f"{ctx.job.id}-signature", body.size)
        path = stack.enter_context(room) / "image"
        file = stack.enter_context(path.open("wb"))
        yield SignedBody(body, file, lambda: judge(path))
