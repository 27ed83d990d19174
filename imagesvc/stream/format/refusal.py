"""The two ways in which gate one says no."""

from imagesvc import errors


def mismatch(cause: str) -> errors.UnsupportedImage:
    """The bytes are not of the declared format."""
    return errors.UnsupportedImage(cause=cause, reason=errors.Reason.FORMAT_MISMATCH)


def unsafe(cause: str) -> errors.UnsupportedImage:
    """The bytes are of the declared format, but may not be used."""
    return errors.UnsupportedImage(cause=cause, reason=errors.Reason.FORMAT_UNSAFE)
