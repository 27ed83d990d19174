"""Encryption drivers keep key-encryption keys; data keys of images are wrapped by them.

A key of the KMS never leaves it; a data key does, for the bytes of one image. The cipher of the
bytes is the service's own business (`stream.envelope`), whatever the driver. Every key belongs to
a project. A `context` is a few names and values that are bound to a wrapped key: without exactly
them it is not opened again.
Law: no plain key shows in a log, a repr or an error.
"""

import abc
import dataclasses
import datetime
import enum
from collections.abc import Mapping
from types import TracebackType
from typing import Self

from imagesvc.interface import base, errors

VERSION = base.Version(1, 0)
DATA_KEY_BYTES = 32
WRAPPED_BYTES_MAX = 8192
KEY_ID_LENGTH_MAX = 255
Context = Mapping[str, str]


class EncryptionCapability(base.Capability):
    """What an encryption driver may offer beyond the required methods."""

    LIST_KEYS = "list-keys"
    CREATE_KEY = "create-key"
    DISABLE_KEY = "disable-key"
    ROTATE_KEY = "rotate-key"
    REWRAP_VERSION = "rewrap-version"
    REENCRYPT = "reencrypt"


class KeyState(enum.StrEnum):
    """Whether a key opens anything."""

    ENABLED = "enabled"
    DISABLED = "disabled"
    PENDING_DELETION = "pending-deletion"


@dataclasses.dataclass(frozen=True, slots=True)
class KeyInfo:
    """A key of the KMS; `version` is that under which new data keys are wrapped, from 1.

    An id has at most KEY_ID_LENGTH_MAX characters.
    """

    id: str
    project_id: str
    name: str = ""
    state: KeyState = KeyState.ENABLED
    version: int = 1
    algorithm: str = "AES-256-GCM"
    created_at: datetime.datetime | None = None


class DataKey:
    """A data key, plain and wrapped; a context manager that wipes the plain one on exit."""

    __slots__ = ("_plain", "version", "wrapped")

    def __init__(self, plain: bytes, wrapped: bytes, version: int = 1) -> None:
        if len(plain) != DATA_KEY_BYTES:
            raise errors.InvalidArgument(f"A data key has {DATA_KEY_BYTES} bytes.")
        self._plain = bytearray(plain)
        self.wrapped = wrapped
        self.version = version

    @property
    def plain(self) -> bytes:
        """The 32 bytes; zeros once it was wiped."""
        return bytes(self._plain)

    def wipe(self) -> None:
        """Forget the plain key; safe to repeat."""
        self._plain[:] = bytes(len(self._plain))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.wipe()

    def __repr__(self) -> str:
        return f"DataKey(version={self.version})"


class EncryptionDriver(base.Driver):
    """Keys that wrap data keys.

    Every method that names a key raises NotFound for one that is not there, and Unavailable while
    the KMS does not answer. Whose a key is, `describe_key` says; it is the caller who compares.
    """

    @abc.abstractmethod
    def generate_data_key(self, key_id: str, *, context: Context) -> DataKey:
        """A fresh random data key, wrapped under the newest version. Raises KeyUnavailable."""

    @abc.abstractmethod
    def wrap_data_key(self, key_id: str, plain: bytes, *, context: Context) -> DataKey:
        """An existing data key, wrapped under this key too.

        Raises KeyUnavailable, and InvalidArgument for other than DATA_KEY_BYTES.
        """

    @abc.abstractmethod
    def decrypt_data_key(self, key_id: str, wrapped: bytes, *, context: Context) -> DataKey:
        """Open a wrapped data key.

        Raises IntegrityError if `wrapped` or `context` is another than that of the wrapping, or
        another key wrapped it; KeyUnavailable if the key is disabled or pending deletion.
        """

    @abc.abstractmethod
    def describe_key(self, key_id: str) -> KeyInfo:
        """What a key is, whatever its state."""

    def list_keys(self, project_id: str) -> tuple[KeyInfo, ...]:
        """The keys of a project, by id (LIST_KEYS)."""
        raise errors.NotSupported("This KMS does not list its keys.")

    def create_key(self, project_id: str, name: str, *, request_token: str) -> KeyInfo:
        """Make a key; with a token that was used before, give the key of then (CREATE_KEY).

        Raises InvalidArgument for a name or project that the KMS cannot keep.
        """
        raise errors.NotSupported("This KMS makes no keys for the service.")

    def set_key_enabled(self, key_id: str, *, enabled: bool) -> KeyInfo:
        """Let a key open what it wrapped, or no more; safe to repeat (DISABLE_KEY)."""
        raise errors.NotSupported("This KMS disables no keys for the service.")

    def rotate_key(self, key_id: str) -> KeyInfo:
        """Make a new version; what older ones wrapped still opens (ROTATE_KEY).

        Each call makes one. Raises KeyUnavailable.
        """
        raise errors.NotSupported("This KMS rotates no keys for the service.")

    def rewrap(self, key_id: str, wrapped: bytes, *, context: Context) -> tuple[bytes, int]:
        """The same data key under the newest version, and that version (REWRAP_VERSION).

        The plain key is seen by nobody but the KMS. Raises as `decrypt_data_key`.
        """
        raise errors.NotSupported("This KMS does not re-wrap.")

    def reencrypt(
        self,
        key_id: str,
        wrapped: bytes,
        new_key_id: str,
        *,
        context: Context,
        new_context: Context,
    ) -> tuple[bytes, int]:
        """The same data key under another key, inside the KMS, and that key's version (REENCRYPT).

        Raises as `decrypt_data_key` for the first key, and KeyUnavailable for the other one.
        """
        raise errors.NotSupported("This KMS does not re-encrypt.")
