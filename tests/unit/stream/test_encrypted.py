import os
from pathlib import Path

import pytest

from imagesvc.domain import storage_key
from imagesvc.interface import errors
from imagesvc.stream.encrypted import EncryptedStorage, is_local_file
from imagesvc.stream.envelope import HEADER_BYTES, LAYOUT
from imagesvc_drivers.storage.file import FileStorage

IMAGE = "0b2f8a3e-5a0c-4a38-9a3e-0c3c4d5e6f70"
KEY = storage_key.make(IMAGE, "one", encrypted=True)
PLAIN = storage_key.make(IMAGE, "one", encrypted=False)
SIZES = (0, 1, LAYOUT.first_bytes, LAYOUT.first_bytes + 1, (3 << 20) + 17)


class Options:
    mirror_directory: str | None = None

    def __init__(self, folder: Path) -> None:
        self.directory = str(folder)


@pytest.fixture
def driver(tmp_path: Path):
    made = FileStorage(Options(tmp_path), backend_id="local")
    made.open()
    return made


@pytest.fixture
def store(driver: FileStorage) -> EncryptedStorage:
    return EncryptedStorage(driver, lambda image_id: image_id.encode().ljust(32, b"-")[:32])


def put(store, key: str, data: bytes) -> None:
    with store.open_write(key) as writer:
        for at in range(0, len(data), 300_000):
            writer.write(data[at : at + 300_000])
        assert writer.offset == len(data)
        writer.commit()


@pytest.mark.parametrize("size", SIZES)
def test_what_is_read_is_what_was_written_and_the_file_holds_something_else(
    store: EncryptedStorage, driver: FileStorage, size: int
) -> None:
    data = os.urandom(size)
    put(store, KEY, data)

    with store.open_read(KEY) as reader:
        assert reader.read() == data
    assert store.stat(KEY).size_bytes == size
    assert [one.size_bytes for one in store.list()] == [size]
    raw = driver.path(KEY).read_bytes()
    assert len(raw) == LAYOUT.sealed_bytes(size)
    assert size < 16 or data[:16] not in raw


@pytest.mark.parametrize(
    ("offset", "length"),
    [(0, 10), (5, 0), (1 << 20, 70_000), (LAYOUT.first_bytes - 3, 6), ((3 << 20) + 16, 10),
     ((3 << 20) + 17, None), (17, None)],
)  # fmt: skip
def test_a_range_is_exactly_that_range(
    store: EncryptedStorage, offset: int, length: int | None
) -> None:
    data = os.urandom((3 << 20) + 17)
    put(store, KEY, data)

    with store.open_read(KEY, offset=offset, length=length) as reader:
        end = None if length is None else offset + length
        assert reader.read() == data[offset:end]


def test_a_range_reads_two_segments_at_most(
    store: EncryptedStorage, driver: FileStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(store, KEY, os.urandom(8 << 20))
    asked: list[int] = []
    read = driver.open_read

    def counting(key: str, *, offset: int = 0, length: int | None = None):
        asked.append(length or 0)
        return read(key, offset=offset, length=length)

    monkeypatch.setattr(driver, "open_read", counting)
    with store.open_read(KEY, offset=(5 << 20) - 100, length=65_536) as reader:
        assert len(reader.read()) == 65_536
    assert sum(asked) <= 2 * LAYOUT.segment_bytes + 64


@pytest.mark.parametrize(("offset", "length"), [(11, 1), (-1, 1), (0, -1)])
def test_a_range_outside_is_refused(store: EncryptedStorage, offset: int, length: int) -> None:
    put(store, KEY, b"0123456789")
    with pytest.raises(errors.InvalidArgument):
        store.open_read(KEY, offset=offset, length=length)


def test_bytes_of_a_plain_key_pass_as_they_are(
    store: EncryptedStorage, driver: FileStorage
) -> None:
    put(store, PLAIN, b"plain")
    assert driver.path(PLAIN).read_bytes() == b"plain"
    assert store.path(PLAIN) == driver.path(PLAIN)
    assert is_local_file(store, PLAIN)


def test_nobody_is_handed_the_encrypted_file(store: EncryptedStorage) -> None:
    put(store, KEY, b"secret")
    assert not is_local_file(store, KEY)
    for call in (store.path, store.presign):
        with pytest.raises(errors.NotSupported):
            call(KEY)
    with pytest.raises(errors.NotSupported):
        store.copy(KEY, storage_key.make(IMAGE, "two", encrypted=True))


def test_an_object_in_the_place_of_another_does_not_open(
    store: EncryptedStorage, driver: FileStorage
) -> None:
    other = storage_key.make(IMAGE, "two", encrypted=True)
    put(store, KEY, b"first")
    put(store, other, b"other")
    driver.path(KEY).chmod(0o600)
    driver.path(KEY).write_bytes(driver.path(other).read_bytes())
    with pytest.raises(errors.IntegrityError), store.open_read(KEY) as reader:
        reader.read()


def test_an_empty_object_proves_that_it_is_empty(
    store: EncryptedStorage, driver: FileStorage
) -> None:
    put(store, KEY, b"")
    path = driver.path(KEY)
    path.chmod(0o600)
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(errors.IntegrityError), store.open_read(KEY) as reader:
        reader.read()


def test_without_a_key_nothing_is_written(driver: FileStorage) -> None:
    def none(image_id: str) -> bytes:
        raise errors.KeyUnavailable("The key is disabled.")

    store = EncryptedStorage(driver, none)
    with pytest.raises(errors.KeyUnavailable):
        store.open_write(KEY)
    assert store.list() == []


def test_a_copy_is_read_by_its_own_size(tmp_path: Path) -> None:
    options = Options(tmp_path / "one")
    options.mirror_directory = str(tmp_path / "two")
    for folder in (options.directory, options.mirror_directory):
        Path(folder).mkdir()
    driver = FileStorage(options, backend_id="local")
    driver.open()
    store = EncryptedStorage(driver, lambda image_id: bytes(32))
    data = os.urandom((1 << 20) + 500)
    put(store, KEY, data)
    first = driver.path(KEY)
    first.chmod(0o600)
    first.write_bytes(first.read_bytes()[:-20])

    with pytest.raises(errors.IntegrityError), store.open_copy(KEY, 0) as reader:
        reader.read()
    with store.open_copy(KEY, 1) as reader:
        assert reader.read() == data


@pytest.mark.parametrize("size", [0, 1, HEADER_BYTES + 5, 1 << 20, (2 << 20) + 999, (3 << 20) + 10])
def test_a_write_that_goes_on_makes_the_object_that_it_would_have_been(
    store: EncryptedStorage, driver: FileStorage, size: int
) -> None:
    data = os.urandom((3 << 20) + 17)
    writer = store.open_write(KEY)
    writer.write(data[:size])
    upload_id = writer.upload_id
    writer.leave()
    with store.resume_write(KEY, upload_id) as other:
        assert other.offset <= size
        assert LAYOUT.plain_start(LAYOUT.segment_of(other.offset)) == other.offset
        other.write(data[other.offset :])
        other.commit()
    with store.open_read(KEY) as reader:
        assert reader.read() == data


def test_a_write_goes_on_in_the_middle_of_a_sealed_segment(
    store: EncryptedStorage, driver: FileStorage
) -> None:
    data = os.urandom((4 << 20) + 17)
    writer = store.open_write(KEY)
    writer.write(data)
    upload_id = writer.upload_id
    writer.leave()
    (part,) = driver.path_of(KEY).parent.parent.joinpath(".part").iterdir()
    before = part.read_bytes()
    os.truncate(part, (2 << 20) + 1234)
    with store.resume_write(KEY, upload_id) as other:
        assert other.offset == LAYOUT.plain_start(2)
        other.write(data[other.offset :])
        other.commit()
    assert driver.path(KEY).read_bytes()[: len(before)] == before
    with store.open_read(KEY) as reader:
        assert reader.read() == data


@pytest.mark.parametrize("wrong", ["", "ab:", "zz" * HEADER_BYTES + ":x"])
def test_a_write_without_its_header_is_not_gone_on_with(
    store: EncryptedStorage, wrong: str
) -> None:
    with pytest.raises(errors.NotFound):
        store.resume_write(KEY, wrong)
