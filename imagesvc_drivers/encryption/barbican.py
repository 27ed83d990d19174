"""Keys kept in Barbican (Key Manager API v1), which stores secrets and wraps nothing.

A version of a key is a secret of the service's own project: its name, written as `client.key_name`
has it, says whose key it is, and is the key's id; its `mode` says which version it is. This process
fetches it for each call and wraps data keys itself, so a secret that was deleted opens nothing from
then on. Needs the extra `openstack`.
"""

import itertools
from typing import Any

from imagesvc.crashpoint import crashpoint
from imagesvc.interface import base, encryption, errors
from imagesvc.interface.encryption import Context, DataKey, EncryptionCapability, KeyInfo
from imagesvc_drivers.client import key_name, key_wrap, openstack_option, probe
from imagesvc_drivers.encryption import barbican_secret
from imagesvc_drivers.encryption.barbican_secret import Secret


class BarbicanEncryption(encryption.EncryptionDriver):
    """Data keys are wrapped here, with AES-256-GCM, by keys that Barbican keeps."""

    contract = base.Version(1, 0)
    OPTS = openstack_option.OPTS

    def __init__(self, options: Any, *, backend_id: str) -> None:
        super().__init__(options, backend_id=backend_id)
        self._cloud = openstack_option.cloud(
            options, "barbican", "The key service", {"key_manager": options.endpoint}
        )
        self._secrets = barbican_secret.Secrets(self._cloud)
        self._probe = probe.Probe(self._secrets.ask)

    # -------------------------------------------------------------- life

    def close(self) -> None:
        """Let go of connections."""
        self._cloud.close()

    def info(self) -> base.DriverInfo:
        """Say what this driver is."""
        return base.DriverInfo(
            name="barbican",
            vendor="imagesvc",
            version="1.0",
            capabilities=frozenset(EncryptionCapability) - {EncryptionCapability.DISABLE_KEY},
        )

    def health(self) -> base.Health:
        """Ask Barbican for one secret of the service's project."""
        return self._probe.health()

    # --------------------------------------------------------- data keys

    def generate_data_key(self, key_id: str, *, context: Context) -> DataKey:
        """A fresh data key under the newest version."""
        return self._wrap(key_id, key_wrap.fresh_key(), context)

    def wrap_data_key(self, key_id: str, plain: bytes, *, context: Context) -> DataKey:
        """An existing data key under the newest version."""
        return self._wrap(key_id, plain, context)

    def decrypt_data_key(self, key_id: str, wrapped: bytes, *, context: Context) -> DataKey:
        """Open a wrapped data key with the version that wrapped it."""
        version = key_wrap.version_of(wrapped)
        # Two rotations at once make two secrets of one version.
        for secret in [one for one in self._versions(key_id) if one.version == version]:
            try:
                return key_wrap.unwrap(
                    self._secrets.fetch(secret), wrapped, key_id=key_id, context=context
                )
            except errors.IntegrityError:  # the other one may have wrapped it
                continue
        raise key_wrap.refusal()

    def rewrap(self, key_id: str, wrapped: bytes, *, context: Context) -> tuple[bytes, int]:
        """The same data key under the newest version; seen by this driver alone."""
        return self.reencrypt(key_id, wrapped, key_id, context=context, new_context=context)

    def reencrypt(
        self,
        key_id: str,
        wrapped: bytes,
        new_key_id: str,
        *,
        context: Context,
        new_context: Context,
    ) -> tuple[bytes, int]:
        """The same data key under another key; seen by this driver alone."""
        with (
            self.decrypt_data_key(key_id, wrapped, context=context) as opened,
            self._wrap(new_key_id, opened.plain, new_context) as made,
        ):
            return made.wrapped, made.version

    # -------------------------------------------------------------- keys

    def describe_key(self, key_id: str) -> KeyInfo:
        """What a key is."""
        return _info(key_id, self._versions(key_id))

    def list_keys(self, project_id: str) -> tuple[KeyInfo, ...]:
        """The keys of a project, by id; all secrets of the service's project are read."""
        mine = [
            secret
            for secret in self._secrets.every()
            if (name := key_name.parse(secret.name)) and name.project_id == project_id
        ]
        mine.sort(key=lambda secret: (secret.name, secret.version))
        grouped = itertools.groupby(mine, key=lambda secret: secret.name)
        return tuple(_info(key_id, list(versions)) for key_id, versions in grouped)

    def create_key(self, project_id: str, name: str, *, request_token: str) -> KeyInfo:
        """Make a key. Two requests at once with one token make two secrets of one key."""
        wanted = key_name.make(project_id, request_token, name)
        for secret in self._secrets.every():
            known = key_name.parse(secret.name)
            if known is not None and known[:2] == wanted[:2]:
                return self.describe_key(secret.name)
        self._secrets.store(str(wanted), 1)
        crashpoint("encryption.barbican.created")
        return self.describe_key(str(wanted))

    def rotate_key(self, key_id: str) -> KeyInfo:
        """Make a secret more."""
        self._secrets.store(key_id, self._versions(key_id)[-1].version + 1)
        crashpoint("encryption.barbican.rotated")
        return self.describe_key(key_id)

    # ------------------------------------------------------------ inside

    def _wrap(self, key_id: str, plain: bytes, context: Context) -> DataKey:
        newest = self._versions(key_id)[-1]
        return key_wrap.wrap(
            self._secrets.fetch(newest),
            plain,
            key_id=key_id,
            version=newest.version,
            context=context,
        )

    def _versions(self, key_id: str) -> list[Secret]:
        """The versions of a key, of which there is one at least. Raises NotFound."""
        found = self._secrets.named(key_id) if key_name.parse(key_id) else []
        if not found:
            raise errors.NotFound(f"There is no key {key_id}.")
        return found


def _info(key_id: str, versions: list[Secret]) -> KeyInfo:
    name = key_name.parse(key_id)
    if name is None:
        raise errors.NotFound(f"There is no key {key_id}.")
    return KeyInfo(
        id=key_id,
        project_id=name.project_id,
        name=name.name,
        version=max(one.version for one in versions),
        created_at=min(one.created_at for one in versions),
    )
