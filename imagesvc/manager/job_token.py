"""Tokens of callers that jobs need: sealed in the job's arguments, and gone when it ends."""

from collections.abc import Mapping
from typing import Any

from imagesvc import errors
from imagesvc.db import job as job_rows
from imagesvc.domain.job import Job
from imagesvc.manager.seal import Sealer

ARGUMENT = "sealed_token"


class JobTokens:
    """Seals tokens; the job's id is bound to each."""

    def __init__(self, key: bytes) -> None:
        self._sealer = Sealer(key)

    def seal(self, token: str, job_id: str) -> Mapping[str, str]:
        """The argument that carries the token."""
        return {ARGUMENT: self._sealer.seal(token, job_id)}

    def open(self, job: Job) -> str:
        """The token. Raises Conflict if the job has none, or another key sealed it."""
        token = self._sealer.open(job.args.get(ARGUMENT, ""), job.id)
        if token is None:
            raise errors.Conflict("The job has no token of its caller any more.")
        return token


def forget(conn: Any, *job_ids: str) -> None:
    """Remove the tokens from the rows of these jobs; for whoever ends them."""
    job_rows.drop_argument(conn, job_ids, ARGUMENT)
