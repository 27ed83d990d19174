"""The bytes of any disk of an image; disk 0 is also what the Glance dialect gives."""

import falcon

from imagesvc import errors
from imagesvc.api import byte_range
from imagesvc.api.native import download
from imagesvc.manager import image as images
from imagesvc.manager import image_file as image_files


class ImageDiskFileResource:
    """The stored bytes of one disk."""

    def __init__(self, manager: images.ImageManager, files: image_files.ImageFileManager) -> None:
        self._images = manager
        self._files = files

    def on_get(self, req: falcon.Request, resp: falcon.Response, image_id: str, disk: str) -> None:
        """Give them, or one range of them."""
        index = download.disk_index(image_id, disk)
        caller = req.context.caller
        span = None
        if (asked := byte_range.asked(req)) is not None:
            span = byte_range.parse(asked, self._size(req, image_id, index))
        found = self._files.download(
            caller,
            image_id,
            disk=index,
            offset=span.offset if span else 0,
            length=span.length if span else None,
        )
        download.answer(req, resp, found, span)

    def _size(self, req: falcon.Request, image_id: str, index: int) -> int:
        for disk in self._images.disks(req.context.caller, image_id):
            if disk.index == index:
                return disk.size_bytes
        raise errors.DiskNotFound(image_id=image_id, disk=index)
