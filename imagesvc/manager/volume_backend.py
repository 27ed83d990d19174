"""Which volume backend a volume lives on: there is no row of it, so the backends are asked."""

import contextlib
from collections.abc import Iterator, Sequence

from imagesvc import errors
from imagesvc.backend.registry import Backends
from imagesvc.interface import volume
from imagesvc.interface.errors import NotFound
from imagesvc.manager import backend_search


def find(
    backends: Backends, project_id: str, volume_id: str, backend_id: str | None = None
) -> tuple[str, volume.Volume]:
    """The id of a volume's backend, and the volume; as servers are found. Raises VolumeNotFound."""

    def ask(one: str) -> volume.Volume:
        return backends.volume(one).get_volume(volume_id, project_id=project_id)

    missing = errors.VolumeNotFound(volume_id=volume_id)
    return backend_search.find(backends, "volume", backend_id, ask, missing)


def list_page(
    backends: Backends,
    project_id: str,
    backend_id: str | None = None,
    marker: str | None = None,
    limit: int = 100,
) -> Sequence[volume.Volume]:
    """A project's volumes of one or of all backends, by id, those after `marker`."""

    def ask(one: str) -> Sequence[volume.Volume]:
        return backends.volume(one).list_volumes(project_id, after=marker, limit=limit)

    return backend_search.list_page(
        backends, "volume", backend_id, ask, lambda found: found.volume_id, limit
    )


@contextlib.contextmanager
def found(volume_id: str) -> Iterator[None]:
    """What a driver calls not found is this volume."""
    try:
        yield
    except NotFound as exc:
        raise errors.VolumeNotFound(volume_id=volume_id) from exc
