"""A copy that the store makes by itself, part by part, so that it is refused if the name is taken."""

import concurrent.futures

from imagesvc_drivers.storage.s3 import multipart
from imagesvc_drivers.storage.s3.gateway import Gateways

PART_BYTES = 256 << 20
_PARTS_MAX = 10_000


def copy(
    gateways: Gateways,
    source: dict[str, str],
    target: multipart.Target,
    size_bytes: int,
    *,
    threads: int,
) -> None:
    """Copy the object `source` (Bucket, Key) of at least one byte. Raises AlreadyExists."""
    part_bytes = max(PART_BYTES, -(-size_bytes // _PARTS_MAX))
    firsts = range(0, size_bytes, part_bytes)
    upload = multipart.Multipart.begin(gateways, target)

    def take(number: int, first: int) -> None:
        last = min(first + part_bytes, size_bytes) - 1
        upload.copy(number, source, f"bytes={first}-{last}" if len(firsts) > 1 else None)

    pool = concurrent.futures.ThreadPoolExecutor(threads, "s3-copy")
    try:
        with pool:
            list(pool.map(take, range(1, len(firsts) + 1), firsts))
        upload.complete()
    except BaseException:  # also a worker that is told to stop
        pool.shutdown(cancel_futures=True)
        upload.abort()
        raise
