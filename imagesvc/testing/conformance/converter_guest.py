"""Laws of converters that look into guests (GUEST_FACTS)."""

from pathlib import Path

import pytest

from imagesvc.interface import converter, errors
from imagesvc.testing.conformance import base, guest


class ConverterGuestConformance(base.DriverConformance):
    """`ConverterConformance` derives from it, and gives the fixture `raw`."""

    def looks(self, driver: converter.ConverterDriver, raw: converter.Source) -> bool:
        """Whether GUEST_FACTS is promised; if not, `facts` has to say NotSupported."""
        if self.has(driver, converter.ConverterCapability.GUEST_FACTS):
            return True
        with pytest.raises(errors.NotSupported):
            driver.facts(raw)
        return False

    @pytest.mark.parametrize("machine", [guest.X86_64, guest.AARCH64], ids=["x86_64", "aarch64"])
    def test_what_starts_a_disk_is_found(
        self, driver: converter.ConverterDriver, raw: converter.Source, tmp_path: Path, machine: int
    ) -> None:
        """Boot code is of a BIOS; a loader in the EFI partition is of UEFI, and has a machine."""
        if not self.looks(driver, raw):
            return
        name, word = {
            guest.X86_64: ("BOOTX64.EFI", "x86_64"), guest.AARCH64: ("BOOTAA64.EFI", "aarch64")
        }[machine]  # fmt: skip
        system = guest.fat({f"EFI/BOOT/{name}": guest.pe(machine)})
        for disk, firmware, architecture in (
            (guest.mbr([(0x83, bytes(1 << 20))], code=b"\xfa\xeb\xfe"), ("bios",), None),
            (guest.gpt([(guest.ESP, system)]), ("uefi",), word),
            (guest.mbr([(0xEF, system)], code=b"\xfa\xeb\xfe"), ("bios", "uefi"), word),
        ):
            path = tmp_path / "disk"
            path.write_bytes(disk)
            found = driver.facts(converter.Source("raw", path=path))
            assert (found.firmware, found.architecture, found.os_type) == (
                firmware, architecture, None,
            )  # fmt: skip

    @pytest.mark.parametrize(
        "data",
        [
            b"",
            bytes(1 << 20),
            b"\xff" * (1 << 20),
            bytes(1080) + b"\x53\xef" + b"\xff" * (1 << 16),
            guest.gpt([(guest.ESP, guest.fat({"EFI/BOOT/BOOTX64.EFI": b"MZ"}))])[: 1 << 20],
        ],
        ids=["none", "zeroes", "ones", "no-file-system", "cut"],
    )
    def test_what_is_not_known_is_not_said(
        self, driver: converter.ConverterDriver, raw: converter.Source, tmp_path: Path, data: bytes
    ) -> None:
        """Whatever the bytes are, `facts` raises nothing and guesses nothing."""
        if not self.looks(driver, raw):
            return
        path = tmp_path / "disk"
        path.write_bytes(data)
        for disk_format in ("raw", "qcow2"):
            found = driver.facts(converter.Source(disk_format, path=path))
            assert (found.os_type, found.architecture, found.firmware) == (None, None, ())

    def test_a_look_that_may_take_no_time_ends(
        self, driver: converter.ConverterDriver, raw: converter.Source
    ) -> None:
        """Limits that are reached are no error: what is not known by then is not said."""
        if not self.looks(driver, raw):
            return
        found = driver.facts(raw, limits=converter.Limits(cpu_s=1, wall_s=0.001))
        assert found == converter.GuestFacts()
