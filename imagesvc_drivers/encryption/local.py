"""Keys in a file of this machine, for one host or hosts with a common file system.

The service itself is the KMS: whoever reads the file has all keys. Nothing else protects it than
its mode.
"""

import time
from pathlib import Path
from typing import Any

from oslo_config import cfg

from imagesvc.crashpoint import crashpoint
from imagesvc.interface import base, encryption, errors
from imagesvc.interface.encryption import (
    Context,
    DataKey,
    EncryptionCapability,
    KeyInfo,
    KeyState,
)
from imagesvc_drivers.client import key_name, key_wrap
from imagesvc_drivers.encryption import local_file


class LocalEncryption(encryption.EncryptionDriver):
    """Keys of 256 bits by version; data keys are wrapped with AES-256-GCM."""

    contract = base.Version(1, 0)
    OPTS = (
        cfg.StrOpt(
            "path",
            default="${service.state_dir}/encryption/keys.json",
            help="File of the keys, made with mode 0600 if it is missing. All processes of the "
            "service share it. Who reads it can open all encrypted images; without it nobody "
            "can: keep a copy, apart from the images.",
        ),
    )

    def __init__(self, options: Any, *, backend_id: str) -> None:
        super().__init__(options, backend_id=backend_id)
        path = Path(options.path)
        if not path.is_absolute():
            raise errors.InvalidConfiguration("Option path needs an absolute path.")
        self._file = local_file.KeyFile(path)

    # -------------------------------------------------------------- life

    def open(self) -> None:
        """Make the file if it is missing. Raises Unavailable for one that must not be used."""
        self._file.open()

    def close(self) -> None:
        """Forget the keys that were read."""
        self._file.close()

    def info(self) -> base.DriverInfo:
        """Say what this driver is."""
        return base.DriverInfo(
            name="local",
            vendor="imagesvc",
            version="1.0",
            capabilities=frozenset(EncryptionCapability),
        )

    def health(self) -> base.Health:
        """Look at the file."""
        begun = time.perf_counter()
        try:
            self._file.read()
        except errors.DriverError as exc:
            return base.Health(base.HealthState.DOWN, exc.operator_message)
        return base.Health(base.HealthState.OK, "", (time.perf_counter() - begun) * 1000)

    # --------------------------------------------------------- data keys

    def generate_data_key(self, key_id: str, *, context: Context) -> DataKey:
        """A fresh data key under the newest version."""
        return self._wrap(self._usable(key_id), key_wrap.fresh_key(), context)

    def wrap_data_key(self, key_id: str, plain: bytes, *, context: Context) -> DataKey:
        """An existing data key under the newest version."""
        return self._wrap(self._usable(key_id), plain, context)

    def decrypt_data_key(self, key_id: str, wrapped: bytes, *, context: Context) -> DataKey:
        """Open a wrapped data key with the version that wrapped it."""
        return self._unwrap(self._usable(key_id), wrapped, context)

    def rewrap(self, key_id: str, wrapped: bytes, *, context: Context) -> tuple[bytes, int]:
        """The same data key under the newest version."""
        key = self._usable(key_id)
        with self._unwrap(key, wrapped, context) as opened:
            return _sealed(self._wrap(key, opened.plain, context))

    def reencrypt(
        self,
        key_id: str,
        wrapped: bytes,
        new_key_id: str,
        *,
        context: Context,
        new_context: Context,
    ) -> tuple[bytes, int]:
        """The same data key under another key."""
        key, new_key = self._usable(key_id), self._usable(new_key_id)
        with self._unwrap(key, wrapped, context) as opened:
            return _sealed(self._wrap(new_key, opened.plain, new_context))

    # -------------------------------------------------------------- keys

    def describe_key(self, key_id: str) -> KeyInfo:
        """What a key is."""
        return self._find(key_id).info

    def list_keys(self, project_id: str) -> tuple[KeyInfo, ...]:
        """The keys of a project, by id."""
        found = (key.info for key in self._file.read().values())
        return tuple(
            sorted((one for one in found if one.project_id == project_id), key=lambda one: one.id)
        )

    def create_key(self, project_id: str, name: str, *, request_token: str) -> KeyInfo:
        """Make a key; its id follows from the project and the token."""
        key_id = key_name.id_of(project_id, request_token)
        with self._file.changing() as keys:
            keys.setdefault(key_id, local_file.new(project_id, name))
        crashpoint("encryption.local.created")
        return self.describe_key(key_id)

    def set_key_enabled(self, key_id: str, *, enabled: bool) -> KeyInfo:
        """Let a key be used, or no more."""
        with self._file.changing() as keys:
            facts = _of(keys, key_id)
            facts["state"] = str(KeyState.ENABLED if enabled else KeyState.DISABLED)
        return self.describe_key(key_id)

    def rotate_key(self, key_id: str) -> KeyInfo:
        """Add a version."""
        with self._file.changing() as keys:
            facts = _of(keys, key_id)
            _require_enabled(KeyState(facts["state"]))
            facts["versions"].append(local_file.fresh_version())
        crashpoint("encryption.local.rotated")
        return self.describe_key(key_id)

    # ------------------------------------------------------------ inside

    def _find(self, key_id: str) -> local_file.Key:
        found: local_file.Key = _of(self._file.read(), key_id)
        return found

    def _usable(self, key_id: str) -> local_file.Key:
        key = self._find(key_id)
        _require_enabled(key.info.state)
        return key

    def _wrap(self, key: local_file.Key, plain: bytes, context: Context) -> DataKey:
        info = key.info
        return key_wrap.wrap(
            key.versions[-1], plain, key_id=info.id, version=info.version, context=context
        )

    def _unwrap(self, key: local_file.Key, wrapped: bytes, context: Context) -> DataKey:
        version = key_wrap.version_of(wrapped)
        if not 1 <= version <= key.info.version:
            raise key_wrap.refusal()
        return key_wrap.unwrap(
            key.versions[version - 1], wrapped, key_id=key.info.id, context=context
        )


def _of(keys: Any, key_id: str) -> Any:
    if key_id not in keys:
        raise errors.NotFound(f"There is no key {key_id}.")
    return keys[key_id]


def _require_enabled(state: KeyState) -> None:
    if state is not KeyState.ENABLED:
        raise errors.KeyUnavailable(f"The key is {state}.")


def _sealed(key: DataKey) -> tuple[bytes, int]:
    with key:
        return key.wrapped, key.version
