"""The bytes of a disk from several copies, some of which break."""

import errno
import io
import types

import pytest

from imagesvc import errors
from imagesvc.interface.errors import IntegrityError, InvalidArgument, NotFound, Unavailable
from imagesvc.manager import disk_reader
from imagesvc.manager.image_copy import Copy
from imagesvc.testing.conformance.options import options_of
from imagesvc_drivers.storage.file import FileStorage

DATA = bytes(range(256)) * 20
SIZE = len(DATA)


class Remote(FileStorage):
    """A store without files of this host, whose readers break at byte `breaks_at` with `failure`.

    No real store breaks when a test wants it.
    """

    breaks_at: int | None = None
    failure: Exception | None = None

    def info(self):
        known = super().info()
        return type(known)("remote", "test", "1")

    def open_read(self, key, *, offset=0, length=None):
        source = io.BytesIO(super().open_read(key, offset=offset, length=length).read())
        source.read = self._breaking(source, offset)
        return source

    def _breaking(self, source, offset):
        plain = source.read

        def read(size=-1):
            at = offset + source.tell()
            if self.breaks_at is not None and at + size > self.breaks_at:
                size = self.breaks_at - at
            if size <= 0 and self.failure is not None:
                raise self.failure
            return plain(min(size, 100))

        return read


class Backends:
    """Backends that are there by their id, as the registry gives them."""

    def __init__(self, **drivers):
        self._drivers = drivers

    def storage(self, store_id):
        if store_id not in self._drivers:
            raise errors.BackendNotFound(kind="storage", backend_id=store_id)
        return self._drivers[store_id]


@pytest.fixture
def made(tmp_path):
    """Two stores without files and two with, each with the object `key`."""
    drivers = {}
    for name, kind in (("a", Remote), ("b", Remote), ("f", FileStorage), ("g", FileStorage)):
        options = options_of(kind, {"directory": str(tmp_path / name)})
        drivers[name] = kind(options, backend_id=name)
        drivers[name].open()
        with drivers[name].open_write("key") as writer:
            writer.write(DATA)
            writer.commit()
    return types.SimpleNamespace(backends=Backends(**drivers), **drivers)


def copies(stores):
    return [Copy(one, "key") for one in stores]


def read(made, stores, offset=0, length=None, size=SIZE):
    with disk_reader.DiskReader(made.backends, copies(stores), size, offset, length) as reader:
        return b"".join(iter(lambda: reader.read(97), b""))


@pytest.mark.parametrize("stores", ["ab", "fb", "af"])
@pytest.mark.parametrize(
    ("offset", "length"), [(0, None), (0, 0), (1, 10), (SIZE, None), (SIZE - 5, 99), (300, 1000)]
)
def test_a_part_is_exactly_that_part(made, stores, offset, length):
    end = None if length is None else offset + length
    assert read(made, stores, offset, length) == DATA[offset:end]


@pytest.mark.parametrize("breaks_at", [0, 1, 99, 100, 101, 2000, SIZE - 1])
@pytest.mark.parametrize(
    "failure", [Unavailable("gone"), OSError(errno.EIO, "Input/output error"), None]
)
def test_a_copy_that_breaks_or_ends_early_is_followed_by_the_next_at_the_same_byte(
    made, caplog, breaks_at, failure
):
    made.a.breaks_at, made.a.failure = breaks_at, failure
    assert read(made, "ab") == DATA
    assert read(made, "af") == DATA
    assert f"store=a key=key copy=0 offset={breaks_at}" in caplog.text


def test_a_part_goes_on_at_the_next_copy_too(made):
    made.a.breaks_at, made.a.failure = 1500, Unavailable("gone")
    assert read(made, "ab", 1000, 1000) == DATA[1000:2000]


def test_what_the_last_copy_raises_is_raised(made):
    made.a.breaks_at, made.a.failure = 1000, Unavailable("a is away")
    made.b.breaks_at, made.b.failure = 2000, Unavailable("b is away")
    with pytest.raises(Unavailable, match="b is away"):
        read(made, "ab")
    made.b.failure = OSError(errno.EIO, "Input/output error")
    with pytest.raises(IntegrityError, match="cannot be read"):
        read(made, "ab")
    made.b.failure = None
    with pytest.raises(IntegrityError, match="not whole"):
        read(made, "ab")


def test_a_copy_that_cannot_be_opened_is_passed_over(made):
    made.f.delete("key")
    assert read(made, ["nowhere", "f", "b"]) == DATA
    with pytest.raises(NotFound):
        read(made, "f")
    with pytest.raises(errors.BackendNotFound):
        read(made, ["nowhere"])
    with pytest.raises(errors.NotFound, match="no place"):
        read(made, [])


@pytest.mark.parametrize("data", [b"", DATA[:-1], DATA + b"x"])
def test_a_file_of_another_size_is_passed_over(made, data):
    path = made.f.path("key")
    path.chmod(0o600)
    path.write_bytes(data)
    assert read(made, "fg") == DATA
    with pytest.raises(IntegrityError):
        read(made, "f")


@pytest.mark.parametrize(("offset", "length"), [(-1, None), (SIZE + 1, None), (0, -1)])
def test_a_wrong_part_is_the_callers_fault(made, offset, length):
    with pytest.raises(InvalidArgument):
        read(made, "ab", offset, length)


def test_a_file_is_given_as_it_is_and_anything_else_through_the_reader(made):
    with disk_reader.open_disk(made.backends, copies("fb"), SIZE, 10, 5) as file:
        assert file.fileno() > 0
        assert file.read() == DATA[10:]
    with disk_reader.open_disk(made.backends, copies("bf"), SIZE, 10, 5) as reader:
        assert reader.read() == DATA[10:15]
        # What sends files on its own must not take it for one.
        assert not hasattr(reader, "fileno")


def test_a_closed_reader_gives_nothing(made):
    reader = disk_reader.DiskReader(made.backends, copies("a"), SIZE)
    reader.close()
    reader.close()
    with pytest.raises(ValueError, match="closed"):
        reader.read(1)
