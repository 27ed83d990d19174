"""Tokens of callers that jobs need: sealed in the job's arguments, and gone when it ends."""

import base64
import os
from collections.abc import Mapping
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from imagesvc import errors
from imagesvc.db import job as job_rows
from imagesvc.domain.job import Job

ARGUMENT = "sealed_token"
_NONCE_BYTES = 12


class JobTokens:
    """AES-256-GCM under a key of the installation; the job's id is bound to it."""

    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(key)

    def seal(self, token: str, job_id: str) -> Mapping[str, str]:
        """The argument that carries the token."""
        nonce = os.urandom(_NONCE_BYTES)
        sealed = nonce + self._cipher.encrypt(nonce, token.encode(), job_id.encode())
        return {ARGUMENT: base64.b64encode(sealed).decode()}

    def open(self, job: Job) -> str:
        """The token. Raises Conflict if the job has none, or another key sealed it."""
        sealed = base64.b64decode(job.args.get(ARGUMENT, ""))
        nonce, rest = sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:]
        try:
            return self._cipher.decrypt(nonce, rest, job.id.encode()).decode()
        except (InvalidTag, ValueError) as exc:  # ValueError: too short to be one
            raise errors.Conflict("The job has no token of its caller any more.") from exc


def forget(conn: Any, *job_ids: str) -> None:
    """Remove the tokens from the rows of these jobs; for whoever ends them."""
    job_rows.drop_argument(conn, job_ids, ARGUMENT)
