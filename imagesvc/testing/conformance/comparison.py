"""Comparisons of many bytes."""


def same(found: object, wanted: object) -> bool:
    """Whether two are equal.

    An answer for `assert`, which would explain two unequal megabytes byte by byte, for minutes.
    """
    return found == wanted
