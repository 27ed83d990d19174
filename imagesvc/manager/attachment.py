"""Volumes at servers: given by the volume's backend, plugged in by the server's.

The volume is the first to know and the last to forget: as long as a server may use it, it says so,
and what a killed process left half done is finished or taken back by the next call.
"""

import contextlib
import logging
from collections.abc import Iterator, Sequence
from typing import Any

from imagesvc import errors
from imagesvc.backend.registry import Backends
from imagesvc.context import RequestContext
from imagesvc.interface import volume
from imagesvc.interface.errors import Busy, DriverError, NotFound
from imagesvc.manager import project, server_backend, volume_backend, volume_hold
from imagesvc.manager.operation import Operation
from imagesvc.policy.check import Enforcer

LOG = logging.getLogger(__name__)


class AttachmentManager:
    """Attaches and detaches volumes of the caller's project."""

    def __init__(self, operation: Operation, enforcer: Enforcer, backends: Backends) -> None:
        self._operation = operation
        self._enforcer = enforcer
        self._backends = backends

    def attach(self, ctx: RequestContext, server_id: str, volume_id: str) -> volume.Volume:
        """Attach a volume to a running or a stopped server; attached already is success.

        Raises ServerNotFound, VolumeNotFound, Forbidden, Busy if another server has it,
        NotSupported.
        """
        with self._acting(ctx, "volume:attach", server_id, volume_id) as project_id:
            compute_id, _ = server_backend.find(self._backends, project_id, server_id)
            backend_id, found = volume_backend.find(self._backends, project_id, volume_id)
            if found.server_id not in (None, server_id):
                self.settle(project_id, backend_id, found)
            driver = self._backends.volume(backend_id)
            connection = driver.connect(volume_id, server_id, project_id=project_id)
            try:
                self._backends.compute(compute_id).attach_volume(
                    server_id, connection, project_id=project_id
                )
            except DriverError as exc:
                # After an answer that was lost, or where something else goes on at the server, it
                # may have it: that is left to be asked again. Else the volume is free as it was.
                unsure = exc.retryable or isinstance(exc, Busy)
                if found.server_id != server_id and not unsure:
                    driver.disconnect(volume_id, server_id, project_id=project_id)
                if isinstance(exc, NotFound):
                    raise errors.ServerNotFound(server_id=server_id) from exc
                raise
        return driver.get_volume(volume_id, project_id=project_id)

    def detach(self, ctx: RequestContext, server_id: str, volume_id: str) -> None:
        """Detach a volume; of a server that is gone, too, and one that is gone from a server.

        Raises VolumeNotFound, AttachmentNotFound, Forbidden, Busy if the guest does not let go.
        """
        with self._acting(ctx, "volume:detach", server_id, volume_id) as project_id:
            try:
                backend_id, found = volume_backend.find(self._backends, project_id, volume_id)
            except errors.VolumeNotFound:
                if not self._unplug(project_id, server_id, volume_id, only_named=True):
                    raise
                return
            if found.server_id != server_id:
                raise errors.AttachmentNotFound(volume_id=volume_id, server_id=server_id)
            self._unplug(project_id, server_id, volume_id)
            self._backends.volume(backend_id).disconnect(
                volume_id, server_id, project_id=project_id
            )

    def _unplug(
        self, project_id: str, server_id: str, volume_id: str, *, only_named: bool = False
    ) -> bool:
        """Have the server let go of a volume; whether it named it. One that is gone has none."""
        try:
            compute_id, server = server_backend.find(self._backends, project_id, server_id)
            named = volume_id in server.volumes
            if named or not only_named:
                self._backends.compute(compute_id).detach_volume(
                    server_id, volume_id, project_id=project_id
                )
        except (errors.ServerNotFound, NotFound):
            return False
        return named

    def settle(self, project_id: str, backend_id: str, found: volume.Volume) -> None:
        """Free a volume whose server is gone from every compute backend."""
        try:
            server_backend.find(self._backends, project_id, found.server_id or "")
        except errors.ServerNotFound:  # deleted by a process that died before it said so
            self._backends.volume(backend_id).disconnect(
                found.volume_id, found.server_id or "", project_id=project_id
            )

    def release(self, project_id: str, server_id: str, volume_ids: Sequence[str]) -> None:
        """Free the volumes of a server that was deleted; one that fails is freed when it is used."""
        for volume_id in volume_ids:
            try:
                backend_id, _ = volume_backend.find(self._backends, project_id, volume_id)
                driver = self._backends.volume(backend_id)
                driver.disconnect(volume_id, server_id, project_id=project_id)
            except (DriverError, errors.ImagesvcError):  # the server is gone, which was asked
                LOG.warning(
                    "volume not freed volume_id=%s server_id=%s",
                    volume_id,
                    server_id,
                    exc_info=True,
                )

    @contextlib.contextmanager
    def _acting(
        self, ctx: RequestContext, action: str, server_id: str, volume_id: str
    ) -> Iterator[str]:
        """Authorize, act on the drivers outside any transaction, alone, then record."""
        detail: dict[str, Any] = {"server_id": server_id}
        with self._operation.attempt(ctx, action, "volume", volume_id, detail):
            self._enforcer.authorize(ctx, action)
            project_id = project.require(ctx, "volumes")
            held = volume_hold.hold(self._operation.database, project_id, volume_id)
            with held, volume_backend.found(volume_id):
                yield project_id
        with self._operation.write(ctx, action, "volume", volume_id, detail) as op:
            op.owner = project_id
