"""Data keys of encrypted images: made, opened and handed on by way of the KMS that wraps them."""

import dataclasses
import functools
import threading
import time
from typing import NamedTuple, Self

from imagesvc import errors
from imagesvc.backend.registry import Backends
from imagesvc.context import RequestContext
from imagesvc.db import default_key, image_key
from imagesvc.db.engine import Database
from imagesvc.domain.encryption_key import DEFAULT, DefaultKey, ImageKey
from imagesvc.domain.image import Image
from imagesvc.errors import Reason
from imagesvc.interface.encryption import KeyState
from imagesvc.interface.errors import KeyUnavailable, NotFound
from imagesvc.manager import image_use, key_backend, project
from imagesvc.stream.encrypted import EncryptedStorage

# A reader asks for the key with each range of a disk: the KMS is asked once in so many seconds.
_KEPT_S = 1.0
_KEPT_MAX = 256


class _Kept(NamedTuple):
    until: float
    plain: bytes


class DataKeys:
    """Of all images of this installation, for one process; any threads."""

    def __init__(self, database: Database, backends: Backends) -> None:
        self._database = database
        self._backends = backends
        self._lock = threading.Lock()
        self._kept: dict[str, _Kept] = {}

    @classmethod
    def attached(cls, database: Database, backends: Backends) -> Self:
        """With it, all who ask the backends for a store read and write encrypted images as plain."""
        keys = cls(database, backends)
        backends.wrap_storage(functools.partial(EncryptedStorage, data_key=keys.open))
        return keys

    def make(self, ctx: RequestContext, image_id: str, key_id: str) -> ImageKey:
        """A fresh data key for an image of the caller's project, wrapped under one of its keys.

        Raises KeyNotFound, KeyUnavailable, Forbidden without a project, InvalidRequest
        (KEY_MISSING), and what the KMS raises.
        """
        project_id = project.require(ctx, "keys")
        backend_id, key_id = self._resolve(project_id, key_id)
        place = ImageKey(image_id, project_id, backend_id, key_id, 1, b"")
        driver = self._backends.encryption(backend_id)
        with (
            key_backend.found(key_id),
            driver.generate_data_key(key_id, context=place.context) as made,
        ):
            return dataclasses.replace(place, version=made.version, wrapped=made.wrapped)

    def _resolve(self, project_id: str, key_id: str) -> tuple[str, str]:
        """Where the key is that a caller names. Raises KeyNotFound, KeyUnavailable."""
        if key_id == DEFAULT:
            found = self.default(project_id)
            return found.backend_id, found.key_id
        backend_id, info = key_backend.find(self._backends, project_id, key_id)
        if info.state != KeyState.ENABLED:
            raise KeyUnavailable(f"Key {key_id} is {info.state}.")
        return backend_id, key_id

    def default(self, project_id: str) -> DefaultKey:
        """The default key of a project. Raises InvalidRequest (KEY_MISSING), naming the project."""
        with self._database.read() as conn:
            found = default_key.get(conn, project_id)
        if found is None:
            raise _no_default(project_id)
        return found

    def open(self, image_id: str) -> bytes:
        """The data key, as the project that has the image opens it; for the service's own work.

        Raises ImageGone if the image has none, KeyUnavailable, IntegrityError, and what the KMS
        raises. A key that is disabled is noticed within a second.
        """
        with self._lock:
            self._drop()
            if image_id in self._kept:
                return self._kept[image_id].plain
        with self._database.read() as conn:
            row = image_key.of_owner(conn, image_id)
        if row is None:
            raise errors.ImageGone(image_id=image_id)
        plain = self._open(row)
        self._keep(image_id, plain)
        return plain

    def _open(self, row: ImageKey) -> bytes:
        driver = self._backends.encryption(row.backend_id)
        try:
            with driver.decrypt_data_key(row.key_id, row.wrapped, context=row.context) as opened:
                return opened.plain
        except NotFound as exc:  # of the key, where callers would take it for the image
            raise KeyUnavailable(
                f"Key {row.key_id} is gone from its KMS; what it wrapped opens no more.",
                exc.operator_message,
            ) from exc

    def require(self, ctx: RequestContext, image: Image) -> None:
        """Ask the KMS now whether the caller's project opens the image, if it is encrypted.

        A key of the owner that is disabled stops its members too.
        Raises Forbidden (KEY_MISSING), KeyUnavailable, and what the KMS raises.
        """
        if image.key_id is None:
            return
        with self._database.read() as conn:
            rows = [image_use.require_key(conn, ctx, image)]
            if image.owner != ctx.project_id:
                rows.append(image_key.of_owner(conn, image.id))
        for row in rows:
            if row is None:
                raise errors.ImageGone(image_id=image.id)
            plain = self._open(row)
            if row.project_id == image.owner:  # what a member's key opens is the member's alone
                self._keep(image.id, plain)

    def offer(self, image: Image, project_id: str) -> ImageKey:
        """The data key of an encrypted image wrapped for another project, under its default key.

        Raises InvalidRequest (KEY_MISSING) if it has no default key.
        """
        default = self.default(project_id)
        plain = self.open(image.id)
        place = ImageKey(image.id, project_id, default.backend_id, default.key_id, 1, b"")
        driver = self._backends.encryption(default.backend_id)
        try:
            with driver.wrap_data_key(default.key_id, plain, context=place.context) as made:
                return dataclasses.replace(place, version=made.version, wrapped=made.wrapped)
        except NotFound as exc:  # a key that is gone from its KMS is none, and not the caller's
            raise _no_default(project_id) from exc

    def _keep(self, image_id: str, plain: bytes) -> None:
        with self._lock:
            self._drop()
            if len(self._kept) < _KEPT_MAX:
                self._kept[image_id] = _Kept(time.monotonic() + _KEPT_S, plain)

    def _drop(self) -> None:
        """Forget those whose time is over; under the lock."""
        now = time.monotonic()
        self._kept = {one: kept for one, kept in self._kept.items() if kept.until > now}


def _no_default(project_id: str) -> errors.InvalidRequest:
    return errors.InvalidRequest(
        "Project {project_id} has no default key: one of its members chooses it first.",
        project_id=project_id,
        reason=Reason.KEY_MISSING,
    )
