"""Writes the reference pages of docs/ from the code; with --check only compares them.

  python tools/reference.py [--check]

Each page is one table or more, so that a reader on a git host sees it without a build.
"""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import reference_api
import reference_operator

DOCS = Path(__file__).resolve().parent.parent / "docs"
MADE = ".. Made by tools/reference.py from the code; changes here are lost."

PAGES: dict[str, Callable[[], str]] = {
    "operator/option.rst": reference_operator.option_page,
    "operator/policy.rst": reference_operator.policy_page,
    "operator/capability.rst": reference_operator.capability_page,
    "operator/command.rst": reference_operator.command_page,
    "api/state.rst": reference_api.state_page,
    "api/error.rst": reference_api.error_page,
    "api/route.rst": reference_api.route_page,
}


def main(argv: Sequence[str]) -> int:
    """Write the pages, or say which differ; then 1."""
    stale = 0
    for name, make in PAGES.items():
        path, text = DOCS / name, f"{MADE}\n\n{make()}"
        if path.exists() and path.read_text("utf-8") == text:
            continue
        stale += 1
        if "--check" in argv:
            print(f"docs/{name} is not as the code has it: run python tools/reference.py")
        else:
            path.write_text(text, "utf-8")
            print(f"wrote docs/{name}")
    return 1 if stale and "--check" in argv else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
