"""Several hashes in one pass."""

import hashlib
import threading

import pytest

from imagesvc.stream.digest import Digest

BLOCK = bytes(range(256)) * 4096


@pytest.mark.parametrize("threads", [True, False, None])
@pytest.mark.parametrize("blocks", [0, 1, 9])
def test_hashes_are_those_of_hashlib(threads: bool | None, blocks: int) -> None:
    with Digest("sha512", threads=threads) as digest:
        for _ in range(blocks):
            digest.update(BLOCK)
        found = digest.finish()
    data = BLOCK * blocks
    assert found.md5 == hashlib.md5(data).hexdigest()
    assert (found.algorithm, found.value) == ("sha512", hashlib.sha512(data).hexdigest())


@pytest.mark.parametrize("algorithm", ["sha256", "sha3_256", "blake2b"])
def test_the_algorithm_is_chosen_and_md5_may_be_left_out(algorithm: str) -> None:
    with Digest(algorithm, md5=False, threads=True) as digest:
        digest.update(b"x")
        found = digest.finish()
    assert found.md5 is None
    assert found.value == hashlib.new(algorithm, b"x").hexdigest()


def test_threads_end_when_the_stream_breaks() -> None:
    def broken() -> None:
        with Digest(threads=True) as digest:
            for _ in range(3):
                digest.update(BLOCK)
            raise ConnectionError

    with pytest.raises(ConnectionError):
        broken()
    assert not [thread for thread in threading.enumerate() if thread.name == "digest"]
