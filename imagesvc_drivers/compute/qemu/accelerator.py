"""Which accelerator works here: KVM only if a guest was seen running on it.

`/dev/kvm` may exist and QEMU may even stay up while no guest gets anywhere, so a boot sector
that says one line on COM1 and powers off is the judge. The answer is kept for this boot of
the machine and this QEMU.
"""

import subprocess
from pathlib import Path

from imagesvc_drivers.client import record

_BANNER = b"IMAGESVC-ACCEL"
# 8086 code at 0x7c00: 8n1 on 0x3f8, write the text after it, ACPI S5 through port 0x604.
_CODE = bytes.fromhex(
    "fa31c08ed88ed0bc007cbafb03b003eebe347cac84c0741288c4bafd03eca82074fb88e0baf803ee"
    "ebe9ba0406b80020eff4ebfd494d4147455356432d414343454c0a00"
)
_DISK_BYTES = 1 << 20
_WAIT_S = 2.0

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
        answer = "kvm" if _runs(binary, "kvm", state_dir) else "tcg"
        record.write(state_dir / "accelerator.json", {"question": question, "answer": answer})
    return answer


def _runs(binary: str, accelerator: str, state_dir: Path) -> bool:
    if not Path("/dev/kvm").exists():
        return False
    disk = state_dir / "accelerator.raw"
    disk.write_bytes((_CODE.ljust(510, b"\0") + b"\x55\xaa").ljust(_DISK_BYTES, b"\0"))
    argv = [binary, "-nodefaults", "-no-user-config", "-display", "none", "-m", "16"]
    argv += [*ARGUMENTS[accelerator], "-serial", "stdio", "-blockdev"]
    name = str(disk).replace(",", ",,")
    argv += [f"driver=raw,node-name=d,read-only=on,file.driver=file,file.filename={name}"]
    argv += ["-device", "virtio-blk-pci,drive=d,bootindex=1"]
    try:
        done = subprocess.run(
            argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            timeout=_WAIT_S, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired as exc:
        return _BANNER in (exc.stdout or b"")
    return _BANNER in done.stdout


def _boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
