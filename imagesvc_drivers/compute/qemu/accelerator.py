"""Which accelerator works here: KVM only if a guest was seen running on it, and not slowly.

`/dev/kvm` may exist and QEMU may even stay up while no guest gets anywhere, or gets there many
times later than without KVM, as in a virtual machine whose host lends it KVM at a high price. So a
boot sector that says one line on COM1 and powers off is the judge. The answer is kept for this boot
of the machine and this QEMU.
"""

import subprocess
import time
from pathlib import Path

from imagesvc_drivers.client import record

_BANNER = b"IMAGESVC-ACCEL"
# 8086 code at 0x7c00: 8n1 on 0x3f8, write the text after it, ACPI S5 through port 0x604.
_CODE = bytes.fromhex(
    "fa31c08ed88ed0bc007cbafb03b003eebe347cac84c0741288c4bafd03eca82074fb88e0baf803ee"
    "ebe9ba0406b80020eff4ebfd494d4147455356432d414343454c0a00"
)
_DISK_BYTES = 1 << 20
_KVM = Path("/dev/kvm")
_WAIT_S = 2.0
# KVM that takes so much longer than TCG gets no guest. A boot of this sector is mostly QEMU's own
# start: with KVM of the hardware both take about the same time.
_SLOWER_MAX = 5.0

ARGUMENTS = {
    "kvm": ("-accel", "kvm", "-cpu", "host"),
    "tcg": ("-accel", "tcg,tb-size=64"),
}


def choose(wanted: str, binary: str, state_dir: Path) -> str:
    """`kvm` or `tcg`; `wanted` is one of them, or `auto` to probe."""
    if wanted != "auto":
        return wanted
    question = {"binary": binary, "boot_id": _boot_id()}
    with record.lock(state_dir / "accelerator.lock", wait_s=30):
        known = record.read(state_dir / "accelerator.json")
        if known and known["question"] == question:
            return str(known["answer"])
        answer = _faster(binary, state_dir)
        record.write(state_dir / "accelerator.json", {"question": question, "answer": answer})
    return answer


def _faster(binary: str, state_dir: Path) -> str:
    if not _KVM.exists():
        return "tcg"
    took_s = _boot_s(binary, "tcg", state_dir, _WAIT_S) or _WAIT_S
    return "kvm" if _boot_s(binary, "kvm", state_dir, _SLOWER_MAX * took_s) else "tcg"


def _boot_s(binary: str, accelerator: str, state_dir: Path, limit_s: float) -> float | None:
    """Seconds until the guest has spoken and ended; None if it has not, so soon."""
    disk = state_dir / "accelerator.raw"
    disk.write_bytes((_CODE.ljust(510, b"\0") + b"\x55\xaa").ljust(_DISK_BYTES, b"\0"))
    argv = [binary, "-nodefaults", "-no-user-config", "-display", "none", "-m", "16"]
    argv += [*ARGUMENTS[accelerator], "-serial", "stdio", "-blockdev"]
    name = str(disk).replace(",", ",,")
    argv += [f"driver=raw,node-name=d,read-only=on,file.driver=file,file.filename={name}"]
    argv += ["-device", "virtio-blk-pci,drive=d,bootindex=1"]
    begun = time.monotonic()
    try:
        done = subprocess.run(
            argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            timeout=limit_s, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return None
    return time.monotonic() - begun if _BANNER in done.stdout else None


def _boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
