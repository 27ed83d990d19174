"""What Nova's image service says of images; they never change their bytes, so it is kept."""

import dataclasses
import threading
from collections import OrderedDict
from typing import Any

from imagesvc.interface import errors
from imagesvc_drivers.client import openstack

_KEPT_MAX = 1000
_SYSTEMS = ("linux", "windows")


@dataclasses.dataclass(frozen=True, slots=True)
class ImageFacts:
    """`size_bytes` is what a guest sees; the rest is a guess where the image does not say."""

    size_bytes: int = 0
    os_type: str = "linux"
    architecture: str = "x86_64"


class Images:
    """Images as a project sees them in the image service."""

    def __init__(self, cloud: openstack.Cloud) -> None:
        self._cloud = cloud
        self._lock = threading.Lock()  # guards _known
        self._known: OrderedDict[tuple[str, str], ImageFacts] = OrderedDict()

    def get(self, project_id: str, image_id: str) -> Any:
        """One as openstacksdk has it. Raises NotFound, also for one that the project cannot see."""
        with self._cloud.calling():
            return self._cloud.project(project_id).image.get_image(image_id)

    def facts(self, project_id: str, image_id: str | None) -> ImageFacts:
        """What is known of it; a guess where it is gone."""
        if image_id is None:
            return ImageFacts()
        key = project_id, image_id
        with self._lock:
            if key in self._known:
                self._known.move_to_end(key)
                return self._known[key]
        try:
            found = _facts(self.get(project_id, image_id))
        except errors.NotFound:
            return ImageFacts()
        with self._lock:
            self._known[key] = found
            while len(self._known) > _KEPT_MAX:
                self._known.popitem(last=False)
        return found


def _facts(image: Any) -> ImageFacts:
    plain = ImageFacts()
    return ImageFacts(
        size_bytes=image.virtual_size or image.size or 0,
        os_type=image.os_type if image.os_type in _SYSTEMS else plain.os_type,
        architecture=image.architecture or plain.architecture,
    )
