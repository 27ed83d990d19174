"""Volumes of Cinder, through openstacksdk: Block Storage API v3, microversion 3.44.

Cinder fetches an image by its id from the image service that it is configured for, which has to be this
one. This driver keeps nothing of its own: what it does stands in Cinder, so any process goes on with it.
"""

import contextlib
import hashlib
import re
from typing import Any, BinaryIO

from oslo_config import cfg

from imagesvc.crashpoint import crashpoint
from imagesvc.interface import base, errors, volume
from imagesvc.interface.operation import Handle, Progress, ProgressState
from imagesvc.interface.volume import VolumeCapability, VolumeSpec
from imagesvc_drivers.client import openstack_option, probe
from imagesvc_drivers.volume.cinder import creation, snapshot, view
from imagesvc_drivers.volume.cinder.client import CinderClient, Volume
from imagesvc_drivers.volume.cinder.image import Images

_VOLUME = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
# Of a creation the third part is how many, of a snapshot the volume.
_HANDLE = re.compile(
    r"(?:create:([A-Za-z0-9_-]{1,64}):([0-9]{1,4})|snapshot:([A-Za-z0-9_-]{1,64}):([0-9a-f-]{36}))"
    r":([0-9a-f]{40})"
)
# The handle of work that failed before Cinder was asked.
_REFUSED = "refused:bytes"
_DIGEST = re.compile(r"[0-9a-f]{128}")
_TOKEN_CHARS_MAX = 1024


class CinderVolume(volume.VolumeDriver):
    """Volumes in the projects of the cloud."""

    contract = base.Version(1, 1)
    OPTS = (
        *openstack_option.OPTS,
        cfg.StrOpt(
            "image_endpoint",
            help="URL of Cinder's image service, instead of that in the catalog: this service, as "
            "Cinder reaches it.",
        ),
        cfg.IntOpt("create_count_max", default=100, min=1, help="Most volumes of one creation."),
    )

    def __init__(self, options: Any, *, backend_id: str) -> None:
        super().__init__(options, backend_id=backend_id)
        endpoints = {"block_storage": options.endpoint, "image": options.image_endpoint}
        self._cloud = openstack_option.cloud(options, "cinder", "Cinder", endpoints)
        self._images = Images(self._cloud)
        self._snapshots = snapshot.Snapshots(self._images)
        self._probe = probe.Probe(self._ask)

    def close(self) -> None:
        """Let go of connections."""
        self._cloud.close()

    def info(self) -> base.DriverInfo:
        """Say what this driver is."""
        return base.DriverInfo(
            name="cinder",
            vendor="imagesvc",
            version="1.0",
            capabilities=frozenset({VolumeCapability.SNAPSHOT, VolumeCapability.SNAPSHOT_IMAGE}),
            limits={"create_count_max": self.options.create_count_max},
        )

    def health(self) -> base.Health:
        """Ask Cinder for the limits of the service's own project."""
        return self._probe.health()

    def _ask(self) -> None:
        CinderClient(self._cloud, self._cloud.own()).limits()

    def get_volume(self, volume_id: str, *, project_id: str) -> volume.Volume:
        """Describe one volume."""
        cinder = self._cinder(project_id)
        return self._find(cinder, volume_id, project_id)

    def list_volumes(
        self, project_id: str, *, after: str | None = None, limit: int = 100
    ) -> list[volume.Volume]:
        """List a project's volumes ordered by id; none in a project that Cinder is not open to."""
        try:
            cinder = self._cinder(project_id)
        except errors.NotFound:
            return []
        shown: list[Volume] = []
        for each in cinder.volumes():
            if len(shown) >= limit:
                break
            wanted = after is None or each["id"] > after
            if wanted and view.is_made(each) and not view.is_gone(each):
                shown.append(each)
        # A free volume needs no question; the others have one together.
        used = any(each["status"] != "available" for each in shown)
        servers = _servers(cinder, None) if used else {}
        return [view.describe(each, project_id, servers) for each in shown]

    def start_create(self, spec: VolumeSpec, count: int, token: str) -> Handle:
        """Have Cinder create `count` volumes."""
        if not 1 <= count <= self.options.create_count_max:
            raise errors.InvalidArgument(
                f"The count {count} is not in 1..{self.options.create_count_max}."
            )
        _check_image(spec)
        work = _work(token)
        if spec.source and self._images.has_other_bytes(spec.project_id, spec.source):
            return _REFUSED
        creation.begin(self._cinder(spec.project_id), work, spec, count)
        return f"create:{spec.project_id}:{count}:{work}"

    def delete_volume(self, volume_id: str, *, project_id: str) -> None:
        """Remove a volume that no server has."""
        with contextlib.suppress(errors.NotFound):
            cinder = self._cinder(project_id)
            found = self._find(cinder, volume_id, project_id)
            if found.server_id is not None:
                raise errors.Busy(f"Volume {volume_id} is attached to server {found.server_id}.")
            try:
                cinder.delete_volume(volume_id)
            except errors.InvalidArgument as exc:
                raise errors.Busy(exc.user_message, exc.operator_message) from exc

    def connect(self, volume_id: str, server_id: str, *, project_id: str) -> volume.Connection:
        """Reserve the volume for one server of Nova, which plugs it in by itself."""
        cinder = self._cinder(project_id)
        found = self._find(cinder, volume_id, project_id)
        if found.server_id not in (None, server_id):
            raise errors.Busy(f"Volume {volume_id} is attached to server {found.server_id}.")
        if found.server_id is None:
            try:
                cinder.create_attachment(volume_id, server_id)
            except errors.InvalidArgument as exc:
                raise errors.Busy(exc.user_message, exc.operator_message) from exc
        crashpoint("volume.cinder.connected")
        return {"volume_id": volume_id, "protocol": "cinder"}

    def disconnect(self, volume_id: str, server_id: str, *, project_id: str) -> None:
        """Take back what `connect` reserved; Nova's own attachment ends with Nova."""
        cinder = self._cinder(project_id)
        self._find(cinder, volume_id, project_id)
        for each in cinder.attachments(volume_id):
            if each["instance"] == server_id and each["status"] == "reserved":
                with contextlib.suppress(errors.NotFound):
                    cinder.delete_attachment(each["id"])

    def start_snapshot(self, volume_id: str, token: str, *, project_id: str) -> Handle:
        """Have Cinder upload the volume to the image service."""
        work = _work(token)
        if not _VOLUME.fullmatch(volume_id):
            raise _missing(volume_id)
        if not self._snapshots.is_begun(project_id, work):
            cinder = self._cinder(project_id)
            self._own(cinder, volume_id, project_id)
            self._snapshots.start(cinder, project_id, volume_id, work)
        return f"snapshot:{project_id}:{volume_id}:{work}"

    def snapshot_size(self, snapshot_id: str) -> int:
        """Size of the raw disk."""
        return int(self._snapshots.image(snapshot_id)["size"])

    def open_snapshot(self, snapshot_id: str, *, offset: int = 0) -> BinaryIO:
        """Read the raw bytes through the image service."""
        return self._snapshots.open(snapshot_id, offset)

    def snapshot_image(self, snapshot_id: str) -> str:
        """The image that Cinder wrote."""
        return str(self._snapshots.image(snapshot_id)["id"])

    def delete_snapshot(self, snapshot_id: str) -> None:
        """Remove the image."""
        self._snapshots.remove(snapshot_id)

    def poll(self, handle: Handle) -> Progress:
        """Say how far it is, by what is there."""
        if handle == _REFUSED:
            error = "The image service of Cinder has other bytes under the id of this image."
            return Progress(ProgressState.FAILED, error=error)
        project_id, subject, work = _parse(handle)
        cinder = self._cinder(project_id)
        if isinstance(subject, int):
            return creation.progress(cinder, work, subject)
        return self._snapshots.progress(cinder, project_id, subject, work)

    def cancel(self, handle: Handle) -> None:
        """Remove what was made, as soon as Cinder lets go of it."""
        if handle == _REFUSED:
            return
        project_id, subject, work = _parse(handle)
        if isinstance(subject, int):
            creation.doom(self._cinder(project_id), work)
        else:
            self._snapshots.cancel(project_id, work)

    def _cinder(self, project_id: str) -> CinderClient:
        return CinderClient(self._cloud, self._cloud.project(project_id))

    def _find(self, cinder: CinderClient, volume_id: str, project_id: str) -> volume.Volume:
        """A volume of the project that stands, and who has it. Raises NotFound."""
        found = self._own(cinder, volume_id, project_id)
        free = found["status"] == "available"
        return view.describe(found, project_id, {} if free else _servers(cinder, volume_id))

    def _own(self, cinder: CinderClient, volume_id: str, project_id: str) -> Volume:
        """The same as Cinder has it. Raises NotFound.

        Cinder lets an administrator see those of all projects, so the owner is compared here; a
        volume whose owner Cinder does not tell is nobody's.
        """
        if not _VOLUME.fullmatch(volume_id):
            raise _missing(volume_id)
        try:
            found = cinder.volume(volume_id)
        except errors.NotFound as exc:
            raise _missing(volume_id) from exc
        if not view.is_of(found, project_id) or view.is_gone(found) or not view.is_made(found):
            raise _missing(volume_id)
        return found


def _servers(cinder: CinderClient, volume_id: str | None) -> dict[str, str]:
    """Who has which volume (volume: server)."""
    found = cinder.attachments(volume_id)
    return {each["volume_id"]: each["instance"] for each in found if each.get("instance")}


def _check_image(spec: VolumeSpec) -> None:
    """Raise InvalidArgument for an image of which Cinder cannot make this volume."""
    source = spec.source
    if source is None:
        return
    if not _DIGEST.fullmatch(source.digest):
        raise errors.InvalidArgument(f"Image {source.image_id} has no SHA-512 digest.")
    if source.disk:
        raise errors.InvalidArgument("Cinder takes only the first disk of an image.")
    if source.virtual_size_bytes > spec.size_bytes:
        raise errors.InvalidArgument(
            f"The image's disk has {source.virtual_size_bytes} bytes: the volume must be at least "
            "as large."
        )


def _missing(volume_id: str) -> errors.NotFound:
    return errors.NotFound(f"No volume {volume_id} was found.")


def _work(token: str) -> str:
    """The name of the work that a token stands for. Raises InvalidArgument."""
    if not 1 <= len(token) <= _TOKEN_CHARS_MAX:
        raise errors.InvalidArgument(f"A token has 1 to {_TOKEN_CHARS_MAX} characters.")
    return hashlib.sha256(token.encode()).hexdigest()[:40]


def _parse(handle: Handle) -> tuple[str, int | str, str]:
    """Project, count or volume, and work of a handle. Raises NotFound."""
    found = _HANDLE.fullmatch(handle)
    if found is None:
        raise errors.NotFound("No such work is known.", f"handle {handle!r}")
    maker, count, project_id, volume_id, work = found.groups()
    return (maker, int(count), work) if maker else (project_id, volume_id, work)
