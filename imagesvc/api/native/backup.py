"""Backups of servers."""

import datetime
from typing import Annotated

import falcon
import msgspec

from imagesvc.api import validate
from imagesvc.api.native import idempotency, query, views
from imagesvc.domain.job import Job
from imagesvc.manager import backup as backups

Text = Annotated[str, msgspec.Meta(min_length=1, max_length=255)]


class NewBackup(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Body of a creation: all disks of the server, at one instant. `quiesce` freezes the guest's
    file systems at that instant, if it answers.
    """

    name: Text
    server_id: Text
    quiesce: bool = False
    compute_id: Text | None = None
    backend_id: Text | None = None


class NewRestoration(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Body of a restoration: the new server; `memory_mib` in MiB, without it what the server had."""

    name: Text
    memory_mib: Annotated[int, msgspec.Meta(ge=16, le=16_777_216)] | None = None
    vcpus: Annotated[int, msgspec.Meta(ge=1, le=1024)] = 1
    compute_id: Text | None = None


class BackupsResource:
    """The project's backups."""

    def __init__(self, manager: backups.BackupManager) -> None:
        self._backups = manager

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """List by id."""
        page = query.page(req, {"backend_id"})
        found = self._backups.list(
            req.context.caller,
            backend_id=query.text(req, "backend_id"),
            marker=page.marker,
            limit=page.limit,
        )
        resp.media = query.answer("backups", found, page, views.backup, lambda b: b.backup_id)

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Start a job that backs a server up."""
        body = validate.body(req, NewBackup)
        job = self._backups.create(
            req.context.caller,
            name=body.name,
            server_id=body.server_id,
            quiesce=body.quiesce,
            compute_id=body.compute_id,
            backend_id=body.backend_id,
            idempotency_key=idempotency.key(req),
        )
        _started(resp, job)


class BackupResource:
    """One backup."""

    def __init__(self, manager: backups.BackupManager) -> None:
        self._backups = manager

    def on_get(self, req: falcon.Request, resp: falcon.Response, backup_id: str) -> None:
        """Show it."""
        query.known(req, set())
        resp.media = {"backup": views.backup(self._backups.get(req.context.caller, backup_id))}

    def on_delete(self, req: falcon.Request, resp: falcon.Response, backup_id: str) -> None:
        """Start a job that removes it; one that is read just now is refused."""
        query.known(req, set())
        _started(resp, self._backups.delete(req.context.caller, backup_id))


class BackupRestoreResource:
    """Making a server of a backup."""

    def __init__(self, manager: backups.BackupManager) -> None:
        self._backups = manager

    def on_post(self, req: falcon.Request, resp: falcon.Response, backup_id: str) -> None:
        """Start a job that makes it."""
        body = validate.body(req, NewRestoration)
        job = self._backups.restore(
            req.context.caller,
            backup_id,
            name=body.name,
            memory_mib=body.memory_mib,
            vcpus=body.vcpus,
            compute_id=body.compute_id,
            idempotency_key=idempotency.key(req),
        )
        _started(resp, job)


def _started(resp: falcon.Response, job: Job) -> None:
    resp.status = falcon.HTTP_202
    resp.media = {"job": views.job(job, datetime.datetime.now(datetime.UTC))}
