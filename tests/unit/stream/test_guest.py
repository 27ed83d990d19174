"""A stored disk is looked into, and no fault of anybody fails its image."""

import dataclasses

import pytest

from imagesvc.domain.guest import Guest
from imagesvc.interface import converter as converters
from imagesvc.interface import errors
from imagesvc.stream import guest
from imagesvc.testing.conformance import guest as disks
from imagesvc.testing.conformance.options import options_of
from imagesvc_drivers.converter.qemu_img import QemuImgConverter
from imagesvc_drivers.storage.file import FileStorage

KEY = "image/disk"
BOOTS = disks.mbr([(0xEF, disks.fat({"EFI/BOOT/BOOTX64.EFI": disks.pe(disks.X86_64)}))])
FOUND = Guest(architecture="x86_64", firmware=("uefi",), file_systems=("fat",))


@pytest.fixture
def store(tmp_path):
    made = FileStorage(options_of(FileStorage, {"directory": str(tmp_path)}), backend_id="test")
    made.open()
    yield made
    made.close()


@pytest.fixture
def qemu_img():
    made = QemuImgConverter(options_of(QemuImgConverter, {}), backend_id="test")
    made.open()
    return made


def kept(store, data):
    with store.open_write(KEY, size=len(data)) as writer:
        writer.write(data)
        writer.commit()
    return len(data)


class Remote:
    """The same store seen as one without local files."""

    def __init__(self, store):
        self.open_read = store.open_read
        self._info = store.info()

    def info(self):
        return dataclasses.replace(self._info, capabilities=frozenset())


class Counting:
    """A converter that says `facts`, or raises it, and counts how often it was asked.

    Why a fake: answers that no honest converter gives.
    """

    def __init__(self, facts, *, able=True):
        self.facts_, self.able, self.asked = facts, able, 0

    def info(self):
        able = {converters.ConverterCapability.GUEST_FACTS} if self.able else ()
        return dataclasses.replace(
            QemuImgConverter(options_of(QemuImgConverter, {}), backend_id="x").info(),
            capabilities=frozenset(able),
        )

    def facts(self, source, *, limits=None):
        self.asked += 1
        if isinstance(self.facts_, Exception):
            raise self.facts_
        return self.facts_


@pytest.mark.parametrize("remote", [False, True])
def test_a_stored_disk_is_looked_into(store, qemu_img, remote):
    size = kept(store, BOOTS)
    place = Remote(store) if remote else store
    assert guest.look(qemu_img, "raw", place, KEY, size) == FOUND


@pytest.mark.parametrize("data", [b"x" * (1 << 20), bytes(1 << 20), BOOTS[:1024]])
def test_mere_bytes_start_no_tool(store, data):
    converter = Counting(converters.GuestFacts())
    assert guest.look(converter, "raw", store, KEY, kept(store, data)) is None
    assert converter.asked == 0


@pytest.mark.parametrize(
    "cause", [errors.NotSupported("No sandbox."), errors.Timeout("Slow."), OSError("No fork.")]
)
def test_a_converter_that_cannot_look_fails_nothing(store, cause):
    converter = Counting(cause)
    assert guest.look(converter, "raw", store, KEY, kept(store, BOOTS)) is None
    assert converter.asked == 1


def test_a_store_that_is_away_fails_nothing(store, qemu_img):
    class Away(Remote):
        def __init__(self, store):
            super().__init__(store)
            self.open_read = self._away

        def _away(self, key, *, offset=0, length=None):
            raise errors.Unavailable("Away.")

    assert guest.look(qemu_img, "raw", Away(store), KEY, len(BOOTS)) is None
    assert guest.look(qemu_img, "qcow2", Away(store), KEY, len(BOOTS)) is None


def test_a_converter_that_promises_nothing_is_not_asked(store):
    converter = Counting(converters.GuestFacts(os_type="linux"), able=False)
    assert guest.look(converter, "raw", store, KEY, kept(store, BOOTS)) is None
    assert converter.asked == 0


def test_the_good_words_of_a_bad_answer_are_kept():
    said = converters.GuestFacts(
        os_type="plan9", os_distro="a" * 129, os_version="7\x1b[31m", os_name=7,  # type: ignore[arg-type]
        architecture="x86_64", firmware=("uefi", "coreboot"), virtio="yes",  # type: ignore[arg-type]
        cloud_init=True, label="", file_systems=("ext", "/etc"),
    )  # fmt: skip
    assert guest.judge(said) == Guest(
        architecture="x86_64", firmware=("uefi",), cloud_init=True, file_systems=("ext",)
    )
    assert guest.judge(converters.GuestFacts()) is None
