"""An installation with an encrypted image, and a search for its bytes on the disk."""

import contextlib
import io
import os
import shutil
import tempfile
import uuid
from pathlib import Path

from imagesvc.domain import storage_key
from imagesvc.domain.image import NewImage
from tests.crash.station import Station

MARKER = b"these bytes rest nowhere in plain"
MIB = 1 << 20
DATA = MARKER * (3 * MIB // len(MARKER))
# What backends keep as disks of their own: see docs/operator/encryption.rst.
OF_BACKENDS = ("compute", "volume", "baremetal", "backup")


class SealedStation(Station):
    """With a key of its project, and folders of its own in memory and for temporary files."""

    def __init__(self, folder, database=None, more=""):
        self.memory = Path("/dev/shm") / f"imagesvc-test-{uuid.uuid4().hex}"
        self.temporary = Path(tempfile.mkdtemp(prefix="sealed-", dir="/tmp"))  # sockets lie in it
        more = f"[worker]\nmemory_scratch_dir = {self.memory}\n{more}"
        super().__init__(folder, database, more)
        self.key_id = self.service.keys.create(self.caller, "k", None, "once").info.id
        self.service.keys.set_default(self.caller, self.key_id)

    def new(self, **values):
        """A queued image that is to be encrypted."""
        values = {"disk_format": "raw", "container_format": "bare", **values}
        new = NewImage(name="sealed", key_id=self.key_id, **values)
        return self.service.images.create(self.caller, new)

    def filled(self, data=DATA, **values):
        """An active one."""
        image = self.new(**values)
        files = self.service.image_files
        return files.upload(self.caller, image.id, io.BytesIO(data), len(data))

    def bytes_of(self, image_id, disk=0):
        """What a reader of the image gets."""
        files = self.service.image_files
        with files.download(self.caller, image_id, disk=disk).open() as stream:
            return stream.read()

    def data_keys(self, *image_ids):
        """The data keys of images."""
        return [self.service.data_keys.open(one) for one in image_ids]

    def on_disk(self, mark=MARKER):
        """The files on the disk that hold these bytes in plain, without those of the backends."""
        places = [one for one in self.folder.iterdir() if one.name not in OF_BACKENDS]
        places.append(self.temporary)
        return [str(file) for one in places for file in _files(one) if mark in _read(file)]

    def in_memory(self, mark=MARKER):
        """The same of the folder in memory."""
        return [str(file) for file in _files(self.memory) if mark in _read(file)]

    def check_sealed(self, mark=MARKER):
        """No plain bytes are anywhere, and what the store holds is encrypted."""
        assert self.on_disk(mark) == []
        assert self.in_memory(mark) == []
        objects = self.objects()
        assert objects
        assert all(storage_key.is_encrypted(one) for one in objects), objects

    def stop(self):
        """End everything."""
        super().stop()
        for place in (self.memory, self.temporary):
            shutil.rmtree(place, ignore_errors=True)


def _files(place):
    if place.is_file():
        return [place]
    return [Path(folder) / name for folder, _, names in os.walk(place) for name in names]


def _read(file):
    with contextlib.suppress(OSError):  # gone since, or a socket
        return file.read_bytes()
    return b""
