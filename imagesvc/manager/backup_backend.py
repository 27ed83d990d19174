"""Which backup backend a backup is on: there is no row of it, so the backends are asked."""

from collections.abc import Sequence

from imagesvc import errors
from imagesvc.backend.registry import Backends
from imagesvc.interface import backup
from imagesvc.manager import backend_search


def find(
    backends: Backends, project_id: str, backup_id: str, backend_id: str | None = None
) -> tuple[str, backup.Backup]:
    """The id of a backup's backend, and the backup; as servers are found. Raises BackupNotFound."""

    def ask(one: str) -> backup.Backup:
        return backends.backup(one).get_backup(backup_id, project_id=project_id)

    missing = errors.BackupNotFound(backup_id=backup_id)
    return backend_search.find(backends, "backup", backend_id, ask, missing)


def list_page(
    backends: Backends,
    project_id: str,
    backend_id: str | None = None,
    marker: str | None = None,
    limit: int = 100,
) -> Sequence[backup.Backup]:
    """A project's backups of one or of all backends, by id, those after `marker`."""

    def ask(one: str) -> Sequence[backup.Backup]:
        return backends.backup(one).list_backups(project_id, after=marker, limit=limit)

    return backend_search.list_page(
        backends, "backup", backend_id, ask, lambda found: found.backup_id, limit
    )
