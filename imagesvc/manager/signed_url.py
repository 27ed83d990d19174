"""Short-lived URLs that read one disk of one image, or of one backup, without a token."""

import hashlib
import hmac
import time
import urllib.parse
from typing import NamedTuple

from imagesvc import errors


class BackupPlace(NamedTuple):
    """Where a disk of a backup is, `disk` being its number."""

    backend_id: str
    project_id: str
    backup_id: str
    disk: int


class Signer:
    """Signs with the installation's key; `base_url` is where drivers reach the service."""

    def __init__(self, key: bytes, base_url: str, lifetime_s: int) -> None:
        self._key = key
        self._base_url = base_url.rstrip("/")
        self._lifetime_s = lifetime_s

    def sign(self, image_id: str, disk: int) -> str:
        """Make the URL; it is a secret while it lives."""
        expires = int(time.time()) + self._lifetime_s
        signature = self._signature((image_id, disk), expires)
        path = f"/imagesvc/v1/signed/{image_id}/{disk}"
        return f"{self._base_url}{path}?expires={expires}&signature={signature}"

    def verify(self, image_id: str, disk: int, expires: int, signature: str) -> None:
        """Raise Forbidden unless the URL was made by `sign` and still lives."""
        self._verify((image_id, disk), expires, signature)

    def sign_backup(self, place: BackupPlace) -> str:
        """Make the URL of a disk of a backup; it is a secret while it lives."""
        expires = int(time.time()) + self._lifetime_s
        query = urllib.parse.urlencode(
            {
                "backend_id": place.backend_id, "project_id": place.project_id,
                "expires": expires, "signature": self._signature(("backup", *place), expires),
            }
        )  # fmt: skip
        path = f"/imagesvc/v1/signed-backups/{place.backup_id}/{place.disk}"
        return f"{self._base_url}{path}?{query}"

    def verify_backup(self, place: BackupPlace, expires: int, signature: str) -> None:
        """Raise Forbidden unless the URL was made by `sign_backup` and still lives."""
        self._verify(("backup", *place), expires, signature)

    def _verify(self, signed: tuple[str | int, ...], expires: int, signature: str) -> None:
        right = hmac.compare_digest(self._signature(signed, expires).encode(), signature.encode())
        if not right or expires < time.time():
            raise errors.Forbidden("The URL is not valid, or no longer.")

    def _signature(self, signed: tuple[str | int, ...], expires: int) -> str:
        text = "\n".join(str(part) for part in ("GET", *signed, expires)).encode()
        return hmac.new(self._key, text, hashlib.sha256).hexdigest()
