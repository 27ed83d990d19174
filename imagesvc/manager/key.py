"""Keys of a project in the KMS: listed, made, disabled, rotated; and which is its default."""

import dataclasses
from collections.abc import Sequence

from imagesvc.backend.registry import Backends
from imagesvc.context import RequestContext
from imagesvc.db import attempt, default_key, image_key, metadata
from imagesvc.domain import image_property
from imagesvc.domain.encryption_key import DefaultKey
from imagesvc.domain.job import Job, JobType
from imagesvc.interface.encryption import EncryptionCapability, KeyInfo, KeyState
from imagesvc.interface.errors import KeyUnavailable, NotSupported
from imagesvc.manager import key_backend, project
from imagesvc.manager.job import JobManager
from imagesvc.manager.operation import SUCCESS, Operation, Step
from imagesvc.policy.check import Enforcer


@dataclasses.dataclass(frozen=True, slots=True)
class Key:
    """A key with the backend it is in, and whether it is the project's default."""

    backend_id: str
    info: KeyInfo
    default: bool


class KeyManager:
    """Asks the KMS for callers; every key belongs to a project."""

    def __init__(
        self,
        operation: Operation,
        enforcer: Enforcer,
        backends: Backends,
        jobs: JobManager,
        *,
        keys_max: int,
    ) -> None:
        self._operation = operation
        self._enforcer = enforcer
        self._backends = backends
        self._jobs = jobs
        self._keys_max = keys_max

    def list(self, ctx: RequestContext, backend_id: str | None = None) -> Sequence[Key]:
        """The keys of the caller's project. Raises Forbidden, BackendNotFound, DriverError."""
        with self._operation.look(ctx, "key:list", "key"):
            self._enforcer.authorize(ctx, "key:list")
        project_id = project.require(ctx, "keys")
        default = self._default(project_id)
        found = key_backend.list_all(self._backends, project_id, backend_id)
        return [Key(one, info, default == (one, info.id)) for one, info in found]

    def get(self, ctx: RequestContext, key_id: str) -> Key:
        """One of them. Raises Forbidden, KeyNotFound."""
        with self._operation.look(ctx, "key:get", "key", key_id):
            self._enforcer.authorize(ctx, "key:get")
            return self._find(ctx, key_id)

    def create(
        self, ctx: RequestContext, name: str, backend_id: str | None, request_token: str
    ) -> Key:
        """Make a key; a token that was used before gives the key of then.

        Raises Forbidden, TooLarge for more keys than a project may have, BackendNotFound,
        NotSupported where the KMS makes none.
        """
        with self._operation.attempt(ctx, "key:create", "key", "-") as step:
            self._enforcer.authorize(ctx, "key:create")
            project_id = project.require(ctx, "keys")
            backend_id = backend_id or self._backends.default_id("encryption") or ""
            self._require(backend_id, EncryptionCapability.CREATE_KEY, "makes no keys")
            there = key_backend.list_all(self._backends, project_id)
            image_property.check_limit("keys", len(there) + 1, self._keys_max)
            made = self._backends.encryption(backend_id).create_key(
                project_id, name, request_token=f"{project_id}:{request_token}"
            )
            step.target_id = made.id
            step.detail.update(name=name, backend=backend_id)
            with self._operation.database.write() as conn:
                self._operation.record(conn, ctx, "key:create", "key", step, SUCCESS)
        return Key(backend_id, made, False)

    def set_enabled(self, ctx: RequestContext, key_id: str, enabled: bool) -> Key:
        """Let a key open images, or no more. Raises Forbidden, KeyNotFound, NotSupported."""
        action = "key:enable" if enabled else "key:disable"
        with self._operation.attempt(ctx, action, "key", key_id) as step:
            self._enforcer.authorize(ctx, action)
            key = self._find(ctx, key_id)
            self._require(key.backend_id, EncryptionCapability.DISABLE_KEY, "disables no keys")
            self._record(ctx, action, step)
            with key_backend.found(key_id):
                driver = self._backends.encryption(key.backend_id)
                info = driver.set_key_enabled(key_id, enabled=enabled)
        return dataclasses.replace(key, info=info)

    @attempt.again
    def set_default(self, ctx: RequestContext, key_id: str) -> Key:
        """Make a key the default of the project. Raises Forbidden, KeyNotFound, KeyUnavailable."""
        with self._operation.attempt(ctx, "key:set_default", "key", key_id):
            key = self._find(ctx, key_id)
            if key.info.state != KeyState.ENABLED:
                raise KeyUnavailable(f"Key {key_id} is {key.info.state}.")
        with self._operation.write(ctx, "key:set_default", "key", key_id) as op:
            self._enforcer.authorize(ctx, "key:set_default")
            project_id = project.require(ctx, "keys")
            default_key.put(op.conn, DefaultKey(project_id, key.backend_id, key_id, metadata.now()))
        return dataclasses.replace(key, default=True)

    def rotate(self, ctx: RequestContext, key_id: str) -> tuple[Key, Job]:
        """Make a new version of a key, and a job that wraps all data keys under it anew.

        No byte of an image is moved. Raises Forbidden, KeyNotFound, NotSupported.
        """
        with self._operation.attempt(ctx, "key:rotate", "key", key_id) as step:
            self._enforcer.authorize(ctx, "key:rotate")
            key = self._find(ctx, key_id)
            self._require(key.backend_id, EncryptionCapability.ROTATE_KEY, "rotates no keys")
            self._record(ctx, "key:rotate", step)
            with key_backend.found(key_id):
                info = self._backends.encryption(key.backend_id).rotate_key(key_id)
            args = {"backend_id": key.backend_id, "key_id": key_id, "version": info.version}
            with self._operation.database.write() as conn:
                job = self._jobs.submit(conn, ctx, JobType.REWRAP_KEYS, args)
                count = image_key.count(conn, key.backend_id, key_id)
                step.detail.update(version=info.version, job_id=job.id, images=count)
                self._operation.record(conn, ctx, "key:rewrap", "key", step, SUCCESS)
        return dataclasses.replace(key, info=info), job

    def _record(self, ctx: RequestContext, action: str, step: Step) -> None:
        """Before the KMS does it, so that nothing happens which the trail does not know; what the
        KMS refuses is recorded after that as a failure."""
        with self._operation.database.write() as conn:
            self._operation.record(conn, ctx, action, "key", step, SUCCESS)

    def _find(self, ctx: RequestContext, key_id: str) -> Key:
        project_id = project.require(ctx, "keys")
        backend_id, info = key_backend.find(self._backends, project_id, key_id)
        return Key(backend_id, info, self._default(project_id) == (backend_id, key_id))

    def _default(self, project_id: str) -> tuple[str, str] | None:
        with self._operation.database.read() as conn:
            found = default_key.get(conn, project_id)
        return None if found is None else (found.backend_id, found.key_id)

    def _require(self, backend_id: str, capability: EncryptionCapability, lack: str) -> None:
        capabilities = self._backends.encryption(backend_id).info().capabilities
        if capability not in capabilities:
            raise NotSupported(f"The KMS {backend_id} {lack} for the service.")
