"""Every page is well formed, can be reached from the first one, and points at what exists."""

import re
from pathlib import Path

import docutils.core
import pytest
from docutils.parsers.rst import Directive, directives

ROOT = Path(__file__).parents[3]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.rst"))
READ = [ROOT / "README.rst", *PAGES]
# Fragments become a page with the next release.
LINKED = [page for page in PAGES if page.parent.name not in ("newsfragments", "decisions")]


class Nothing(Directive):
    """What only Sphinx knows."""

    has_content = True
    optional_arguments = 1
    option_spec = dict.fromkeys(
        ("hidden", "glob", "language", "lines", "caption"), directives.unchanged
    )  # fmt: skip

    def run(self):
        return []


@pytest.mark.parametrize("page", READ, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_is_well_formed(page):
    for name in ("toctree", "literalinclude", "code-block"):
        directives.register_directive(name, Nothing)
    settings = {"halt_level": 2, "report_level": 2, "warning_stream": ""}
    docutils.core.publish_doctree(
        page.read_text(), source_path=str(page), settings_overrides=settings
    )


def links(page):
    """Files that a page points at."""
    for target in re.findall(r"<([^<>\s:]+\.rst)(?:#[^>]*)?>`_", page.read_text()):
        yield (page.parent / target).resolve()


@pytest.mark.parametrize("page", READ, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_point_at_pages(page):
    assert [str(target) for target in links(page) if not target.exists()] == []


def test_every_page_is_on_the_first_one():
    reached = set(links(DOCS / "index.rst"))
    missing = [str(page) for page in LINKED if page not in reached and page.name != "index.rst"]
    assert missing == []
