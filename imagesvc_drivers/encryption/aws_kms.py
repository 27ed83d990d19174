"""Keys of AWS Key Management Service (API of 2014-11-01), through boto3.

A key belongs to the project that its tag `imagesvc-project` names; `imagesvc-name` is its name there.
A project's keys are found by their aliases, `alias/imagesvc/<project>/<anything>`; those that the
service makes have an id of the request's token there, which makes two requests for one key one. The
context is the encryption context, which CloudTrail shows. A version cannot be told from what it
wrapped, and KMS opens by itself what older ones wrapped: rotate keys there. Needs the extra `aws_kms`.
"""

import contextlib
import re
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
from imagesvc_drivers.client import key_name, probe
from imagesvc_drivers.encryption import aws_kms_client

PROJECT_TAG, NAME_TAG = "imagesvc-project", "imagesvc-name"
_ALIAS = "alias/imagesvc"
_PROJECT = re.compile(r"[A-Za-z0-9_-]{1,128}")
# What a tag's value may hold.
_NAME = re.compile(r"[\w +=.:/@-]{0,256}")
_KEY_ID = re.compile(r"(?:mrk-)?[0-9a-f-]{32,36}")
_DELETION_DAYS = 7
_STATES = {
    "Enabled": KeyState.ENABLED,
    "PendingDeletion": KeyState.PENDING_DELETION,
    "PendingReplicaDeletion": KeyState.PENDING_DELETION,
}


class AwsKmsEncryption(encryption.EncryptionDriver):
    """Symmetric keys of one account and region."""

    contract = base.Version(1, 0)
    OPTS = aws_kms_client.OPTS

    def __init__(self, options: Any, *, backend_id: str) -> None:
        super().__init__(options, backend_id=backend_id)
        self._client = aws_kms_client.KmsClient(options)
        self._probe = probe.Probe(self._ask)

    # -------------------------------------------------------------- life

    def open(self) -> None:
        """Look whether the credentials work. Raises Unavailable, AccessDenied."""
        self._ask()

    def close(self) -> None:
        """Let go of connections."""
        self._client.close()

    def info(self) -> base.DriverInfo:
        """Say what this driver is."""
        return base.DriverInfo(
            name="aws_kms",
            vendor="imagesvc",
            version="1.0",
            capabilities=frozenset(
                {
                    EncryptionCapability.LIST_KEYS,
                    EncryptionCapability.CREATE_KEY,
                    EncryptionCapability.DISABLE_KEY,
                    EncryptionCapability.REENCRYPT,
                }
            ),
        )

    def health(self) -> base.Health:
        """Ask for one alias."""
        return self._probe.health()

    def _ask(self) -> None:
        self._client.call("list_aliases", Limit=1)

    # --------------------------------------------------------- data keys

    def generate_data_key(self, key_id: str, *, context: Context) -> DataKey:
        """A fresh data key, made by KMS."""
        answer = self._client.call(
            "generate_data_key",
            KeyId=_known(key_id),
            KeySpec="AES_256",
            EncryptionContext=dict(context),
        )
        return DataKey(answer["Plaintext"], answer["CiphertextBlob"])

    def wrap_data_key(self, key_id: str, plain: bytes, *, context: Context) -> DataKey:
        """An existing data key, sealed by KMS."""
        if len(plain) != DATA_KEY_BYTES:
            raise errors.InvalidArgument(f"A data key has {DATA_KEY_BYTES} bytes.")
        answer = self._client.call(
            "encrypt", KeyId=_known(key_id), Plaintext=plain, EncryptionContext=dict(context)
        )
        return DataKey(plain, answer["CiphertextBlob"])

    def decrypt_data_key(self, key_id: str, wrapped: bytes, *, context: Context) -> DataKey:
        """Open a wrapped data key at KMS."""
        answer = self._client.call(
            "decrypt",
            KeyId=_known(key_id),
            CiphertextBlob=_blob(wrapped),
            EncryptionContext=dict(context),
        )
        if len(answer["Plaintext"]) != DATA_KEY_BYTES:
            raise aws_kms_client.refusal()
        return DataKey(answer["Plaintext"], wrapped)

    def reencrypt(
        self,
        key_id: str,
        wrapped: bytes,
        new_key_id: str,
        *,
        context: Context,
        new_context: Context,
    ) -> tuple[bytes, int]:
        """The same data key under another key; only KMS sees it."""
        answer = self._client.call(
            "re_encrypt",
            SourceKeyId=_known(key_id),
            CiphertextBlob=_blob(wrapped),
            SourceEncryptionContext=dict(context),
            DestinationKeyId=_known(new_key_id),
            DestinationEncryptionContext=dict(new_context),
        )
        return answer["CiphertextBlob"], 1

    # -------------------------------------------------------------- keys

    def describe_key(self, key_id: str) -> KeyInfo:
        """What a key is; one without a project's tag is not found."""
        return self._describe(_known(key_id))

    def list_keys(self, project_id: str) -> tuple[KeyInfo, ...]:
        """The keys of a project, by id; all aliases are read, a hundred at a time."""
        if not _PROJECT.fullmatch(project_id):
            return ()
        found: dict[str, KeyInfo] = {}
        for alias in self._client.pages("list_aliases", "Aliases"):
            target = alias.get("TargetKeyId")
            if target and alias["AliasName"].startswith(f"{_ALIAS}/{project_id}/"):
                with contextlib.suppress(errors.NotFound):  # deleted since, or without a tag
                    found[target] = self._describe(target)
        mine = (key for key in found.values() if key.project_id == project_id)
        return tuple(sorted(mine, key=lambda key: key.id))

    def create_key(self, project_id: str, name: str, *, request_token: str) -> KeyInfo:
        """Make a key, and an alias of the token's, which KMS gives to one key alone.

        A kill between the two leaves a key without an alias, which nobody uses.
        """
        if not _PROJECT.fullmatch(project_id) or not _NAME.fullmatch(name):
            raise errors.InvalidArgument("AWS KMS cannot keep this name or project id as a tag.")
        alias = f"{_ALIAS}/{project_id}/{key_name.id_of(project_id, request_token)}"
        with contextlib.suppress(errors.NotFound):
            return self._describe(alias)
        tags = [
            {"TagKey": tag, "TagValue": value}
            for tag, value in ((PROJECT_TAG, project_id), (NAME_TAG, name))
        ]
        made = self._client.call("create_key", Description=f"imagesvc: {name}", Tags=tags)
        key_id = made["KeyMetadata"]["KeyId"]
        crashpoint("encryption.aws_kms.created")
        try:
            self._client.call("create_alias", AliasName=alias, TargetKeyId=key_id)
        except errors.AlreadyExists:
            self._client.call(
                "schedule_key_deletion", KeyId=key_id, PendingWindowInDays=_DELETION_DAYS
            )
        return self._describe(alias)

    def set_key_enabled(self, key_id: str, *, enabled: bool) -> KeyInfo:
        """Enable or disable it at KMS."""
        self.describe_key(key_id)
        self._client.call("enable_key" if enabled else "disable_key", KeyId=key_id)
        return self.describe_key(key_id)

    def _describe(self, key: str) -> KeyInfo:
        """One key by its id or alias."""
        facts = self._client.call("describe_key", KeyId=key)["KeyMetadata"]
        tags = {
            tag["TagKey"]: tag["TagValue"]
            for tag in self._client.pages("list_resource_tags", "Tags", KeyId=facts["KeyId"])
        }
        if PROJECT_TAG not in tags:
            raise errors.NotFound("There is no such key.", f"{key} has no tag {PROJECT_TAG}")
        return KeyInfo(
            id=facts["KeyId"],
            project_id=tags[PROJECT_TAG],
            name=tags.get(NAME_TAG, ""),
            state=_STATES.get(facts["KeyState"], KeyState.DISABLED),
            created_at=facts["CreationDate"],
        )


def _known(key_id: str) -> str:
    """The id, if it is one at all: KMS also takes aliases and keys of other accounts."""
    if not _KEY_ID.fullmatch(key_id):
        raise errors.NotFound(f"There is no key {key_id}.")
    return key_id


def _blob(wrapped: bytes) -> bytes:
    if not 0 < len(wrapped) <= encryption.WRAPPED_BYTES_MAX:
        raise aws_kms_client.refusal()
    return wrapped
