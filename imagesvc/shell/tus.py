"""Sends a file by tus 1.0, piece by piece, and goes on where the service says after any failure."""

import base64
import dataclasses
import hashlib
import random
import time
from collections.abc import Callable, Mapping
from typing import BinaryIO

import requests

from imagesvc.shell import client as clients
from imagesvc.shell.cloud import ShellError

VERSION = {"Tus-Resumable": "1.0.0"}
_OCTETS = "application/offset+octet-stream"
_GONE = (404, 410)
_UNAUTHORIZED, _CONFLICT = 401, 409
# What may go through later, or wants another look at the offset.
_AGAIN = frozenset({408, 409, 423, 429, 460, 500, 502, 503, 504})
_PAUSE_S = (0.2, 5.0)


class UploadGone(ShellError):
    """The service knows nothing of the upload any more: it expired, or was given up."""


class Refused(ShellError):
    """The service takes no upload into this image."""


@dataclasses.dataclass(frozen=True, slots=True)
class Place:
    """How far an upload is; `job_id` once all bytes are there."""

    offset: int
    job_id: str | None


class TusUpload:
    """One upload at the service; `patience_s` is how long it is tried without a byte that counts.

    `sent_bytes` counts what was sent, twice where it had to be.
    """

    def __init__(self, client: clients.Client, upload_id: str, *, patience_s: float) -> None:
        self._client = client
        self._path = f"/uploads/{upload_id}"
        self._patience_s = patience_s
        self._until = time.monotonic() + patience_s
        self._pause = _PAUSE_S[0]
        self.sent_bytes = 0

    def look(self) -> Place:
        """Ask how far it is. Raises UploadGone, ShellError."""
        while True:
            answer = self._try("HEAD", VERSION)
            if answer is not None:
                return _place(answer)

    def send(
        self, source: BinaryIO, size: int, piece_bytes: int, progress: Callable[[int], None]
    ) -> Place:
        """Send what is left of `source`, and tell `progress` how far it is.

        Raises UploadGone, ShellError for what the service refuses, or a source that is cut short.
        """
        place = self.look()
        while True:
            progress(place.offset)
            if place.job_id is not None or (place.offset == size and size):
                return place if place.job_id is not None else self.look()
            source.seek(place.offset)
            piece = source.read(min(piece_bytes, size - place.offset))
            if not piece:
                raise ShellError("The file has become shorter since the upload began.")
            before, place = place, self._send(place.offset, piece)
            if place.offset > before.offset:
                self._rest()

    def _send(self, offset: int, piece: bytes) -> Place:
        digest = base64.b64encode(hashlib.sha256(piece).digest()).decode()
        headers = {
            **VERSION, "Upload-Offset": str(offset), "Content-Type": _OCTETS,
            "Upload-Checksum": f"sha256 {digest}",
        }  # fmt: skip
        self.sent_bytes += len(piece)
        answer = self._try("PATCH", headers, piece)
        return self.look() if answer is None else _place(answer)

    def _try(
        self, method: str, headers: Mapping[str, str], data: bytes | None = None
    ) -> requests.Response | None:
        """One request; None after a pause if it may go through later."""
        cause = ""
        try:
            answer = self._client.exchange(method, self._path, headers=dict(headers), data=data)
        except requests.RequestException as exc:
            cause = clients.cause(exc)
        else:
            if answer.ok:
                return answer
            cause = clients.sentence(answer)
            if answer.status_code in _GONE:
                raise UploadGone(cause)
            if answer.status_code == _UNAUTHORIZED:
                self._client.sign_in_again()
            elif answer.status_code not in _AGAIN:
                raise ShellError(cause)
        if time.monotonic() > self._until:
            raise ShellError(
                f"The upload got no further for {self._patience_s:g} s: {cause}. "
                "Run the same command again to go on with it."
            )
        time.sleep(self._pause * random.uniform(0.5, 1))  # noqa: S311
        self._pause = min(self._pause * 2, _PAUSE_S[1])
        return None

    def _rest(self) -> None:
        """Something went through: patience begins anew."""
        self._until = time.monotonic() + self._patience_s
        self._pause = _PAUSE_S[0]


def begin(client: clients.Client, size: int, metadata: Mapping[str, str]) -> str:
    """Begin an upload into an image, or find the one that it has; its id. Raises Refused, ShellError."""
    pairs = (
        f"{key} {base64.b64encode(value.encode()).decode()}" for key, value in metadata.items()
    )
    headers = {**VERSION, "Upload-Length": str(size), "Upload-Metadata": ",".join(pairs)}
    try:
        answer = client.exchange("POST", "/uploads", headers=headers)
    except requests.RequestException as exc:
        raise ShellError(f"The upload could not begin: {clients.cause(exc)}.") from exc
    if answer.ok:
        return answer.headers["Location"].rpartition("/")[2]
    for one in client.items("/uploads", "uploads") if answer.status_code == _CONFLICT else ():
        # The answer to its creation was lost, or what remembered it.
        if (one["image_id"], one["size_bytes"]) == (metadata["image_id"], size):
            return str(one["id"])
    raise Refused(clients.sentence(answer))


def _place(answer: requests.Response) -> Place:
    return Place(int(answer.headers["Upload-Offset"]), answer.headers.get("X-Job-Id"))
