"""Immutable copies of image files, by digest, under all servers that were made of them.

    cache/<digest>.<format>    verified, never written again
    cache/<digest>.part        a download that goes on where it stopped
    cache/<digest>.local       a link or copy that is being verified
    cache/<digest>.lock        one fetch at a time

Deleting an image never touches servers: a hard link or a copy stays here. A base without a
server is dropped when the backend opens and nobody is creating servers.
"""

import contextlib
import hashlib
import logging
import os
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import requests

from imagesvc.crashpoint import crashpoint
from imagesvc.interface import errors
from imagesvc.interface.image_source import ImageSource
from imagesvc_drivers.compute.qemu import image_tool, record

LOG = logging.getLogger(__name__)

FORMATS = frozenset({"raw", "qcow2"})
_CHUNK_BYTES = 1 << 20
_ATTEMPTS = 5
_DIGEST = re.compile(r"[0-9a-f]{128}")
_FETCH_LOCK_S = 24 * 3600
# A base asked for within this time stays though no server has it: its server may be on the way.
_KEEP_S = 3600


class BaseCache:
    """Fetches bases; safe to share among threads and processes."""

    def __init__(self, folder: Path, timeout_s: float) -> None:
        self._folder = folder
        self._timeout_s = timeout_s

    def path(self, name: str) -> Path:
        """Where a base is."""
        return self._folder / name

    @staticmethod
    def check(source: ImageSource) -> None:
        """Refuse what cannot be a server's disk. Raises InvalidArgument."""
        if source.disk_format not in FORMATS:
            raise errors.InvalidArgument(
                f"A server's disk cannot be made of a {source.disk_format} image: "
                f"convert it to one of {', '.join(sorted(FORMATS))} first."
            )
        if not _DIGEST.fullmatch(source.digest):
            raise errors.InvalidArgument(f"Image {source.image_id} has no SHA-512 digest.")

    def fetch(self, source: ImageSource) -> str:
        """Bring the bytes of `source` here, verified; return the name of the base.

        Raises IntegrityError if they are not those of the digest, Unavailable, NoSpace.
        """
        name = f"{source.digest}.{source.disk_format}"
        with record.lock(self._folder / f"{source.digest}.lock", wait_s=_FETCH_LOCK_S):
            if not self.path(name).exists():
                with _translated():
                    partial = self._bring(source)
                    image_tool.check_base(partial, source.disk_format)
                    crashpoint("compute.qemu.fetched")
                    partial.replace(self.path(name))
                    record.sync_folder(self._folder)
            os.utime(self._folder / f"{source.digest}.lock")
        return name

    def drop_unused(self, used: set[str]) -> None:
        """Remove the old bases that are not among `used`."""
        for lock in self._folder.glob("*.lock"):
            if time.time() - lock.stat().st_mtime < _KEEP_S:
                continue
            for path in self._folder.glob(f"{lock.stem}.*"):
                if path.name not in used and path != lock:
                    path.unlink(missing_ok=True)

    def _bring(self, source: ImageSource) -> Path:
        """Return the verified file: that at `local_path`, or if it is not good that of the URL.

        The URL reads from all copies that the image has, the local file is one of them.
        """
        if source.local_path is not None:
            try:
                return self._take(source, source.local_path)
            except (OSError, errors.IntegrityError) as exc:
                LOG.warning("local file not used image_id=%s: %s", source.image_id, exc)
        partial = self._fetch_url(source)
        self._verify(source, partial)
        return partial

    def _take(self, source: ImageSource, path: Path) -> Path:
        """Link or copy, and verify. A link is never the file that a download appends to."""
        local = self._folder / f"{source.digest}.local"
        local.unlink(missing_ok=True)
        _link_or_copy(path, local)
        self._verify(source, local)
        return local

    def _fetch_url(self, source: ImageSource) -> Path:
        partial = self._folder / f"{source.digest}.part"
        for attempt in range(_ATTEMPTS):
            try:
                self._download(source, partial)
            except requests.RequestException as exc:
                if attempt == _ATTEMPTS - 1:
                    raise errors.Unavailable(
                        "The image's bytes could not be fetched.", type(exc).__name__
                    ) from exc
            else:
                break
        return partial

    def _download(self, source: ImageSource, partial: Path) -> None:
        """Go on where the last try stopped. The URL is a secret: it is in no message."""
        with requests.Session() as session, partial.open("ab") as target:
            session.trust_env = False
            offset = target.tell()
            if offset >= source.size_bytes:
                return
            headers = {"Range": f"bytes={offset}-", "Accept-Encoding": "identity"}
            answer = session.get(
                source.url, headers=headers, stream=True, timeout=self._timeout_s,
                allow_redirects=False,
            )  # fmt: skip
            with answer:
                if answer.status_code not in (200, 206):
                    raise errors.Unavailable(
                        "The image's bytes could not be fetched.", f"HTTP {answer.status_code}"
                    )
                if answer.status_code == 200:
                    target.truncate(0)
                    offset = 0
                for data in answer.iter_content(_CHUNK_BYTES):
                    offset += len(data)
                    if offset > source.size_bytes:
                        break
                    target.write(data)

    @staticmethod
    def _verify(source: ImageSource, partial: Path) -> None:
        digest = hashlib.sha512()
        with partial.open("rb") as stream:
            while data := stream.read(_CHUNK_BYTES):
                digest.update(data)
            os.fsync(stream.fileno())
        if digest.hexdigest() != source.digest:
            partial.unlink()
            raise errors.IntegrityError(
                "The image's bytes are not those that were stored.",
                f"SHA-512 of image {source.image_id} disk {source.disk} differs",
            )
        mode = partial.stat().st_mode & 0o777
        partial.chmod(0o444 if partial.stat().st_nlink == 1 else mode & 0o555)


def _link_or_copy(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
        return
    except OSError:
        target.unlink(missing_ok=True)
    with source.open("rb") as reader, target.open("xb") as writer:
        try:
            while os.copy_file_range(reader.fileno(), writer.fileno(), 1 << 30):
                continue
        except OSError:
            reader.seek(0)
            writer.truncate(0)
            writer.seek(0)
            shutil.copyfileobj(reader, writer, _CHUNK_BYTES)


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except OSError as exc:
        if exc.errno in (28, 122):  # ENOSPC, EDQUOT
            raise errors.NoSpace("The compute backend's disk is full.", str(exc)) from exc
        raise errors.Unavailable("The image's bytes could not be fetched.", str(exc)) from exc
