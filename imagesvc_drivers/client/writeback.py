"""Early writeback: the kernel begins to write a file out while more of it still comes.

Without it all pages wait for the fsync at the end: of a 512 MiB upload that takes 1.6 s of
hashing, 0.5 to 1.5 s more.
"""

import ctypes

STEP_BYTES = 8 << 20
_WRITE = 2  # SYNC_FILE_RANGE_WRITE: begin to write dirty pages, wait for none (linux/fs.h)

_libc = ctypes.CDLL(None, use_errno=True)
_sync_file_range = getattr(_libc, "sync_file_range", None)
if _sync_file_range is not None:
    _sync_file_range.argtypes = (
        ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint,
    )  # fmt: skip


class Writeback:
    """Starts the writing of each full step of one file; for one thread."""

    def __init__(self) -> None:
        self._begun = 0

    def reached(self, descriptor: int, offset: int) -> None:
        """Everything before `offset` is in the page cache now.

        Only a hint: a file system that cannot is left to the fsync that follows anyway.
        """
        if _sync_file_range is None or offset - self._begun < STEP_BYTES:
            return
        _sync_file_range(descriptor, self._begun, offset - self._begun, _WRITE)
        self._begun = offset
