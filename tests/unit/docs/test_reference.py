"""The reference pages are those of the code, and leave nothing out."""

import importlib.metadata
import re
import subprocess
import sys
from pathlib import Path

import pytest
from falcon import inspect

from imagesvc import opts
from imagesvc.api import app as door
from imagesvc.api import error, error_code
from imagesvc.backend import kind
from imagesvc.domain import state
from imagesvc.domain.job import JobType
from imagesvc.interface import base
from imagesvc.policy import rule
from imagesvc.worker.flow_table import FLOWS

ROOT = Path(__file__).parents[3]
DOCS = ROOT / "docs"
LINK = re.compile(r"<([\w./-]+\.rst)(?:#[\w-]+)?>`_")
FILE = re.compile(r"``((?:imagesvc|imagesvc_drivers|tests|etc|tools)/[\w./-]+)``")


class Anything:
    """Stands for a service: routes only hand managers on."""

    def __getattr__(self, name):
        return self

    def __call__(self, *args, **kwargs):
        return self

    def __contains__(self, item):
        return True

    def __iter__(self):
        return iter(())


def page(name):
    """The text of a page."""
    return (DOCS / name).read_text("utf-8")


def test_the_pages_are_as_the_code_has_it():
    command = [sys.executable, str(ROOT / "tools" / "reference.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_option_is_documented():
    text = page("operator/option.rst")
    for group, options in opts.list_opts():
        section = text.partition(f"\n[{group}]\n")[2].partition("\n[")[0]
        for option in options:
            assert f"* - ``{option.dest}``\n" in section, f"{group}.{option.dest}"


def test_every_rule_is_documented():
    text = page("operator/policy.rst")
    assert [one.name for one in rule.list_rules() if f"``{one.name}``" not in text] == []


def test_every_state_event_and_guard_is_documented_with_a_sentence():
    text = page("api/state.rst")
    for states in (state.ImageStatus, state.MemberStatus, state.JobState, state.StepState):
        assert set(state.MEANING[states]) == set(states)
        for one in states:
            assert f"* - ``{one}``\n     - {state.MEANING[states][one]}\n" in text, one
    for machine in (state.IMAGE, state.MEMBER, state.JOB):
        for row in machine.rows:
            assert f"* - ``{row.event}``\n" in text, row.event
            assert set(row.guards) <= set(state.GUARDS)


def test_every_error_row_is_documented_with_what_to_do():
    text = page("api/error.rst")
    assert set(error_code.ADVICE) == {row.code for row in error.ERRORS}
    for row in error.ERRORS:
        assert f"* - ``{row.code}``\n     - ``{row.exception.__name__}``" in text, row


def test_every_capability_is_documented():
    text = page("operator/capability.rst")
    for one in kind.KINDS:
        section = text.partition(f"\n{one.name}\n---")[2]
        found = [
            item
            for known in base.Capability.__subclasses__()
            if known.__module__ == one.contract.__module__
            for item in known
        ]
        assert section, one.name
        assert [item for item in found if f"* - ``{item}``\n" not in section] == []


def test_every_route_and_method_is_documented():
    text = page("api/route.rst")
    for found in inspect.inspect_routes(door.create_app(Anything())):
        for method in found.methods:
            if not method.internal:
                assert f"* - ``{method.method}``\n     - ``{found.path}``\n" in text, found.path


@pytest.mark.parametrize("group", ["console_scripts", "imagesvc.shell"])
def test_every_command_is_documented(group):
    text = page("operator/command.rst")
    points = importlib.metadata.entry_points(group=group)
    names = [point.name for point in points if point.module.startswith("imagesvc.")]
    assert names
    for name in names:
        shown = name if group == "console_scripts" else name.replace("_", " ")
        assert f"* - ``{shown}``\n" in text, name


def test_the_steps_of_a_capture_are_told_in_order():
    told = re.findall(r"^\d\. ``([a-z]+)``:", page("where.rst"), re.MULTILINE)
    assert told == [step.name for step in FLOWS[JobType.CAPTURE_SYSTEM_DISK]]


def test_files_that_the_pages_name_are_there():
    for path in DOCS.rglob("*.rst"):
        if "newsfragments" in path.parts:
            continue
        text = path.read_text("utf-8")
        for target in LINK.findall(text):
            assert (path.parent / target).is_file(), f"{path}: {target}"
        if path.name == "where.rst":
            assert [name for name in FILE.findall(text) if not (ROOT / name).exists()] == []
