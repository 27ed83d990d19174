"""Keys of the transit engine of Vault or OpenBao (HTTP API version 1).

A key of the KMS is a key of transit, named as `client.key_name` says, which is its id here too. It is
made with `derived`: each context has a key of its own, derived from it, so that nothing opens without
the context, and the server can still re-wrap. A wrapped data key is `01`, the version (4 bytes,
big-endian), and what stands behind `vault:v<version>:`, not in base64, of which many texts are the
same bytes.
"""

import base64
import contextlib
import datetime
import logging
import struct
from collections.abc import Iterator
from typing import Any

from imagesvc.crashpoint import crashpoint
from imagesvc.interface import base, encryption, errors
from imagesvc.interface.encryption import (
    DATA_KEY_BYTES,
    Context,
    DataKey,
    EncryptionCapability,
    KeyInfo,
    KeyState,
)
from imagesvc_drivers.client import key_name, key_wrap, probe
from imagesvc_drivers.encryption import vault_client

LOG = logging.getLogger(__name__)
_FORMAT = 1
_HEAD = struct.Struct(">BI")
# Words of the server about keys and versions that are closed, and what it means.
_CLOSED = {
    "soft-deleted": "The key is disabled.",
    "too old": "The key's version that wrapped this is closed.",
    "disallowed by policy": "The key's version that wrapped this is closed.",
}
_DISABLE = EncryptionCapability.DISABLE_KEY
_CAPABILITIES = frozenset(EncryptionCapability) - {_DISABLE, EncryptionCapability.REENCRYPT}
_ALGORITHMS = {"aes256-gcm96": "AES-256-GCM", "chacha20-poly1305": "ChaCha20-Poly1305"}


class VaultEncryption(encryption.EncryptionDriver):
    """Data keys are made, opened and wrapped anew by the server."""

    contract = base.Version(1, 0)
    OPTS = vault_client.OPTS

    def __init__(self, options: Any, *, backend_id: str) -> None:
        super().__init__(options, backend_id=backend_id)
        self._client = vault_client.VaultClient(options)
        self._probe = probe.Probe(self._client.check_token)
        self._disables = True

    # -------------------------------------------------------------- life

    def open(self) -> None:
        """Look whether the token works and transit is there. Raises Unavailable, AccessDenied."""
        self._client.check_token()
        self._names()
        self._disables = self._client.knows(f"keys/{key_name.PREFIX}/soft-delete")

    def close(self) -> None:
        """Let go of connections."""
        self._client.close()

    def info(self) -> base.DriverInfo:
        """Say what this driver is."""
        return base.DriverInfo(
            name="vault",
            vendor="imagesvc",
            version="1.0",
            capabilities=_CAPABILITIES | ({_DISABLE} if self._disables else frozenset()),
        )

    def health(self) -> base.Health:
        """Ask the server for the own token."""
        return self._probe.health()

    # --------------------------------------------------------- data keys

    def generate_data_key(self, key_id: str, *, context: Context) -> DataKey:
        """A fresh data key, made by the server."""
        self.describe_key(key_id)
        answer = self._ask(
            f"datakey/plaintext/{key_id}", {"context": _derivation(context), "bits": 256}
        )
        return _data_key(_plain(answer), *_packed(answer))

    def wrap_data_key(self, key_id: str, plain: bytes, *, context: Context) -> DataKey:
        """An existing data key, sealed by the server."""
        if len(plain) != DATA_KEY_BYTES:
            raise errors.InvalidArgument(f"A data key has {DATA_KEY_BYTES} bytes.")
        # The server would make a key that is not there.
        self.describe_key(key_id)
        body = {
            "context": _derivation(context),
            "plaintext": base64.b64encode(plain).decode("ascii"),
        }
        answer = self._ask(f"encrypt/{key_id}", body)
        return _data_key(plain, *_packed(answer))

    def decrypt_data_key(self, key_id: str, wrapped: bytes, *, context: Context) -> DataKey:
        """Open a wrapped data key at the server."""
        answer = self._ask(f"decrypt/{_known(key_id)}", _sealed(wrapped, context), opens=True)
        return _data_key(_plain(answer), wrapped, _version(wrapped))

    def rewrap(self, key_id: str, wrapped: bytes, *, context: Context) -> tuple[bytes, int]:
        """The same data key under the newest version; only the server sees it."""
        answer = self._ask(f"rewrap/{_known(key_id)}", _sealed(wrapped, context), opens=True)
        return _packed(answer)

    # -------------------------------------------------------------- keys

    def describe_key(self, key_id: str) -> KeyInfo:
        """What a key is. Raises InvalidArgument for one that binds no context."""
        name = key_name.parse(_known(key_id))
        with _translated(opens=False):
            facts = self._client.transit("GET", f"keys/{key_id}")
        if name is None or not facts.get("latest_version"):
            raise _not_found(key_id)
        if not facts.get("derived"):
            raise errors.InvalidArgument(
                f"The key {key_id} binds no context; its operator has to make another one.",
                f"transit key {key_id} was made without derived=true",
            )
        made = [one for one in facts.get("keys", {}).values() if isinstance(one, int)]
        return KeyInfo(
            id=key_id,
            project_id=name.project_id,
            name=name.name,
            state=KeyState.DISABLED if facts.get("soft_deleted") else KeyState.ENABLED,
            version=int(facts["latest_version"]),
            algorithm=_ALGORITHMS.get(str(facts.get("type")), str(facts.get("type"))),
            created_at=datetime.datetime.fromtimestamp(min(made), datetime.UTC) if made else None,
        )

    def list_keys(self, project_id: str) -> tuple[KeyInfo, ...]:
        """The keys of a project, by id; one call for all names, and one for each key.

        One that binds no context is left out, with a line in the log.
        """
        found = []
        for name in sorted(self._names()):
            parsed = key_name.parse(name)
            if parsed is not None and parsed.project_id == project_id:
                try:
                    found.append(self.describe_key(name))
                except errors.NotFound:  # deleted since
                    continue
                except errors.InvalidArgument as exc:  # it must not hide all others
                    LOG.warning("key left out of a list: %s", exc.operator_message)
        return tuple(found)

    def create_key(self, project_id: str, name: str, *, request_token: str) -> KeyInfo:
        """Make a key; to make one that is there changes nothing at the server."""
        wanted = key_name.make(project_id, request_token, name)
        for known in sorted(self._names()):
            parsed = key_name.parse(known)
            if parsed is not None and parsed[:2] == wanted[:2]:
                return self.describe_key(known)
        self._ask(f"keys/{wanted}", {"type": "aes256-gcm96", "derived": True})
        crashpoint("encryption.vault.created")
        return self.describe_key(str(wanted))

    def set_key_enabled(self, key_id: str, *, enabled: bool) -> KeyInfo:
        """Delete it softly, as OpenBao calls it, or restore it; the server then refuses its use."""
        if not self._disables:
            return super().set_key_enabled(key_id, enabled=enabled)
        self.describe_key(key_id)
        with _translated(opens=False):
            if enabled:
                self._client.transit("POST", f"keys/{key_id}/soft-delete-restore", {})
            else:
                self._client.transit("DELETE", f"keys/{key_id}/soft-delete")
        return self.describe_key(key_id)

    def rotate_key(self, key_id: str) -> KeyInfo:
        """Make a new version at the server."""
        self.describe_key(key_id)
        self._ask(f"keys/{key_id}/rotate", {})
        crashpoint("encryption.vault.rotated")
        return self.describe_key(key_id)

    # ------------------------------------------------------------ inside

    def _names(self) -> list[str]:
        """Names of all transit keys, also those of others."""
        try:
            return list(map(str, self._client.transit("LIST", "keys").get("keys", ())))
        except vault_client.Refused as exc:
            if not exc.words:  # nothing is listed
                return []
            raise errors.Unavailable(
                "The key service does not work just now.", f"{exc}: look at mount and namespace"
            ) from exc

    def _ask(self, path: str, body: dict[str, Any], *, opens: bool = False) -> dict[str, Any]:
        with _translated(opens=opens):
            return self._client.transit("POST", path, body)


def _known(key_id: str) -> str:
    """The id, if it is one at all: it becomes part of a path. Raises NotFound."""
    if key_name.parse(key_id) is None:
        raise _not_found(key_id)
    return key_id


def _not_found(key_id: str) -> errors.NotFound:
    return errors.NotFound(f"There is no key {key_id}.")


def _derivation(context: Context) -> str:
    return base64.b64encode(key_wrap.canonical(context)).decode("ascii")


def _plain(answer: dict[str, Any]) -> bytes:
    try:
        return base64.b64decode(answer["plaintext"], validate=True)
    except (KeyError, TypeError, ValueError):
        raise _strange("no plaintext") from None  # the error would show it


def _data_key(plain: bytes, wrapped: bytes, version: int) -> DataKey:
    if len(plain) != DATA_KEY_BYTES:
        raise key_wrap.refusal()
    return DataKey(plain, wrapped, version)


def _packed(answer: dict[str, Any]) -> tuple[bytes, int]:
    """What is kept of the server's `vault:v<version>:<base64>`, and the version."""
    try:
        version, _, sealed = answer["ciphertext"].removeprefix("vault:v").partition(":")
        raw = base64.b64decode(sealed, validate=True)
        return _HEAD.pack(_FORMAT, int(version)) + raw, int(version)
    except (KeyError, AttributeError, ValueError, struct.error):
        raise _strange("no ciphertext of the form vault:v1:...") from None


def _strange(what: str) -> errors.Unavailable:
    return errors.Unavailable(
        "The key service does not work just now.", f"its answer has {what}: look at url"
    )


def _version(wrapped: bytes) -> int:
    """Under which version it was wrapped. Raises IntegrityError.

    The server takes version 0 for version 1, so it is refused here.
    """
    if len(wrapped) <= _HEAD.size:
        raise key_wrap.refusal()
    kind, version = _HEAD.unpack_from(wrapped)
    if kind != _FORMAT or not 1 <= version < 1 << 31:
        raise key_wrap.refusal()
    return int(version)


def _sealed(wrapped: bytes, context: Context) -> dict[str, Any]:
    version, sealed = _version(wrapped), base64.b64encode(wrapped[_HEAD.size :]).decode("ascii")
    return {"context": _derivation(context), "ciphertext": f"vault:v{version}:{sealed}"}


@contextlib.contextmanager
def _translated(*, opens: bool) -> Iterator[None]:
    """What the server refuses, as errors of drivers; `opens` where it was to open something."""
    try:
        yield
    except vault_client.Refused as exc:
        words = exc.words.lower()
        if exc.status == 404 or "key not found" in words or "no existing key" in words:
            raise errors.NotFound("There is no such key.", str(exc)) from None
        for word, meaning in _CLOSED.items():
            if word in words:
                raise errors.KeyUnavailable(meaning, str(exc)) from None
        if opens:
            raise key_wrap.refusal() from None
        raise errors.InvalidArgument("The key service refused the request.", str(exc)) from None
