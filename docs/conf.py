"""Sphinx's settings. The pages also read on a git host, so they link to each other by file."""

from typing import Any

from docutils import nodes
from sphinx.util import logging

LOG = logging.getLogger(__name__)

project = "imagesvc"
html_theme = "alabaster"
exclude_patterns = ["newsfragments"]


def _link_pages(app: Any, tree: nodes.document, name: str) -> None:
    """Links to pages as files become links to pages as built; a missing page is a warning."""
    folder = name.rpartition("/")[0]
    for link in tree.findall(nodes.reference):
        target = link.get("refuri", "")
        if "://" in target or not target.partition("#")[0].endswith(".rst"):
            continue
        page, _, part = target.partition("#")
        found = app.env.relfn2path(page, f"{folder}/x" if folder else "x")[0].removesuffix(".rst")
        if found not in app.env.found_docs:
            LOG.warning("links to %s, which is not there", page, location=name)
            continue
        link["refuri"] = app.builder.get_relative_uri(name, found) + (f"#{part}" if part else "")


def setup(app: Any) -> None:
    """Hook in."""
    app.connect("doctree-resolved", _link_pages)
