"""The installation's secret key, and those of single purposes that are made from it."""

import hashlib
import hmac
from pathlib import Path

from oslo_config import cfg

from imagesvc import errors

_BYTES_MIN = 32


def read(conf: cfg.ConfigOpts) -> bytes:
    """Read the installation's key. Raises ConfigurationError."""
    path = Path(conf.service.key_file)
    if not path.is_file():
        raise errors.ConfigurationError(
            f"There is no key file {path}. Run `imagesvc-manage db upgrade`, which makes it, or "
            "restore it from the backup: signatures of the audit trail depend on it."
        )
    key = path.read_bytes().strip()
    if len(key) < _BYTES_MIN:
        raise errors.ConfigurationError(
            f"The key file {path} holds less than {_BYTES_MIN} bytes."
        )  # fmt: skip
    return key


def audit(conf: cfg.ConfigOpts) -> bytes:
    """The key of the audit trail's HMACs. Raises ConfigurationError."""
    return derive(read(conf), b"audit")


def derive(key: bytes, purpose: bytes) -> bytes:
    """The key of one purpose, 32 bytes."""
    return hmac.new(key, b"imagesvc/" + purpose, hashlib.sha256).digest()
