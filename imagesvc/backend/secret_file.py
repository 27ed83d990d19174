"""Secrets from files: each secret option NAME has a twin NAME_file, for mounted secrets."""

import stat
from collections.abc import Container, Iterable
from pathlib import Path

from oslo_config import cfg

BYTES_MAX = 65536
_SUFFIX = "_file"


class Exposed(Exception):
    """Everybody may read the file; the text says what to do."""


def twins(options: Iterable[cfg.Opt]) -> tuple[cfg.Opt, ...]:
    """The twin of each secret option."""
    return tuple(
        cfg.StrOpt(
            option.dest + _SUFFIX,
            help=f"File that holds the value of {option.dest}, for mounted secrets; give one of "
            "the two. It is read once at the start; a file that everybody may read is refused.",
        )
        for option in options
        if option.secret
    )


def twin_name(option: cfg.Opt) -> str:
    """Name of the twin of a secret option."""
    return f"{option.dest}{_SUFFIX}"


def is_twin(name: str, names: Container[str]) -> bool:
    """Whether an option among `names` is the twin of another."""
    return name.endswith(_SUFFIX) and name.removesuffix(_SUFFIX) in names


def read(path: str) -> str:
    """The secret in a file, without the newline at its end.

    Raises OSError, UnicodeError, Exposed.
    """
    with Path(path).open(encoding="utf-8") as file:
        if Path(path).stat().st_mode & stat.S_IROTH:
            raise Exposed("it is readable by everybody: chmod o= it")
        return file.read(BYTES_MAX).rstrip("\r\n")


def said(exc: Exception) -> str:
    """What may be shown of a failure: the texts of other errors might hold the secret."""
    return str(exc) if isinstance(exc, Exposed) else type(exc).__name__
