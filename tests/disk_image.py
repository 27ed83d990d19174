"""Disk images as a tool makes them, and whether two of them hold the same disk."""

import json
import random
import subprocess

SIZE = 5 << 20
# Ours -> qemu-img's format and options.
FORMATS = {
    "raw": ("raw", ""),
    "qcow2": ("qcow2", ""),
    "vmdk": ("vmdk", ""),
    "vmdk-stream": ("vmdk", "subformat=streamOptimized"),
    "vhd": ("vpc", "force_size=on"),
    "vhd-fixed": ("vpc", "force_size=on,subformat=fixed"),
    "vhdx": ("vhdx", ""),
    "vdi": ("vdi", ""),
    "qed": ("qed", ""),
    "qcow": ("qcow", ""),
}


def make_raw(folder):
    """A raw disk with a few bytes here and there; its path."""
    chance = random.Random(5)
    data = bytearray(SIZE)
    for at in (0, 1 << 20, (3 << 20) + 4096, SIZE - 512):
        data[at : at + 512] = chance.randbytes(512)
    path = folder / "disk.raw"
    path.write_bytes(data)
    return path


def convert(raw, name):
    """The disk in a format; its bytes."""
    qemu, options = FORMATS[name]
    path = raw.with_suffix(f".source-{name}")
    more = ["-o", options] if options else []
    argv = ["qemu-img", "convert", "-f", "raw", "-O", qemu, *more, str(raw), str(path)]
    subprocess.run(argv, check=True)
    return path.read_bytes()


def same(raw, path, name):
    """Whether the file holds the disk, its size too, as an independent run of the tool sees it."""
    qemu = FORMATS[name][0]
    argv = ["qemu-img", "compare", "-f", "raw", "-F", qemu, str(raw), str(path)]
    found = subprocess.run(argv, capture_output=True, text=True)
    if found.returncode:
        return found.stdout + found.stderr
    argv = ["qemu-img", "info", "-f", qemu, "--output=json", str(path)]
    told = subprocess.run(argv, capture_output=True, check=True).stdout
    return json.loads(told)["virtual-size"] == raw.stat().st_size
