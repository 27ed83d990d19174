"""Snapshots that are images of the image service, and the bytes of one as a file."""

import contextlib
import io
import uuid
from collections.abc import Iterable, Mapping
from typing import Any, BinaryIO, cast

from imagesvc.interface import errors
from imagesvc_drivers.client import openstack

_BUFFER_BYTES = 1 << 20
_PATCH = {"Content-Type": "application/openstack-images-v2.1-json-patch"}


def of_snapshot(snapshot_id: str) -> tuple[str, str]:
    """Project and image of a snapshot id `PROJECT.IMAGE`. Raises NotFound for what is none."""
    project_id, _, image_id = snapshot_id.rpartition(".")
    try:
        plain = str(uuid.UUID(image_id)) == image_id
    except ValueError:
        plain = False
    if not (plain and project_id):
        raise errors.NotFound(f"No snapshot {snapshot_id} was found.")
    return project_id, image_id


def opened(
    cloud: openstack.Cloud, project_id: str, image_id: str, offset: int, size_bytes: int
) -> BinaryIO:
    """What follows after `offset`; whoever calls closes. Raises NotFound, Unavailable."""
    if offset == size_bytes:
        return io.BytesIO()
    with cloud.calling():
        answer = openstack.checked(
            cloud.project(project_id).image.get(
                f"/images/{image_id}/file",
                headers={"Range": f"bytes={offset}-", "Accept-Encoding": "identity"},
                stream=True,
            )
        )
    if offset and answer.status_code != 206:
        answer.close()
        raise errors.NotSupported("The image service of the cloud does not give parts of images.")
    raw = _Body(cloud, answer, size_bytes - offset)
    return cast(BinaryIO, io.BufferedReader(raw, _BUFFER_BYTES))


def oldest_first(images: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Images as the image service lists them, by age: the order that all who look agree on."""
    return sorted(images, key=lambda image: (str(image.get("created_at") or ""), image["id"]))


def remove(cloud: openstack.Cloud, project_id: str, image_id: str) -> None:
    """Remove one; one that is gone is success.

    An owner who protected a record that a driver made does not stop it.
    """
    with contextlib.suppress(errors.NotFound), cloud.calling():
        images, path = cloud.project(project_id).image, f"/images/{image_id}"
        # Looked for first: the image service writes refused deletions down.
        if openstack.checked(images.get(path)).json().get("protected"):
            change = [{"op": "replace", "path": "/protected", "value": False}]
            openstack.checked(images.patch(path, json=change, headers=_PATCH))
        openstack.checked(images.delete(path))


class _Body(io.RawIOBase):
    """A body that must have its length."""

    def __init__(self, cloud: openstack.Cloud, answer: Any, length: int) -> None:
        self._cloud = cloud
        self._answer = answer
        self._left = length

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        with self._cloud.calling():
            data: bytes = self._answer.raw.read(min(len(buffer), self._left))
        if not data and self._left:
            raise errors.Unavailable("The image service of the cloud broke off.")
        buffer[: len(data)] = data
        self._left -= len(data)
        return len(data)

    def close(self) -> None:
        if not self.closed:
            self._answer.close()
        super().close()
