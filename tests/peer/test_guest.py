"""A Windows-like disk made anew by NTFS-3G and mtools is what the tests keep a copy of."""

import subprocess

import pytest

from imagesvc.interface import converter
from imagesvc.testing.conformance.options import options_of
from imagesvc_drivers.converter.qemu_img import QemuImgConverter
from tests import guest_disk

pytestmark = [pytest.mark.peer, pytest.mark.timeout(120)]


def test_a_disk_made_anew_tells_what_the_kept_one_tells(tmp_path):
    fresh = tmp_path / "fresh.raw"
    command = [guest_disk.TOOLS / "make-test-image", "windows", fresh]
    subprocess.run(command, check=True, capture_output=True)
    driver = QemuImgConverter(options_of(QemuImgConverter, {}), backend_id="test")
    driver.open()
    found = [
        driver.facts(converter.Source(disk_format, path=path))
        for disk_format, path in (
            ("raw", guest_disk.windows(tmp_path)),
            ("raw", fresh),
            ("qcow2", fresh.with_suffix(".qcow2")),
        )
    ]
    assert found[0] == found[1] == found[2]
    assert (found[1].os_type, found[1].os_version) == ("windows", "10.0.20348")
