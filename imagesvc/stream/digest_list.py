"""Lists of digests as publishers write them, read strictly and within bounds.

gnu: `HEX  NAME` or `HEX *NAME`. bsd: `SHA256 (NAME) = HEX`. single: one digest, with a name or
without. digests: blocks of lines like gnu, each under `# SHA512 HASH`. Other lines are passed over.
"""

import re
from collections.abc import Iterator

BYTES_MAX, LINES_MAX = 4 << 20, 50_000
_HEX_CHARS = {"sha256": 64, "sha512": 128}
_GNU = re.compile(r"([0-9a-fA-F]+) [ *](.+)")
_BSD = re.compile(r"([A-Z0-9]+) \((.+)\) = ([0-9a-fA-F]+)")
_BLOCK = re.compile(r"# ([A-Z0-9]+) HASH")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+~-]{0,254}")


class UnusableListError(ValueError):
    """The list cannot be believed; the text says why."""


def digest_of(data: bytes, name: str, *, grammar: str, algorithm: str) -> str:
    """The hex digest that a list gives for `name`. Raises UnusableListError."""
    found = {hexes for each, hexes in _entries(data, grammar, algorithm) if each in (name, "")}
    if not found:
        raise UnusableListError(f"the list does not name {name}.")
    if len(found) > 1:
        raise UnusableListError(f"the list gives several digests of {name}.")
    return found.pop()


def names(data: bytes, *, grammar: str, algorithm: str) -> frozenset[str]:
    """All file names of a list that are plain ones. Raises UnusableListError."""
    found = (name for name, _ in _entries(data, grammar, algorithm))
    return frozenset(name for name in found if name)


def _entries(data: bytes, grammar: str, algorithm: str) -> Iterator[tuple[str, str]]:
    """Names and digests; no name for a digest that stands alone."""
    chars = _HEX_CHARS[algorithm]
    for name, hexes in _GRAMMARS[grammar](_lines(data), algorithm):
        plain = name.removeprefix("./")
        if len(hexes) == chars and (not plain or _NAME.fullmatch(plain)):
            yield plain, hexes.lower()


def _lines(data: bytes) -> list[str]:
    if len(data) > BYTES_MAX:
        raise UnusableListError(f"the list has more than {BYTES_MAX} bytes.")
    if data.lstrip()[:1] == b"<":
        raise UnusableListError("the answer is a web page and not a list of digests.")
    lines = data.decode("utf-8", "replace").split("\n")
    if len(lines) > LINES_MAX:
        raise UnusableListError(f"the list has more than {LINES_MAX} lines.")
    return [line.rstrip("\r ") for line in lines]


def _gnu(lines: list[str], algorithm: str) -> Iterator[tuple[str, str]]:
    for line in lines:
        if found := _GNU.fullmatch(line):
            yield found[2], found[1]


def _bsd(lines: list[str], algorithm: str) -> Iterator[tuple[str, str]]:
    for line in lines:
        found = _BSD.fullmatch(line)
        if found and found[1].lower() == algorithm:
            yield found[2], found[3]


def _digests(lines: list[str], algorithm: str) -> Iterator[tuple[str, str]]:
    block = ""
    for line in lines:
        if head := _BLOCK.fullmatch(line):
            block = head[1].lower()
        elif block == algorithm and (found := _GNU.fullmatch(line)):
            yield found[2], found[1]


def _single(lines: list[str], algorithm: str) -> Iterator[tuple[str, str]]:
    said = [line for line in lines if line]
    if len(said) != 1:
        raise UnusableListError("the list is not one line of a digest.")
    if re.fullmatch(r"[0-9a-fA-F]+", said[0]):
        yield "", said[0]
    yield from _gnu(said, algorithm)


_GRAMMARS = {"gnu": _gnu, "bsd": _bsd, "digests": _digests, "single": _single}
