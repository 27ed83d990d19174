"""An image with its disks and the copies of their bytes: how safe it is."""

import dataclasses

from imagesvc.backend.registry import Backends
from imagesvc.context import RequestContext
from imagesvc.db import catalog, image_disk, image_use
from imagesvc.db import image as image_rows
from imagesvc.db.image_use import ImageLife
from imagesvc.domain.catalog import Published
from imagesvc.domain.image import Damage, Image, ImageDisk
from imagesvc.errors import ImageNotFound
from imagesvc.manager import family, image_copy, image_grave
from imagesvc.manager.operation import Operation
from imagesvc.policy import visibility
from imagesvc.policy.check import Enforcer


@dataclasses.dataclass(frozen=True, slots=True)
class CopyDetail:
    """One copy, and what is wrong with it if that is known."""

    copy: image_copy.Copy
    damage: Damage | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class DiskDetail:
    """One disk and its copies in the order in which they are read."""

    disk: ImageDisk
    copies: tuple[CopyDetail, ...]

    @property
    def good(self) -> int:
        """How many copies there are of which nothing bad is known."""
        return sum(one.damage is None for one in self.copies)


@dataclasses.dataclass(frozen=True, slots=True)
class ImageDetail:
    """An image, and its disks by index; none before it has bytes. `replacement_id` is the newest of its
    family, if it is deprecated; `provenance` where it came from, if it is of the catalog."""

    image: Image
    disks: tuple[DiskDetail, ...]
    life: ImageLife
    replacement_id: str | None
    provenance: Published | None = None

    @property
    def good(self) -> int | None:
        """Good copies of the disk that has the fewest; None without bytes."""
        return min((one.good for one in self.disks), default=None)


class ImageDetailManager:
    """Tells how many copies there are."""

    def __init__(self, operation: Operation, enforcer: Enforcer, backends: Backends) -> None:
        self._operation = operation
        self._enforcer = enforcer
        self._backends = backends

    def get(self, ctx: RequestContext, image_id: str) -> ImageDetail:
        """Show one. Raises ImageNotFound if it is absent or not visible, ImageDeleted."""
        with self._operation.database.read() as conn:
            image = image_rows.get(conn, image_id, visibility.predicate(ctx))
            if image is None:
                raise image_grave.absence(conn, ctx, image_id)
            disks = image_disk.list_for(conn, image_id)
            provenance = catalog.get(conn, image_id)
            life = image_use.life(conn, image_id)
            newest = family.replacement(conn, image)
        if not self._enforcer.allows(ctx, "image:get", image):
            raise ImageNotFound(image_id=image_id)
        details = tuple(self._detail(disk) for disk in disks)
        return ImageDetail(image, details, life, newest, provenance)

    def _detail(self, disk: ImageDisk) -> DiskDetail:
        wrong = {
            image_copy.Copy(one.store_id, one.storage_key, one.number): one for one in disk.damages
        }
        copies = image_copy.of(self._backends, disk)
        return DiskDetail(disk, tuple(CopyDetail(one, wrong.get(one)) for one in copies))
