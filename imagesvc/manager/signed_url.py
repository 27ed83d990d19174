"""URLs that read one disk of one image, or of one backup, without a token.

Each is of a job, and opens until that has ended: however long the work takes that it was given to
a backend for, and no longer.
"""

import hashlib
import hmac
import time
import urllib.parse
from typing import NamedTuple

from imagesvc import errors
from imagesvc.db import job as job_rows
from imagesvc.db.engine import Database


class BackupPlace(NamedTuple):
    """Where a disk of a backup is, `disk` being its number."""

    backend_id: str
    project_id: str
    backup_id: str
    disk: int


class Proof(NamedTuple):
    """What a URL says of itself: the job that it is of, or when it `expires` (seconds since 1970).

    Workers of the release before make the second kind.
    """

    signature: str
    job_id: str | None = None
    expires: int = 0


class Signer:
    """Signs with the installation's key; `base_url` is where drivers reach the service."""

    def __init__(self, database: Database, key: bytes, base_url: str) -> None:
        self._database = database
        self._key = key
        self._base_url = base_url.rstrip("/")

    def sign(self, image_id: str, disk: int, job_id: str) -> str:
        """Make the URL for the work of a job; it is a secret until that has ended."""
        signature = self._signature((image_id, disk), job_id)
        path = f"/imagesvc/v1/signed/{image_id}/{disk}"
        return f"{self._base_url}{path}?job={job_id}&signature={signature}"

    def verify(self, image_id: str, disk: int, proof: Proof) -> None:
        """Raise Forbidden unless the URL was made by `sign` and its job has not ended."""
        self._verify((image_id, disk), proof)

    def sign_backup(self, place: BackupPlace, job_id: str) -> str:
        """Make the URL of a disk of a backup for the work of a job; a secret like that of `sign`."""
        query = urllib.parse.urlencode(
            {
                "backend_id": place.backend_id, "project_id": place.project_id,
                "job": job_id, "signature": self._signature(("backup", *place), job_id),
            }
        )  # fmt: skip
        path = f"/imagesvc/v1/signed-backups/{place.backup_id}/{place.disk}"
        return f"{self._base_url}{path}?{query}"

    def verify_backup(self, place: BackupPlace, proof: Proof) -> None:
        """Raise Forbidden unless the URL was made by `sign_backup` and its job has not ended."""
        self._verify(("backup", *place), proof)

    def _verify(self, signed: tuple[str | int, ...], proof: Proof) -> None:
        until = proof.expires if proof.job_id is None else proof.job_id
        right = self._signature(signed, until).encode()
        if not hmac.compare_digest(right, proof.signature.encode()) or not self._lives(proof):
            raise errors.Forbidden("The URL is not valid, or no longer.")

    def _lives(self, proof: Proof) -> bool:
        if proof.job_id is None:
            return proof.expires >= time.time()
        with self._database.read() as conn:
            return job_rows.is_open(conn, proof.job_id)

    def _signature(self, signed: tuple[str | int, ...], until: str | int) -> str:
        kind = ("job",) if isinstance(until, str) else ()
        text = "\n".join(str(part) for part in ("GET", *signed, *kind, until)).encode()
        return hmac.new(self._key, text, hashlib.sha256).hexdigest()
