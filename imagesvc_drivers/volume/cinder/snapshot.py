"""Copies of volumes: images that Cinder uploads to its image service, under a name made of the work.

Cinder lets a volume have one upload at a time. A snapshot's id is <project id>.<image id>.
"""

import contextlib
import re
from typing import Any, BinaryIO

from imagesvc.crashpoint import crashpoint
from imagesvc.interface import errors
from imagesvc.interface.operation import Progress, ProgressState
from imagesvc_drivers.client import openstack_image
from imagesvc_drivers.volume.cinder.client import CinderClient
from imagesvc_drivers.volume.cinder.image import Images

_UPLOADING = "uploading"
_NAME = re.compile(r"imagesvc-snapshot-[0-9a-f]{40}")
_READY = frozenset({"active", "deactivated"})


class Snapshots:
    """Starts, follows and reads them; safe for many threads."""

    def __init__(self, images: Images) -> None:
        self._images = images

    def is_begun(self, project_id: str, work: str) -> bool:
        """Whether there is an image of this work, whole or not."""
        return bool(self._images.named(project_id, _name(work)))

    def start(self, cinder: CinderClient, project_id: str, volume_id: str, work: str) -> None:
        """Have Cinder upload the volume. Raises NotFound, and Busy, that passes, if it is in use."""
        body = {"image_name": _name(work), "disk_format": "raw", "container_format": "bare"}
        try:
            cinder.act(volume_id, "os-volume_upload_image", body)
        except errors.InvalidArgument as exc:
            # Of two processes that ask at once one is refused.
            if not self.is_begun(project_id, work):
                raise errors.Busy(exc.user_message, exc.operator_message, retryable=True) from exc
        crashpoint("volume.cinder.snapshot_asked")

    def progress(
        self, cinder: CinderClient, project_id: str, volume_id: str, work: str
    ) -> Progress:
        """How far it is: Cinder is at it as long as the volume says so, and it lets go last."""
        busy = False
        with contextlib.suppress(errors.NotFound):
            busy = cinder.volume(volume_id)["status"] == _UPLOADING
        # Asked after the volume: what is not ready by now never will be.
        images = self._images.named(project_id, _name(work))
        if busy:
            return Progress(ProgressState.RUNNING)
        ready = openstack_image.oldest_first(each for each in images if each["status"] in _READY)
        if ready:
            first, *others = ready
            for image in others:  # of those who asked at once one alone is told of
                self._images.remove(project_id, image["id"])
            return Progress(ProgressState.DONE, result=f"{project_id}.{first['id']}")
        for image in images:
            self._images.remove(project_id, image["id"])
        reasons = cinder.reasons(volume_id)
        reason = reasons[0] if reasons else "it does not say why."
        return Progress(ProgressState.FAILED, error=f"Cinder could not copy the volume: {reason}")

    def cancel(self, project_id: str, work: str) -> None:
        """Remove the image unless it is whole; Cinder stops when it finds it gone."""
        images = self._images.named(project_id, _name(work))
        if not any(image["status"] in _READY for image in images):
            for image in images:
                self._images.remove(project_id, image["id"])

    def image(self, snapshot_id: str) -> dict[str, Any]:
        """The image that the snapshot is. Raises NotFound."""
        project_id, image_id = openstack_image.of_snapshot(snapshot_id)
        missing = errors.NotFound(f"No snapshot {snapshot_id} was found.")
        try:
            found = self._images.get(project_id, image_id)
        except errors.NotFound as exc:
            raise missing from exc
        if found["status"] not in _READY:
            raise missing
        return found

    def open(self, snapshot_id: str, offset: int) -> BinaryIO:
        """The raw bytes from `offset`. Raises NotFound, InvalidArgument."""
        project_id, image_id = openstack_image.of_snapshot(snapshot_id)
        size_bytes = int(self.image(snapshot_id)["size"])
        if not 0 <= offset <= size_bytes:
            raise errors.InvalidArgument(f"Offset {offset} is outside of the snapshot.")
        return self._images.open(project_id, image_id, offset, size_bytes)

    def remove(self, snapshot_id: str) -> None:
        """Remove it with all that the same work made; one that is gone is success."""
        with contextlib.suppress(errors.NotFound):
            project_id, image_id = openstack_image.of_snapshot(snapshot_id)
            name = str(self._images.get(project_id, image_id).get("name"))
            if _NAME.fullmatch(name):
                for image in self._images.named(project_id, name):
                    if image["id"] != image_id:  # that one last: it leads to the others
                        self._images.remove(project_id, image["id"])
            self._images.remove(project_id, image_id)


def _name(work: str) -> str:
    return f"imagesvc-snapshot-{work}"
