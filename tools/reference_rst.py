"""Pieces of reStructuredText for the reference pages."""

import inspect
from collections.abc import Iterable, Sequence
from typing import Any


def table(headings: Sequence[str], rows: Iterable[Sequence[str]], widths: str) -> str:
    """A list-table; cells are reStructuredText on one line."""
    lines = [".. list-table::", "   :header-rows: 1", f"   :widths: {widths}", ""]
    for row in (headings, *rows):
        for n, cell in enumerate(row):
            text = cell or "\u2013"
            lines.append(f"   {'*' if n == 0 else ' '} - {' '.join(text.split())}")
    return "\n".join(lines) + "\n"


def titled(text: str, line: str) -> str:
    """A heading."""
    return f"{text}\n{line * len(text)}\n"


def code(text: object) -> str:
    """A literal."""
    return f"``{text}``" if str(text) else ""


def plain(text: str) -> str:
    """Prose of docstrings and help: literals doubled, the rest escaped."""
    parts = text.split("`")
    return "``".join(
        part if n % 2 else part.replace("*", r"\*").replace("_", r"\_")
        for n, part in enumerate(parts)
    )


def first_line(thing: Any) -> str:
    """The first sentence of a docstring."""
    return plain((inspect.getdoc(thing) or "").partition("\n")[0])
