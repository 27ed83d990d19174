"""Volume drivers that each break one promise; all else is as in the driver `local`."""

import dataclasses
import io
import uuid

from imagesvc.interface import base, errors
from imagesvc.interface.operation import Progress, ProgressState
from imagesvc.interface.volume import Volume, VolumeCapability
from imagesvc_drivers.volume import local_task
from imagesvc_drivers.volume.local import LocalVolume


class LongHandle(LocalVolume):
    def start_create(self, spec, count, token):
        return super().start_create(spec, count, token) + " " * 2000


class NoToken(LocalVolume):
    def start_create(self, spec, count, token):
        return super().start_create(spec, count, uuid.uuid4().hex)


class OwnTokens(LocalVolume):
    """Knows the tokens that it was given itself."""

    def start_create(self, spec, count, token):
        known = self.__dict__.setdefault("known", {})
        known.setdefault(token, f"{token} {uuid.uuid4()}")
        return super().start_create(spec, count, known[token])


class OwnWork(LocalVolume):
    def poll(self, handle):
        if handle not in self.__dict__.get("mine", ()):
            raise errors.NotFound("That is somebody else's.")
        return super().poll(handle)

    def start_create(self, spec, count, token):
        handle = super().start_create(spec, count, token)
        self.__dict__.setdefault("mine", set()).add(handle)
        return handle


class UnknownRuns(LocalVolume):
    def poll(self, handle):
        try:
            return super().poll(handle)
        except errors.NotFound:
            return Progress(ProgressState.RUNNING)


class CancelAll(LocalVolume):
    """Forgets that work had ended."""

    def cancel(self, handle):
        self.__dict__.setdefault("cancelled", set()).add(handle)
        super().cancel(handle)

    def poll(self, handle):
        found = super().poll(handle)
        ended = handle in self.__dict__.get("cancelled", ()) and found.done
        return Progress(ProgressState.CANCELLED) if ended else found


class CancelFails(CancelAll):
    def poll(self, handle):
        found = super().poll(handle)
        lost = found.state is ProgressState.CANCELLED
        return Progress(ProgressState.FAILED, error="no") if lost else found


class _FreshIds(local_task.Creation):
    """Ids of volumes that no second try meets again."""

    def do(self, work):
        kept = local_task.volume_id
        local_task.volume_id = lambda handle, index: str(uuid.uuid4())
        try:
            return super().do(work)
        finally:
            local_task.volume_id = kept


class Piecemeal(LocalVolume):
    def __init__(self, options, *, backend_id):
        super().__init__(options, backend_id=backend_id)
        self._desk._tasks["create"].__class__ = _FreshIds


class EarlySnapshot(LocalVolume):
    """Says that it is done before the bytes are there."""

    def poll(self, handle):
        if handle.startswith("snapshot"):
            super().poll(handle)
            return Progress(ProgressState.DONE, result=str(uuid.uuid4()))
        return super().poll(handle)


class ConnectOnce(LocalVolume):
    def connect(self, volume_id, server_id, *, project_id):
        if self.get_volume(volume_id, project_id=project_id).server_id is not None:
            raise errors.Busy("It is attached.")
        return super().connect(volume_id, server_id, project_id=project_id)


class OneName(LocalVolume):
    def get_volume(self, volume_id, *, project_id):
        found = super().get_volume(volume_id, project_id=project_id)
        return dataclasses.replace(found, name="law")


class Unsorted(LocalVolume):
    def list_volumes(self, project_id, **options):
        return super().list_volumes(project_id, **options)[::-1]


class Unpaged(LocalVolume):
    def list_volumes(self, project_id, *, after=None, limit=100):
        return super().list_volumes(project_id, limit=limit)


class OneProject(LocalVolume):
    def get_volume(self, volume_id, *, project_id):
        if project_id == "somebody-else":
            return Volume(volume_id, project_id, "law", "available", 0)
        return super().get_volume(volume_id, project_id=project_id)


class DeleteOnce(LocalVolume):
    def delete_volume(self, volume_id, *, project_id):
        self.get_volume(volume_id, project_id=project_id)
        super().delete_volume(volume_id, project_id=project_id)


class Empty(LocalVolume):
    """Forgets the image."""

    def start_create(self, spec, count, token):
        return super().start_create(dataclasses.replace(spec, source=None), count, token)


class LocalOnly(LocalVolume):
    def start_create(self, spec, count, token):
        if spec.source is not None and spec.source.local_path is None:
            raise errors.InvalidArgument("The image has to be a file.")
        return super().start_create(spec, count, token)


class Cutting(LocalVolume):
    """Makes a small volume of a large image."""

    def start_create(self, spec, count, token):
        size_bytes = max(spec.size_bytes, spec.source.virtual_size_bytes)
        return super().start_create(dataclasses.replace(spec, size_bytes=size_bytes), count, token)


class Shared(LocalVolume):
    """Gives a volume to any number of servers."""

    def connect(self, volume_id, server_id, *, project_id):
        known = self.get_volume(volume_id, project_id=project_id).server_id
        return super().connect(volume_id, known or server_id, project_id=project_id)


class Shifted(LocalVolume):
    def open_snapshot(self, snapshot_id, *, offset=0):
        return super().open_snapshot(snapshot_id, offset=offset and offset + 1)


class Silent(LocalVolume):
    """Reads what it does not promise to read."""

    def info(self):
        return base.DriverInfo("silent", "test", "1")

    def open_snapshot(self, snapshot_id, *, offset=0):
        return io.BytesIO()


class NamingImages(LocalVolume):
    """Names an image for each snapshot, also for those that are gone."""

    def info(self):
        found = super().info()
        capabilities = found.capabilities | {VolumeCapability.SNAPSHOT_IMAGE}
        return dataclasses.replace(found, capabilities=capabilities)

    def snapshot_image(self, snapshot_id):
        return "an image"
