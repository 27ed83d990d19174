"""How large each part of a multipart upload is.

S3 takes 10000 parts and the length of an upload may be unknown: the size grows with the number,
by the first size every 1000 parts. So 55000 times the first size fit (859 GiB at 16 MiB).
"""

MIB = 1 << 20
PARTS_MAX = 10_000
_STEP = 1000
_ALL = sum(range(1, PARTS_MAX // _STEP + 1)) * _STEP


def first(wanted_bytes: int, object_bytes: int | None) -> int:
    """Bytes of the first part: those wanted, or more if the object would not fit, whole MiB."""
    needed = -(-(object_bytes or 0) // _ALL)
    return max(wanted_bytes, -(-needed // MIB) * MIB)


def of(first_bytes: int, number: int) -> int:
    """Bytes of part `number`, counted from 1."""
    return first_bytes * (1 + (number - 1) // _STEP)


def total(first_bytes: int) -> int:
    """Bytes of the largest object that begins with such a part."""
    return first_bytes * _ALL
