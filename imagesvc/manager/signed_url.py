"""Short-lived URLs that read one disk of one image without a token."""

import hashlib
import hmac
import time

from imagesvc import errors


class Signer:
    """Signs with the installation's key; `base_url` is where drivers reach the service."""

    def __init__(self, key: bytes, base_url: str, lifetime_s: int) -> None:
        self._key = key
        self._base_url = base_url.rstrip("/")
        self._lifetime_s = lifetime_s

    def sign(self, image_id: str, disk: int) -> str:
        """Make the URL; it is a secret while it lives."""
        expires = int(time.time()) + self._lifetime_s
        signature = self._signature(image_id, disk, expires)
        path = f"/imagesvc/v1/signed/{image_id}/{disk}"
        return f"{self._base_url}{path}?expires={expires}&signature={signature}"

    def verify(self, image_id: str, disk: int, expires: int, signature: str) -> None:
        """Raise Forbidden unless the URL was made by `sign` and still lives."""
        right = hmac.compare_digest(
            self._signature(image_id, disk, expires).encode(), signature.encode()
        )
        if not right or expires < time.time():
            raise errors.Forbidden("The URL is not valid, or no longer.")

    def _signature(self, image_id: str, disk: int, expires: int) -> str:
        text = f"GET\n{image_id}\n{disk}\n{expires}".encode()
        return hmac.new(self._key, text, hashlib.sha256).hexdigest()
