"""Images as a project sees them in Cinder's image service: Image API v2."""

from typing import TYPE_CHECKING, Any, BinaryIO

from imagesvc.interface import errors
from imagesvc.interface.image_source import ImageSource

if TYPE_CHECKING:
    from imagesvc_drivers.client.openstack import Cloud

_ALGORITHM = "sha512"


class Images:
    """Safe for many threads. Every call raises Unavailable, Timeout, AccessDenied."""

    def __init__(self, cloud: "Cloud") -> None:
        self._cloud = cloud

    def get(self, project_id: str, image_id: str) -> dict[str, Any]:
        """One image. Raises NotFound."""
        found: dict[str, Any] = self._ask(project_id, "GET", f"/images/{image_id}")
        return found

    def named(self, project_id: str, name: str) -> list[dict[str, Any]]:
        """The project's images of this name."""
        wanted = {"name": name, "owner": project_id}
        found: list[dict[str, Any]] = self._ask(project_id, "GET", "/images", params=wanted)[
            "images"
        ]
        # They may be deleted: no trust in a filter that somebody on the way may not know.
        return [image for image in found if image.get("name") == name]

    def has_other_bytes(self, project_id: str, source: ImageSource) -> bool:
        """Whether the image of this id has another digest there; its bytes never change."""
        try:
            found = self.get(project_id, source.image_id)
        except errors.NotFound:
            return False  # Cinder says so itself, and better
        known = found.get("os_hash_value") if found.get("os_hash_algo") == _ALGORITHM else None
        return known is not None and known != source.digest

    def remove(self, project_id: str, image_id: str) -> None:
        """Remove one; one that is gone is success."""
        from imagesvc_drivers.client import openstack_image  # it needs openstacksdk

        openstack_image.remove(self._cloud, project_id, image_id)

    def open(self, project_id: str, image_id: str, offset: int, size_bytes: int) -> BinaryIO:
        """The bytes that follow after `offset`; whoever calls closes. Raises NotFound."""
        from imagesvc_drivers.client import openstack_image  # it needs openstacksdk

        return openstack_image.opened(self._cloud, project_id, image_id, offset, size_bytes)

    def _ask(self, project_id: str, method: str, path: str, **named: Any) -> Any:
        return self._cloud.ask(self._cloud.project(project_id), "image", method, path, **named)
