"""Servers of OpenStack Compute (API 2.1 with microversion 2.52 or later), through openstacksdk.

Nova takes images from its image service, and writes snapshots there. Where that is this service,
which it should be, a captured disk is taken over with the record that Nova made of it, and moved
nowhere. Nothing of long work is kept here; the cloud bears its marks.
"""

import time
from typing import Any, BinaryIO

from imagesvc.interface import base, compute, errors
from imagesvc.interface.compute import ComputeCapability, Server, ServerSpec
from imagesvc.interface.operation import Handle, Progress, ProgressState
from imagesvc_drivers.client import openstack_option
from imagesvc_drivers.compute.nova import option, work

_CONSOLE_BYTES_MAX = 1 << 20


class NovaCompute(compute.ComputeDriver):
    """Servers with a system disk each, in the project of whoever asks."""

    contract = base.Version(1, 3)
    OPTS = option.OPTS

    def __init__(self, options: Any, *, backend_id: str) -> None:
        super().__init__(options, backend_id=backend_id)
        endpoints = {"compute": options.endpoint, "image": options.image_endpoint}
        self._cloud = openstack_option.cloud(options, "nova", "Nova", endpoints)
        # Only now: they need openstacksdk.
        from imagesvc_drivers.compute.nova import creation, image_facts, server_call, server_view
        from imagesvc_drivers.compute.nova import snapshot as snapshots

        self._servers = server_call.Servers(self._cloud, options.power_wait_s)
        self._images = image_facts.Images(self._cloud)
        self._creation = creation.Creation(self._cloud, self._servers, self._images, options)
        self._snapshotting = snapshots.Snapshotting(self._cloud, self._servers, self._images)
        self._view = server_view

    def close(self) -> None:
        """Let go of connections and tokens."""
        self._cloud.close()

    def info(self) -> base.DriverInfo:
        """Say what this driver is."""
        return base.DriverInfo(
            name="nova",
            vendor="imagesvc",
            version="1.0",
            capabilities=frozenset({ComputeCapability.SNAPSHOT_IMAGE}),
        )

    def health(self) -> base.Health:
        """Ask Nova for one server of the service's own project."""
        begun = time.perf_counter()
        try:
            with self._cloud.calling():
                next(iter(self._cloud.own().compute.servers(details=False, limit=1)), None)
        except errors.DriverError as exc:
            return base.Health(base.HealthState.DOWN, exc.operator_message)
        return base.Health(base.HealthState.OK, "", (time.perf_counter() - begun) * 1000)

    def get_server(self, server_id: str, *, project_id: str) -> Server:
        """Describe one server."""
        return self._described(self._servers.find(project_id, server_id))

    def list_servers(
        self, project_id: str, *, after: str | None = None, limit: int = 100
    ) -> list[Server]:
        """List a project's servers ordered by id."""
        return [self._described(each) for each in self._servers.page(project_id, after, limit)]

    def start_create(self, spec: ServerSpec, count: int, token: str) -> Handle:
        """Let Nova make `count` servers of the smallest flavor that fits."""
        return self._creation.start(spec, count, token)

    def start_server(self, server_id: str, *, project_id: str) -> None:
        """Boot a stopped server, and wait until Nova says so."""
        self._servers.start(project_id, server_id)

    def stop_server(self, server_id: str, *, project_id: str) -> None:
        """Power a server off, and wait until Nova says so."""
        self._servers.stop(project_id, server_id)

    def delete_server(self, server_id: str, *, project_id: str) -> None:
        """Delete it; volumes stay."""
        self._servers.delete(project_id, server_id)

    def start_snapshot(
        self, server_id: str, disk_id: str, token: str, *, project_id: str, quiesce: bool = False
    ) -> Handle:
        """Let Nova write an image of the system disk."""
        if quiesce:
            raise errors.NotSupported("This compute backend does not freeze guests on demand.")
        return self._snapshotting.start(project_id, server_id, disk_id, token)

    def snapshot_size(self, snapshot_id: str) -> int:
        """Size of the raw disk."""
        return self._snapshotting.size(snapshot_id)

    def open_snapshot(self, snapshot_id: str, *, offset: int = 0) -> BinaryIO:
        """Read the raw bytes of a snapshot through the image service."""
        return self._snapshotting.open(snapshot_id, offset)

    def snapshot_image(self, snapshot_id: str) -> str:
        """The image that Nova wrote."""
        return self._snapshotting.image_id(snapshot_id)

    def delete_snapshot(self, snapshot_id: str) -> None:
        """Delete the image that Nova wrote."""
        self._snapshotting.remove(snapshot_id)

    def read_console(self, server_id: str, *, project_id: str, offset: int = 0) -> bytes:
        """What Nova still has of the console's log, its last 100 KiB with libvirt."""
        return self._servers.console(project_id, server_id)[offset:][:_CONSOLE_BYTES_MAX]

    def poll(self, handle: Handle) -> Progress:
        """Look in the cloud how far the work is."""
        asked = work.parse(handle)
        if asked.kind == work.REFUSED:
            return Progress(ProgressState.FAILED, error=asked.subject)
        progress: Progress = self._crew(asked).poll(asked)
        return progress

    def cancel(self, handle: Handle) -> None:
        """Take back what was made; ended work is left as it is."""
        asked = work.parse(handle)
        if asked.kind != work.REFUSED:
            self._crew(asked).cancel(asked)

    def _crew(self, asked: work.Work) -> Any:
        return self._creation if asked.kind == work.CREATE else self._snapshotting

    def _described(self, server: Any) -> Server:
        source = self._view.image_id(server)
        return self._view.describe(server, self._images.facts(server.project_id, source))
