"""Lists of digests as publishers write them, read strictly and within bounds.

gnu: `HEX  NAME` or `HEX *NAME`. bsd: `SHA256 (NAME) = HEX`. single: one digest, with a name or
without. digests: blocks of lines like gnu, each under `# SHA512 HASH`. Other lines are passed over.
"""

import re
from collections.abc import Iterator

BYTES_MAX, LINES_MAX = 4 << 20, 50_000
# Strongest first.
_HEX_CHARS = {"sha512": 128, "sha256": 64}
_BY_CHARS = {chars: algorithm for algorithm, chars in _HEX_CHARS.items()}
_HEX = r"[0-9a-fA-F]{64,128}"
_GNU = re.compile(rf"({_HEX}) [ *](.+)")
_BSD = re.compile(rf"([A-Z0-9]+) \((.+)\) = ({_HEX})")
_BLOCK = re.compile(r"# ([A-Z0-9]+) HASH")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+~-]{0,254}")

_Entry = tuple[str, str, str]


class UnusableListError(ValueError):
    """The list cannot be believed; the text says why."""


def digest_of(data: bytes, name: str, *, grammar: str) -> tuple[str, str]:
    """The strongest digest that a list gives for `name`: algorithm and hex. Raises UnusableListError."""
    found = {one[1:] for one in _entries(data, grammar) if one[0] in (name, "")}
    for algorithm in _HEX_CHARS:
        values = [each for each in found if each[0] == algorithm]
        if len(values) > 1:
            raise UnusableListError(f"the list gives several digests of {name}.")
        if values:
            return values[0]
    raise UnusableListError(f"the list does not name {name}.")


def names(data: bytes, *, grammar: str) -> frozenset[str]:
    """All file names of a list that are plain ones. Raises UnusableListError."""
    return frozenset(name for name, _, _ in _entries(data, grammar) if name)


def _entries(data: bytes, grammar: str) -> Iterator[_Entry]:
    """Names, algorithms and digests; no name for a digest that stands alone."""
    for name, algorithm, hexes in _GRAMMARS[grammar](_lines(data)):
        plain = name.removeprefix("./")
        fits = _HEX_CHARS.get(algorithm) == len(hexes)
        if fits and (not plain or _NAME.fullmatch(plain)):
            yield plain, algorithm, hexes.lower()


def _lines(data: bytes) -> list[str]:
    if len(data) > BYTES_MAX:
        raise UnusableListError(f"the list has more than {BYTES_MAX} bytes.")
    if data.lstrip()[:1] == b"<":
        raise UnusableListError("the answer is a web page and not a list of digests.")
    lines = data.decode("utf-8", "replace").split("\n")
    if len(lines) > LINES_MAX:
        raise UnusableListError(f"the list has more than {LINES_MAX} lines.")
    return [line.rstrip("\r ") for line in lines]


def _gnu(lines: list[str]) -> Iterator[_Entry]:
    for line in lines:
        if found := _GNU.fullmatch(line):
            yield found[2], _BY_CHARS.get(len(found[1]), ""), found[1]


def _bsd(lines: list[str]) -> Iterator[_Entry]:
    for line in lines:
        if found := _BSD.fullmatch(line):
            yield found[2], found[1].lower(), found[3]


def _digests(lines: list[str]) -> Iterator[_Entry]:
    block = ""
    for line in lines:
        if head := _BLOCK.fullmatch(line):
            block = head[1].lower()
        elif found := _GNU.fullmatch(line):
            yield found[2], block, found[1]


def _single(lines: list[str]) -> Iterator[_Entry]:
    said = [line for line in lines if line]
    if len(said) != 1:
        raise UnusableListError("the list is not one line of a digest.")
    if re.fullmatch(_HEX, said[0]):
        yield "", _BY_CHARS.get(len(said[0]), ""), said[0]
    yield from _gnu(said)
    yield from _bsd(said)


_GRAMMARS = {"gnu": _gnu, "bsd": _bsd, "digests": _digests, "single": _single}
