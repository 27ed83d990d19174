"""Names of builds as entries write them: text with placeholders of fixed grammars.

{date8} is a day as eight digits, {int} a whole number, {version} numbers with dots or dashes
between. Builds are ordered by their numbers, not as text.
"""

import re
from collections.abc import Iterable

_GRAMMARS = {
    "date8": r"[0-9]{8}",
    "int": r"[0-9]{1,18}",
    "version": r"[0-9]{1,18}(?:[.-][0-9]{1,18}){0,7}",
}
_PART = re.compile(r"\{([a-z0-9]+)\}")
_NUMBER = re.compile(r"[0-9][0-9.]*\Z")
_NAME_CHARS_MAX = 255


class Pattern:
    """One name with placeholders. Raises ValueError for one that is not known, or if none is there."""

    def __init__(self, text: str) -> None:
        literals = _PART.split(text)
        unknown = set(literals[1::2]) - _GRAMMARS.keys()
        if len(literals) == 1:
            raise ValueError(f"{text} has no placeholder")
        if unknown:
            raise ValueError(f"{{{sorted(unknown)[0]}}} is not a placeholder")
        number = _NUMBER.search(literals[0])
        before = literals[0][: number.start()] if number else literals[0]
        literals[0] = number[0] if number else ""
        body = "".join(
            _GRAMMARS[part] if at % 2 else re.escape(part) for at, part in enumerate(literals[:-1])
        )
        self._form = re.compile(f"{re.escape(before)}({body}){re.escape(literals[-1])}")

    def build(self, name: str) -> str | None:
        """The build that a name is of: from the first placeholder to the end of the last, and the
        digits that stand right before it."""
        found = self._form.fullmatch(name) if len(name) <= _NAME_CHARS_MAX else None
        return found[1] if found else None

    def newest(self, names: Iterable[str]) -> tuple[str, str] | None:
        """The newest name by its numbers, and its build; None if none of them is of this form."""
        builds = {name: self.build(name) for name in names}
        found = [(order(build), name, build) for name, build in builds.items() if build is not None]
        return max(found)[1:] if found else None


def order(build: str) -> tuple[int, ...]:
    """What tells which of two builds is the newer one."""
    return tuple(int(number) for number in re.findall(r"[0-9]{1,18}", build))


def fill(text: str, **known: str) -> str:
    """A name with what is known put in; other placeholders stay."""
    return _PART.sub(lambda found: known.get(found[1], found[0]), text)


def is_pattern(text: str) -> bool:
    """Whether there is anything in a name to be found out."""
    return _PART.search(text) is not None
