"""Names of builds as entries write them: text with placeholders of fixed grammars.

{date8} is a day as eight digits, {int} a whole number, {version} numbers with dots or dashes
between. Builds are ordered by their numbers, not as text.
"""

import re

_GRAMMARS = {
    "date8": r"[0-9]{8}",
    "int": r"[0-9]{1,18}",
    "version": r"[0-9]{1,18}(?:[.-][0-9]{1,18}){0,7}",
}
_PART = re.compile(r"\{([a-z0-9]+)\}")


class Pattern:
    """One name with placeholders. Raises ValueError for one that is not known, or if none is there."""

    def __init__(self, text: str) -> None:
        literals = _PART.split(text)
        unknown = set(literals[1::2]) - _GRAMMARS.keys()
        if len(literals) == 1:
            raise ValueError(f"{text} has no placeholder")
        if unknown:
            raise ValueError(f"{{{sorted(unknown)[0]}}} is not a placeholder")
        body = "".join(
            _GRAMMARS[part] if at % 2 else re.escape(part)
            for at, part in enumerate(literals[1:-1], start=1)
        )
        self._form = re.compile(f"{re.escape(literals[0])}({body}){re.escape(literals[-1])}")

    def build(self, name: str) -> str | None:
        """The build that a name is of: from the first placeholder to the end of the last."""
        found = self._form.fullmatch(name) if len(name) <= 255 else None
        return found[1] if found else None


def order(build: str) -> tuple[int, ...]:
    """What tells which of two builds is the newer one."""
    return tuple(int(number) for number in re.findall(r"[0-9]{1,18}", build))
