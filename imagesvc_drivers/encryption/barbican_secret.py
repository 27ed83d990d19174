"""Secrets of the service's own project in Barbican (Key Manager API v1), through openstacksdk."""

import base64
import dataclasses
import datetime
import re
from collections.abc import Iterator
from typing import Any

from imagesvc.interface import errors
from imagesvc_drivers.client import key_wrap

_SERVICE = "key_manager"
_PAGE = 100
_MODE = re.compile(r"gcm;version=([0-9]{1,9})")


@dataclasses.dataclass(frozen=True, slots=True)
class Secret:
    """One version of a key; its bytes are fetched apart."""

    id: str
    name: str
    version: int
    created_at: datetime.datetime


class Secrets:
    """Safe for many threads. Every call raises DriverError alone."""

    def __init__(self, cloud: Any) -> None:
        self._cloud = cloud

    def named(self, name: str) -> list[Secret]:
        """All versions under this very name, in their order; empty without any."""
        return sorted(self._pages({"name": name}), key=lambda one: (one.version, one.id))

    def every(self) -> Iterator[Secret]:
        """All versions of all keys; secrets of others are left out."""
        return self._pages({})

    def ask(self) -> None:
        """One cheap call."""
        self._cloud.ask(self._cloud.own(), _SERVICE, "GET", "/secrets", params={"limit": 1})

    def store(self, name: str, version: int) -> None:
        """Make a version, with fresh bytes."""
        body = {
            "name": name,
            "secret_type": "symmetric",
            "algorithm": "aes",
            "bit_length": 8 * key_wrap.KEY_BYTES,
            "mode": f"gcm;version={version}",
            "payload": base64.b64encode(key_wrap.fresh_key()).decode("ascii"),
            "payload_content_type": "application/octet-stream",
            "payload_content_encoding": "base64",
        }
        self._cloud.ask(self._cloud.own(), _SERVICE, "POST", "/secrets", json=body, log=False)

    def fetch(self, secret: Secret) -> bytes:
        """The bytes of a version. Raises NotFound if it was deleted."""
        found: bytes = self._cloud.fetch(
            self._cloud.own(),
            _SERVICE,
            f"/secrets/{secret.id}/payload",
            "application/octet-stream",
        )
        if len(found) != key_wrap.KEY_BYTES:
            raise errors.DriverError(
                "The key cannot be used.", f"secret {secret.id} has not {key_wrap.KEY_BYTES} bytes"
            )
        return found

    def _pages(self, wanted: dict[str, Any]) -> Iterator[Secret]:
        offset = 0
        while True:
            params = {**wanted, "limit": _PAGE, "offset": offset}
            page = self._cloud.ask(self._cloud.own(), _SERVICE, "GET", "/secrets", params=params)
            found = page.get("secrets", [])
            for facts in found:
                secret = _secret(facts)
                if secret is not None:
                    yield secret
            offset += len(found)
            if not found or offset >= int(page.get("total", 0)):
                return


def _secret(facts: dict[str, Any]) -> Secret | None:
    """A version of a key of the service; None for another secret."""
    mode = _MODE.fullmatch(str(facts.get("mode")))
    if mode is None or facts.get("status") != "ACTIVE":
        return None
    return Secret(
        id=str(facts["secret_ref"]).rpartition("/")[2],
        name=str(facts.get("name")),
        version=int(mode[1]),
        created_at=datetime.datetime.fromisoformat(facts["created"]).replace(tzinfo=datetime.UTC),
    )
