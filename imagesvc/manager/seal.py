"""Secrets that rows keep, sealed by AES-256-GCM under a key of the installation."""

import base64
import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_NONCE_BYTES = 12


class Sealer:
    """Seals texts, each bound to what it belongs to: it opens under no other name."""

    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(key)

    def seal(self, text: str, bound_to: str) -> str:
        """The text as it may lie in a row; another one each time."""
        nonce = os.urandom(_NONCE_BYTES)
        sealed = nonce + self._cipher.encrypt(nonce, text.encode(), bound_to.encode())
        return base64.b64encode(sealed).decode()

    def open(self, sealed: str, bound_to: str) -> str | None:
        """The text; None if it was sealed by another key or for something else, or is broken."""
        try:
            data = base64.b64decode(sealed)
            nonce, rest = data[:_NONCE_BYTES], data[_NONCE_BYTES:]
            return self._cipher.decrypt(nonce, rest, bound_to.encode()).decode()
        except (InvalidTag, ValueError):  # ValueError: too short to be one
            return None
