"""Storage drivers that each break one promise; all else is as in the file store."""

import io
import os

from imagesvc.interface import errors, storage
from imagesvc_drivers.storage import file_object
from imagesvc_drivers.storage.file import FileStorage
from imagesvc_drivers.storage.file_writer import FileWriter

Capability = storage.StorageCapability


def writing(**methods):
    """A file store whose writer has other methods."""
    writer = type("Writer", (FileWriter,), methods)

    def open_write(self, key, *, size=None):
        target = self.path_of(key)
        if target.exists():
            raise errors.AlreadyExists(key)
        return writer(key, self._parts / os.urandom(8).hex(), target)

    return {"open_write": open_write}


def claiming(*capabilities):
    """A file store that says it can do just that."""

    def info(self):
        known = FileStorage.info(self)
        return type(known)("fault", "test", "1", frozenset(capabilities))

    return {"info": info}


def visible_at_once(self, data):
    FileWriter.write(self, data)
    if not self._target.exists():
        os.link(self._part, self._target)


def lost_tail(self, data):
    FileWriter.write(self, data[:-1])
    self._offset += 1


def replacing(self):
    os.fsync(self._open().fileno())
    self._target.unlink(missing_ok=True)
    return FileWriter.commit(self)


def unflushed(self):
    self._settle()
    os.link(self._part, self._target)
    file_object.sync_folder(self._target.parent)
    return self._ended()


def unnamed(self):
    self._settle()
    os.fsync(self._open().fileno())
    os.link(self._part, self._target)
    return self._ended()


def piecemeal(self):
    self._settle()
    with self._target.open("xb") as target:
        data = self._part.read_bytes()
        middle = len(data) // 2
        target.write(data[:middle])
        target.flush()
        target.write(data[middle:])
    return self._ended()


def ended(self):
    self.abort()
    found = self._target.stat()
    modified = storage.datetime.datetime.now(storage.datetime.UTC)
    return storage.ObjectInfo(self._key, found.st_size, modified)


def hoarded(self, data):
    self.__dict__.setdefault("hoard", []).append(bytes(data))
    FileWriter.write(self, data)


def commit_at_exit(self, kind, value, trace):
    if self._file is not None:
        self.commit()


def whole_object(self, key, *, offset=0, length=None):
    return FileStorage.open_read(self, key, offset=offset)


def lenient_read(self, key, *, offset=0, length=None):
    size = self.stat(key).size_bytes
    return FileStorage.open_read(self, key, offset=min(offset, size), length=length)


def one_reader(self, key, *, offset=0, length=None):
    kept = self.__dict__.setdefault("kept", {})
    if key not in kept:
        kept[key] = io.BytesIO(FileStorage.open_read(self, key).read())
        kept[key].close = lambda: None
    kept[key].seek(offset)
    return kept[key]


def strict_delete(self, key):
    self.stat(key)
    FileStorage.delete(self, key)


def greedy_delete(self, key):
    for found in FileStorage.list(self, key):
        FileStorage.delete(self, found.key)
    storage.check_key(key)


def plain_key_error(self, key):
    storage.check_key(key)
    if not self.path_of(key).exists():
        raise KeyError(key)
    return FileStorage.stat(self, key)


def fresh_etag(self, key):
    found = FileStorage.stat(self, key)
    return storage.ObjectInfo(key, found.size_bytes, found.modified_at, os.urandom(4).hex())


def one_etag(self, key):
    found = FileStorage.stat(self, key)
    return storage.ObjectInfo(key, found.size_bytes, found.modified_at, "same")


def backwards(self, prefix="", *, after=None, limit=1000):
    return FileStorage.list(self, prefix, after=after, limit=limit)[::-1]


def unpaged(self, prefix="", *, after=None, limit=1000):
    return FileStorage.list(self, prefix, after=after)


def caseless(self, prefix="", *, after=None, limit=1000):
    found = FileStorage.list(self, after=after)
    return [item for item in found if item.key.lower().startswith(prefix.lower())][:limit]


def after_a_key_that_is_there(self, prefix="", *, after=None, limit=1000):
    if after is not None:
        self.stat(after)
    return FileStorage.list(self, prefix, after=after, limit=limit)


def discard_all(self, *, older_than_s):
    for part in self._parts.iterdir():
        part.write_bytes(b"")
    return 1


def no_key_check(self):
    FileStorage.open(self)
    objects = self._folders[0].objects
    self._folders[0].path_of = lambda key: (
        objects / (key.replace("/", "+").replace("\0", "") or "empty")[:200]
    )


def shared_part(self, key, *, size=None):
    target = self.path_of(key)
    if target.exists():
        raise errors.AlreadyExists(key)
    self.__dict__.setdefault("shared", FileWriter(key, self._parts / "shared", target))
    self.shared._target = target
    return self.shared


def begins_anew(self, key, upload_id):
    return self.open_write(key)


def forgets_the_killed(self, key, upload_id):
    raise errors.NotFound(key)


METHODS = {
    "visible_at_once": writing(write=visible_at_once),
    "lost_tail": writing(write=lost_tail),
    "replacing": writing(commit=replacing),
    "unflushed": writing(commit=unflushed, _ended=ended),
    "unnamed": writing(commit=unnamed, _ended=ended),
    "piecemeal": writing(commit=piecemeal, _ended=ended),
    "hoarded": writing(write=hoarded),
    "commit_at_exit": writing(__exit__=commit_at_exit),
    "abort_leaves_bytes": writing(abort=lambda self: None),
    "length_ignored": {"open_read": whole_object},
    "lenient_read": {"open_read": lenient_read},
    "one_reader": {"open_read": one_reader},
    "strict_delete": {"delete": strict_delete},
    "greedy_delete": {"delete": greedy_delete},
    "plain_key_error": {"stat": plain_key_error},
    "fresh_etag": {"stat": fresh_etag},
    "one_etag": {"stat": one_etag},
    "backwards": {"list": backwards},
    "unpaged": {"list": unpaged},
    "caseless": {"list": caseless},
    "after_a_key_that_is_there": {"list": after_a_key_that_is_there},
    "discard_all": {"discard_stale": discard_all},
    "no_key_check": {"open": no_key_check},
    "shared_part": {"open_write": shared_part},
    "overfull": {"usage": lambda self: storage.Usage(2, 1)},
    "presign_promised": claiming(Capability.LOCAL_FILE, Capability.PRESIGNED_URL),
    "resume_promised": {"resume_write": storage.StorageDriver.resume_write},
    "begins_anew": {"resume_write": begins_anew},
    "forgets_the_killed": {"resume_write": forgets_the_killed},
    "copy_not_promised": claiming(Capability.LOCAL_FILE),
    "copies_promised": claiming(
        Capability.LOCAL_FILE, Capability.SERVER_SIDE_COPY, Capability.COPIES
    ),
    "path_not_promised": claiming(Capability.SERVER_SIDE_COPY),
}

# Each under its own name in this module, so that a child process finds it too.
for _name, _members in METHODS.items():
    globals()[_name] = type(
        _name, (FileStorage,), {**_members, "__module__": __name__, "__qualname__": _name}
    )
