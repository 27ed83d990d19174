"""Holds the limits of size, and that `except` is rare at the door.

Files have at most 300 lines and functions 60; `except` stays rare at the HTTP door.
"""

import ast
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FILE_LINES_MAX = 300
FUNCTION_LINES_MAX = 60
EXCEPT_PER_1000_LINES = 3


def sources() -> list[Path]:
    """Python files of the product."""
    return sorted(
        path
        for top in ("imagesvc", "imagesvc_drivers")
        for path in (ROOT / top).rglob("*.py")
        if "versions" not in path.parts
    )


def complaints(path: Path) -> list[str]:
    """What is wrong with the sizes of one file."""
    name = path.relative_to(ROOT)
    text = path.read_text(encoding="utf-8")
    lines = text.count("\n")
    found = [f"{name}: {lines} lines"] if lines > FILE_LINES_MAX else []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            if length > FUNCTION_LINES_MAX:
                found.append(f"{name}:{node.lineno}: {node.name} has {length} lines")
    return found


def door_excepts() -> list[str]:
    """`except` clauses of the HTTP door, if there are too many."""
    lines = clauses = 0
    for path in (ROOT / "imagesvc" / "api").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        lines += text.count("\n")
        clauses += len(re.findall(r"^\s*except\b", text, re.MULTILINE))
    limit = EXCEPT_PER_1000_LINES * lines / 1000
    return [] if clauses < limit else [f"imagesvc/api: {clauses} except clauses in {lines} lines"]


def main() -> int:
    """Print what is wrong; 1 if anything is."""
    found = [line for path in sources() for line in complaints(path)] + door_excepts()
    print("\n".join(found) or "sizes: all within limits")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
