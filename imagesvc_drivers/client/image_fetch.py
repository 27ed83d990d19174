"""The bytes of an image as a verified file in a folder of the driver.

    <folder>/<digest>.part     a download that goes on where it stopped
    <folder>/<digest>.local    a link or copy that is being verified

One caller at a time for each digest and folder; callers hold a lock of their own.
"""

import contextlib
import dataclasses
import hashlib
import logging
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import requests

from imagesvc.interface import errors
from imagesvc.interface.image_source import ImageSource

LOG = logging.getLogger(__name__)

_CHUNK_BYTES = 1 << 20
_ATTEMPTS = 5
_CONFLICT, _KEY_REASON, _WORDS_MAX = 409, b'"key-unavailable"', 4096
_DIGEST = re.compile(r"[0-9a-f]{128}")


def check(source: ImageSource) -> None:
    """Refuse an image whose bytes could not be verified. Raises InvalidArgument."""
    if not _DIGEST.fullmatch(source.digest):
        raise errors.InvalidArgument(f"Image {source.image_id} has no SHA-512 digest.")


def bring(source: ImageSource, folder: Path, timeout_s: float) -> Path:
    """Return the verified file: that at `local_path`, or if it is not good that of the URL.

    The URL reads from all copies that the image has, the local file is one of them. The file may
    be a hard link to that of the store: it is read-only, and never to be written. Raises
    IntegrityError if the bytes are not those of the digest, KeyUnavailable, Unavailable, NoSpace.
    """
    with _translated():
        if source.local_path is not None:
            try:
                return _take(source, source.local_path, folder)
            except (OSError, errors.IntegrityError) as exc:
                LOG.warning("local file not used image_id=%s: %s", source.image_id, exc)
        partial = _fetch_url(source, folder, timeout_s)
        _verify(source, partial)
        return partial


def fields(source: ImageSource) -> dict[str, Any]:
    """A source as JSON, for a record that only the service reads: the URL in it is a secret.

    Workers of the release before read it as well; they know no `os_type`.
    """
    path = source.local_path
    found = dataclasses.asdict(source) | {"local_path": None if path is None else str(path)}
    del found["os_type"]
    return found


def from_fields(found: dict[str, Any]) -> ImageSource:
    """A source that `fields` gave."""
    path = found["local_path"]
    return ImageSource(**found | {"local_path": None if path is None else Path(path)})


def drop(source: ImageSource, folder: Path) -> None:
    """Remove what `bring` made, whole or not; safe to repeat."""
    for suffix in ("part", "local"):
        (folder / f"{source.digest}.{suffix}").unlink(missing_ok=True)


def _take(source: ImageSource, path: Path, folder: Path) -> Path:
    """Link or copy, and verify. A link is never the file that a download appends to."""
    local = folder / f"{source.digest}.local"
    local.unlink(missing_ok=True)
    _link_or_copy(path, local)
    _verify(source, local)
    return local


def _fetch_url(source: ImageSource, folder: Path, timeout_s: float) -> Path:
    partial = folder / f"{source.digest}.part"
    for attempt in range(_ATTEMPTS):
        try:
            _download(source, partial, timeout_s)
        except requests.RequestException as exc:
            if attempt == _ATTEMPTS - 1:
                raise errors.Unavailable(
                    "The image's bytes could not be fetched.", type(exc).__name__
                ) from exc
        else:
            break
    return partial


def _download(source: ImageSource, partial: Path, timeout_s: float) -> None:
    """Go on where the last try stopped. The URL is a secret: it is in no message."""
    with requests.Session() as session, partial.open("ab") as target:
        session.trust_env = False
        offset = target.tell()
        if offset >= source.size_bytes:
            return
        headers = {"Range": f"bytes={offset}-", "Accept-Encoding": "identity"}
        answer = session.get(
            source.url, headers=headers, stream=True, timeout=timeout_s, allow_redirects=False
        )
        with answer:
            if answer.status_code not in (200, 206):
                raise _refusal(answer)
            if answer.status_code == 200:
                target.truncate(0)
                offset = 0
            for data in answer.iter_content(_CHUNK_BYTES):
                offset += len(data)
                if offset > source.size_bytes:
                    break
                target.write(data)


def _refusal(answer: requests.Response) -> errors.DriverError:
    """What an answer without bytes means; the service tells its reason in JSON."""
    said = f"HTTP {answer.status_code}"
    if answer.status_code == _CONFLICT and _KEY_REASON in next(
        answer.iter_content(_WORDS_MAX), b""
    ):
        return errors.KeyUnavailable("The key of the image is disabled or gone.", said)
    return errors.Unavailable("The image's bytes could not be fetched.", said)


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
            raise errors.NoSpace("The backend's disk is full.", str(exc)) from exc
        raise errors.Unavailable("The image's bytes could not be fetched.", str(exc)) from exc
