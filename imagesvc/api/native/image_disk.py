"""The bytes of any disk of an image; disk 0 is also what the Glance dialect gives."""

import falcon

from imagesvc import errors
from imagesvc.api import download
from imagesvc.manager import image_file as image_files

INDEX_DIGITS_MAX = 4


def disk_index(image_id: str, text: str) -> int:
    """The number of a disk in a path. Raises DiskNotFound for what is no number."""
    if not (text.isascii() and text.isdigit()) or len(text) > INDEX_DIGITS_MAX:
        raise errors.DiskNotFound(image_id=image_id, disk=text)
    return int(text)


class ImageDiskFileResource:
    """The stored bytes of one disk."""

    moves_bytes = True

    def __init__(self, files: image_files.ImageFileManager) -> None:
        self._files = files

    def on_get(self, req: falcon.Request, resp: falcon.Response, image_id: str, disk: str) -> None:
        """Give them, or one range of them."""
        index = disk_index(image_id, disk)
        found = self._files.download(req.context.caller, image_id, disk=index)
        download.answer(req, resp, found)

    on_head = on_get
