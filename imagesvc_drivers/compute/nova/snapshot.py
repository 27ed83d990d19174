"""Snapshots: images that Nova writes into its image service.

A property of the image says for which work it was made. Nova itself lets a server have one
snapshot at a time; a request that came second may leave a record without bytes, which is removed.
"""

from typing import Any, BinaryIO

from imagesvc.crashpoint import crashpoint
from imagesvc.interface import errors
from imagesvc.interface.operation import Handle, Progress, ProgressState
from imagesvc_drivers.client import openstack, openstack_image
from imagesvc_drivers.compute.nova import image_facts, server_call, server_view, work

# createImage answers with the image's id.
_MICROVERSION = "2.45"
_PROPERTY = "imagesvc_snapshot"
_READY = frozenset({"active", "deactivated"})


class Snapshotting:
    """Starts, follows and reads snapshots. A snapshot's id is <project id>.<image id>."""

    def __init__(
        self, cloud: openstack.Cloud, servers: server_call.Servers, images: image_facts.Images
    ) -> None:
        self._cloud = cloud
        self._servers = servers
        self._images = images

    def start(self, project_id: str, server_id: str, disk_id: str, token: str) -> Handle:
        """Ask Nova for an image. Raises NotFound, Busy while Nova does something else."""
        asked = work.Work(work.SNAPSHOT, project_id, server_id, work.mark(token))
        try:
            server = self._servers.find(project_id, server_id)
        except errors.NotFound:
            if not self._marked(asked):
                raise
            return asked.handle  # the server is gone, and an image of it is there
        if disk_id != server_view.ROOT or server_view.image_id(server) is None:
            raise errors.NotFound(f"Server {server_id} has no disk {disk_id} that can be copied.")
        if not self._marked(asked):
            crashpoint("compute.nova.snapshot_looked")
            self._ask(asked, server)
            crashpoint("compute.nova.snapshot_asked")
        return asked.handle

    def poll(self, asked: work.Work) -> Progress:
        """How far it is: Nova is at it as long as the server's task says so."""
        try:
            server = self._servers.find(asked.project_id, asked.subject)
            busy = str(server.task_state or "").startswith("image_")
        except errors.NotFound:
            busy = False
        # Asked after the server: what is not ready by now never will be.
        images = self._marked(asked)
        ready = openstack_image.oldest_first(each for each in images if each["status"] in _READY)
        if not ready and busy:
            return Progress(ProgressState.RUNNING)
        for image in images:  # of those who asked at once one alone is told of
            if image not in ready[:1]:
                self._delete(asked.project_id, image["id"])
        if not ready:
            return Progress(ProgressState.FAILED, error="Nova made no snapshot of the server.")
        return Progress(ProgressState.DONE, result=f"{asked.project_id}.{ready[0]['id']}")

    def cancel(self, asked: work.Work) -> None:
        """Remove the image unless it is whole; Nova stops when it finds it gone."""
        images = self._marked(asked)
        if not any(image["status"] in _READY for image in images):
            for image in images:
                self._delete(asked.project_id, image["id"])

    def image_id(self, snapshot_id: str) -> str:
        """The image that the snapshot is. Raises NotFound."""
        return str(self._image(snapshot_id).id)

    def size(self, snapshot_id: str) -> int:
        """Bytes of the raw disk. Raises NotFound, NotSupported for an image that is not raw."""
        return _raw_size(self._image(snapshot_id))

    def open(self, snapshot_id: str, offset: int) -> BinaryIO:
        """The raw bytes from `offset`. Raises as `size`, and InvalidArgument."""
        project_id, image_id = openstack_image.of_snapshot(snapshot_id)
        size_bytes = self.size(snapshot_id)
        if not 0 <= offset <= size_bytes:
            raise errors.InvalidArgument(f"Offset {offset} is outside of the snapshot.")
        return openstack_image.opened(self._cloud, project_id, image_id, offset, size_bytes)

    def remove(self, snapshot_id: str) -> None:
        """Remove it with all that the same work made; one that is gone is success."""
        try:
            project_id, image_id = openstack_image.of_snapshot(snapshot_id)
            with self._cloud.calling():
                answer = self._cloud.project(project_id).image.get(f"/images/{image_id}")
                found = openstack.checked(answer).json()
        except errors.NotFound:
            return
        server_id, mark = found.get("instance_uuid"), found.get(_PROPERTY)
        if server_id and mark:
            for image in self._marked(work.Work(work.SNAPSHOT, project_id, server_id, mark)):
                if image["id"] != image_id:  # that one last: it leads to the others
                    self._delete(project_id, image["id"])
        self._delete(project_id, image_id)

    def _ask(self, asked: work.Work, server: Any) -> None:
        body = {"name": f"{server.name}-snapshot", "metadata": {_PROPERTY: asked.mark}}
        try:
            with self._cloud.calling():
                openstack.checked(
                    self._cloud.project(asked.project_id).compute.post(
                        f"/servers/{server.id}/action",
                        json={"createImage": body},
                        microversion=_MICROVERSION,
                    )
                )
        except errors.Busy as exc:
            if not self._marked(asked):
                raise errors.Busy(exc.user_message, exc.operator_message, retryable=True) from exc

    def _marked(self, asked: work.Work) -> list[dict[str, Any]]:
        """Images of the work, made of that server: others may have inherited the mark."""
        wanted = {_PROPERTY: asked.mark, "instance_uuid": asked.subject, "owner": asked.project_id}
        with self._cloud.calling():
            images = self._cloud.project(asked.project_id).image
            answer = images.get("/images", params=wanted)
            found: list[dict[str, Any]] = openstack.checked(answer).json()["images"]
        # They may be deleted: no trust in a filter that somebody on the way may not know.
        marks = {name: wanted[name] for name in (_PROPERTY, "instance_uuid")}
        return [image for image in found if marks.items() <= image.items()]

    def _image(self, snapshot_id: str) -> Any:
        missing = errors.NotFound(f"No snapshot {snapshot_id} was found.")
        try:
            image = self._images.get(*openstack_image.of_snapshot(snapshot_id))
        except errors.NotFound as exc:
            raise missing from exc
        if image.status not in _READY:
            raise missing
        return image

    def _delete(self, project_id: str, image_id: str) -> None:
        openstack_image.remove(self._cloud, project_id, image_id)


def _raw_size(image: Any) -> int:
    if image.disk_format != "raw":
        raise errors.NotSupported(
            f"Nova's snapshot is of format {image.disk_format}, and not in this image service.",
            "let Nova use this service as its Glance, or set [libvirt] snapshot_image_format = raw",
        )
    return int(image.size)
