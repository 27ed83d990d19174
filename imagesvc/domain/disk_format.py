"""Disk and container formats, and which of them we can judge."""

DISK_FORMATS = (
    "ami", "ari", "aki", "vhd", "vhdx", "vmdk", "raw", "qcow2", "vdi", "iso", "ploop",
)  # fmt: skip
CONTAINER_FORMATS = ("ami", "ari", "aki", "bare", "ovf", "ova", "docker", "compressed")

# Containers that wrap the disk in another format. We have no rules for any of them, so their
# bytes are refused; in the others the bytes are the disk itself.
WRAPPING_CONTAINERS = frozenset({"ovf", "ova", "docker", "compressed"})

# Formats that have rules in stream/format; bytes of any other are refused.
JUDGED_FORMATS = frozenset({"raw", "qcow2", "iso"})
# Formats with structure: gate two reads them with a tool as well.
STRUCTURED_FORMATS = frozenset({"qcow2"})
