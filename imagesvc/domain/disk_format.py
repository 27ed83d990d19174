"""Disk and container formats, and which of them we can judge."""

DISK_FORMATS = (
    "ami", "ari", "aki", "vhd", "vhdx", "vmdk", "raw", "qcow2", "vdi", "iso", "ploop", "qed",
)  # fmt: skip
CONTAINER_FORMATS = ("ami", "ari", "aki", "bare", "ovf", "ova", "docker", "compressed")

# Containers that wrap the disk in another format; in the others the bytes are the disk itself.
WRAPPING_CONTAINERS = frozenset({"ovf", "ova", "docker", "compressed"})
# Those that are looked into and stored as they came; bytes in the others are refused.
JUDGED_CONTAINERS = frozenset({"ova", "compressed"})

# Formats that have rules in stream/format; bytes of any other are refused.
JUDGED_FORMATS = frozenset({"raw", "qcow2", "iso", "vmdk", "vhd", "vhdx", "vdi", "qed", "qcow"})
# Those that an image may have; the others become another format on their way in.
KEPT_FORMATS = tuple(sorted(JUDGED_FORMATS & set(DISK_FORMATS)))
# Formats with structure: gate two reads them with a tool as well.
STRUCTURED_FORMATS = JUDGED_FORMATS - {"raw", "iso"}
