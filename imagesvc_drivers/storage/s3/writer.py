"""One object on its way into the bucket.

What fits into one part is sent by one PUT at the commit. Of more, parts are sent from threads
while the next one fills: with 4 threads at most 4 parts are on their way and one is filling.
"""

import concurrent.futures
import logging
from collections.abc import Callable
from typing import BinaryIO

from imagesvc.crashpoint import crashpoint
from imagesvc.interface import errors, storage
from imagesvc_drivers.storage.s3 import multipart, part_size
from imagesvc_drivers.storage.s3.gateway import Gateways

LOG = logging.getLogger(__name__)


class S3Writer(storage.ObjectWriter):
    """Parts of one object; for one thread, with threads of its own."""

    def __init__(
        self,
        gateways: Gateways,
        target: multipart.Target,
        stat: Callable[[str], storage.ObjectInfo],
        *,
        first_bytes: int,
        threads: int,
    ) -> None:
        self._gateways = gateways
        self._target = target
        self._stat = stat
        self._first_bytes = first_bytes
        self._threads = threads
        self._upload: multipart.Multipart | None = None
        self._pool: concurrent.futures.ThreadPoolExecutor | None = None
        self._sent: dict[concurrent.futures.Future[None], bytearray] = {}
        self._spare: list[bytearray] = []
        self._number = 1  # of the part that fills
        self._sent_bytes = 0
        self._buffer = bytearray(0)
        self._filled = 0
        self._is_open = True

    # ------------------------------------------------------------ taking

    @property
    def offset(self) -> int:
        return self._sent_bytes + self._filled

    @property
    def upload_id(self) -> str:
        upload_id = self._begun().upload_id
        return f"{self._first_bytes}:{self._target.mark}:{upload_id}"

    def resume(self, upload_id: str, parts: dict[int, tuple[int, str]]) -> None:
        """Take up an upload: number -> bytes and ETag of the parts that the store has."""
        self._upload = multipart.Multipart(self._gateways, self._target, upload_id)
        while True:
            size, etag = parts.get(self._number, (0, ""))
            if size != part_size.of(self._first_bytes, self._number):
                return
            self._upload.note(self._number, etag)
            self._sent_bytes += size
            self._number += 1

    def write(self, data: bytes) -> None:
        self._check_open()
        with memoryview(data).cast("B") as view:
            begin = 0
            while begin < len(view):
                if self._filled == len(self._buffer):
                    self._next_buffer()
                count = min(len(view) - begin, len(self._buffer) - self._filled)
                with memoryview(self._buffer) as room:
                    room[self._filled : self._filled + count] = view[begin : begin + count]
                self._filled += count
                begin += count

    def _check_open(self) -> None:
        if not self._is_open:
            raise errors.InvalidArgument("The write has ended.")

    def _next_buffer(self) -> None:
        if self._filled:
            self._send()
        size = part_size.of(self._first_bytes, self._number)
        if self._number > part_size.PARTS_MAX:
            raise errors.NoSpace(
                "The object is too large for this storage backend.",
                f"{self._target.key} has more than {part_size.PARTS_MAX} parts; raise part_size_mib",
            )
        fitting = [buffer for buffer in self._spare if len(buffer) == size]
        self._spare = fitting[1:]
        self._buffer = fitting[0] if fitting else bytearray(size)

    # ----------------------------------------------------------- sending

    def _begun(self) -> multipart.Multipart:
        self._check_open()
        if self._upload is None:
            self._upload = multipart.Multipart.begin(self._gateways, self._target)
        return self._upload

    def _send(self) -> None:
        """Give the part that filled to a thread, once there is room."""
        upload = self._begun()
        room = self._first_bytes * self._threads
        self._collect(room - len(self._buffer))
        if self._pool is None:
            self._pool = concurrent.futures.ThreadPoolExecutor(self._threads, "s3-part")
        future = self._pool.submit(upload.put, self._number, self._buffer)
        self._sent[future] = self._buffer
        self._number += 1
        self._sent_bytes += self._filled
        self._buffer, self._filled = bytearray(0), 0

    def _collect(self, room: int) -> None:
        """Wait until at most `room` bytes are on their way, or none. Raises what a part raised."""
        while self._sent and sum(map(len, self._sent.values())) > room:
            done, _ = concurrent.futures.wait(
                self._sent, return_when=concurrent.futures.FIRST_COMPLETED
            )
            for future in done:
                self._spare.append(self._sent.pop(future))
                future.result()

    # ------------------------------------------------------------ ending

    def open_uncommitted(self) -> BinaryIO:
        raise errors.NotSupported("This storage cannot be read before the commit.")

    def commit(self) -> storage.ObjectInfo:
        self._check_open()
        size = self.offset
        del self._buffer[self._filled :]
        if self._upload is None:
            self._put_whole()
        else:
            if self._filled or not size:
                self._send()
            self._collect(0)
            crashpoint("storage.s3.sent")
            self._upload.complete()
        crashpoint("storage.s3.published")
        self._upload = None  # there is nothing left to abort
        info = self._published()
        self.abort()
        if info.size_bytes != size:
            raise errors.IntegrityError(
                "The storage backend kept other bytes than it was given.",
                f"{self._target.key} has {info.size_bytes} bytes of {size}",
            )
        return info

    def _published(self) -> storage.ObjectInfo:
        try:
            return self._stat(self._target.key)
        except errors.NotFound as exc:
            raise errors.Discarded(
                "What was uploaded was removed before it was whole.", exc.operator_message
            ) from exc

    def _put_whole(self) -> None:
        try:
            self._gateways.call(
                f"cannot write {self._target.key}",
                "put_object",
                Key=self._target.name,
                Body=self._buffer,
                ContentMD5=multipart.content_md5(self._buffer),
                Metadata={multipart.MARK: self._target.mark},
                **self._target.conditions,
            )
        except errors.DriverError:
            # The answer of a try before may have been lost.
            if not multipart.is_ours(self._gateways, self._target):
                raise

    def leave(self) -> None:
        self._stop()
        self._upload = None

    def abort(self) -> None:
        self._stop()
        upload, self._upload = self._upload, None
        if upload is None:
            return
        try:
            upload.abort()
        except errors.DriverError as exc:  # for the reaper; what ended the write says more
            LOG.warning(
                "Unfinished upload left. key=%s: %s", self._target.key, exc.operator_message
            )

    def _stop(self) -> None:
        """Take and send no more; what is on its way arrives."""
        self._is_open = False
        if self._pool is not None:
            # A part that arrives after the abort would stay in the store.
            self._pool.shutdown(wait=True, cancel_futures=True)
            self._pool = None
        self._sent.clear()
        self._spare.clear()
        self._buffer, self._filled, self._sent_bytes = bytearray(0), 0, self.offset
