"""Request bodies read straight off gunicorn's socket, into the block that goes on.

gunicorn's own body joins and splits every MiB about six times: 1 s of CPU a GiB, a fourth of
what an upload costs in all. This one receives into the block itself. It reaches into the
server, so it is used only for what it knows: a body of known length under gunicorn 27, read by
the classes named here. Whatever else is read through `wsgi.input`.
"""

from typing import Any

import gunicorn
from gunicorn.http import body as gunicorn_body
from gunicorn.http import unreader as gunicorn_unreader

KNOWN_MAJOR = 27


class DirectBody:
    """The rest of one request's body; it keeps gunicorn's count of what is left."""

    def __init__(self, body: Any) -> None:
        self._body = body
        self._length = body.reader
        self._unreader = body.reader.unreader

    def read(self, size: int) -> bytes | bytearray:
        """Give `size` bytes, fewer only where the body ends."""
        size = min(self._length.length, size)
        if self._body.buf.tell():  # somebody read by lines before
            return bytes(self._body.read(size))
        block = bytearray(size)
        got = self._take_held(block)
        with memoryview(block) as view:
            while got < size:
                count = self._unreader.sock.recv_into(view[got:])
                if not count:
                    break
                got += count
                self._length.length -= count
        if got < size:  # the client is gone
            self._body.failed = True
            del block[got:]
        return block

    def _take_held(self, block: bytearray) -> int:
        """Take what came along with the head of the request."""
        held = len(self._unreader.buf.getbuffer())
        if not held:
            return 0
        data = self._length.read(min(len(block), held))
        block[: len(data)] = data
        return len(data)


def of(stream: Any) -> DirectBody | None:
    """The same body without the copies; None if this is not a body that we know."""
    known = (
        gunicorn.version_info[0] == KNOWN_MAJOR
        and type(stream) is gunicorn_body.Body
        and type(stream.reader) is gunicorn_body.LengthReader
        and type(stream.reader.unreader) is gunicorn_unreader.SocketUnreader
    )
    return DirectBody(stream) if known else None
