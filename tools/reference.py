"""Writes the reference pages of docs/ from the code; with --check only compares them.

  python tools/reference.py [--check]

Each page is one table or more, so that a reader on a git host sees it without a build.
"""

import importlib
import importlib.metadata
import inspect
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import falcon
from falcon import routing
from oslo_config import cfg

from imagesvc import opts
from imagesvc.api import app as door
from imagesvc.api import error, error_code
from imagesvc.backend import config, kind, loader
from imagesvc.cmd import manage, status
from imagesvc.domain import state
from imagesvc.interface import base
from imagesvc.policy import rule

DOCS = Path(__file__).resolve().parent.parent / "docs"
MADE = ".. Made by tools/reference.py from the code; changes here are lost."
CAPABILITY = {
    "storage": {
        "resumable-write": "``resume_write``: a broken writing goes on where it was",
        "server-side-copy": "``copy``: an object is copied inside the store",
        "presigned-url": "``presign``: clients read or write the store by a short-lived URL",
        "local-file": "``path``: objects are files here; sent by sendfile, hard-linked by compute",
    },
    "compute": {
        "consistent-group": "``start_group_snapshot``: all disks of a server at one instant",
        "quiesce": "``start_snapshot(quiesce=True)``: file systems are frozen inside the guest",
        "console-write": "``write_console``: the serial console takes input",
        "attach": "``attach_volume``, ``detach_volume``",
        "rebuild": "``start_rebuild``: a new system disk, data disks kept",
    },
    "identity": {
        "lookup": "``find_project``: a project by name or id",
        "access-keys": "``access_key``: the secret of an access key, for signed requests",
        "login": "``login``, ``revoke``: the service itself answers below ``/v3``",
    },
    "audit_sink": {
        "at-least-once": "a batch that was killed half-way may be seen twice there",
    },
    "converter": {
        "convert": "``convert``: from one disk format to another",
        "guest-facts": "``facts``: system, version, architecture and firmware of a guest",
    },
}

# Values of options without a default, so that a driver can be made and asked what it can.
SAMPLE = {"url": "https://imagesvc.example/"}


class Anything:
    """Stands for a service: routes and middleware only keep what they are given."""

    def __getattr__(self, name: str) -> "Anything":
        return self

    def __call__(self, *args: Any, **kwargs: Any) -> "Anything":
        return self

    def __contains__(self, item: object) -> bool:
        return True

    def __iter__(self) -> Iterator[Any]:
        return iter(())


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


def option_page() -> str:
    """docs/operator/option.rst"""
    parts = [
        titled("Options", "="),
        "Of ``imagesvc.conf``, by section. ``etc/imagesvc/imagesvc.conf.sample`` has them all, "
        "commented out.\nA backend's section is named after its kind and id; ``local`` below is "
        "the id that a fresh\ninstallation has.\n",
    ]
    for group, options in opts.list_opts():
        rows = [
            (code(one.dest), _kind(one), code(_default(one)), plain(one.help or ""))
            for one in options
        ]
        parts += [
            titled(f"[{group}]", "-"),
            table(("option", "type", "default", "meaning"), rows, "20 12 20 48"),
        ]
    return "\n".join(parts)


def _kind(option: cfg.Opt) -> str:
    shown = option.type.__class__.__name__.lower()
    if choices := getattr(option.type, "choices", None):
        return "one of " + ", ".join(code(choice) for choice in choices)
    low, high = getattr(option.type, "min", None), getattr(option.type, "max", None)
    bounds = [
        f"{word} {value:g}" for word, value in (("from", low), ("to", high)) if value is not None
    ]
    return " ".join([shown, *bounds, *(["secret"] if option.secret else [])])


def _default(option: cfg.Opt) -> str:
    if isinstance(option.default, list):
        return ", ".join(map(str, option.default))
    return "" if option.default is None else str(option.default)


def policy_page() -> str:
    """docs/operator/policy.rst"""
    rows = [
        (code(one.name), code(one.check_str), plain(one.description)) for one in rule.list_rules()
    ]
    return "\n".join(
        (
            titled("Permissions", "="),
            "Who may do what. An action has the same name in the audit trail. To change one, write "
            "it into\n``policy.yaml`` in oslo.policy's language; "
            "``etc/imagesvc/policy.yaml.sample`` has them all. What a\ncaller does not see is not "
            "found, whatever the rule says.\n",
            table(("action", "who", "what it allows"), rows, "25 40 35"),
        )
    )


def capability_page() -> str:
    """docs/operator/capability.rst"""
    parts = [
        titled("Capabilities", "="),
        "What a driver may offer beyond what every driver of its kind does, and which of the "
        "drivers that\ncome with imagesvc offer it. A driver names its own in ``info()``; "
        "``imagesvc-manage backend list``\nshows those of the configured backends.\n",
    ]
    for one in kind.KINDS:
        parts.append(titled(one.name, "-"))
        offered = dict(_drivers(one))
        words = CAPABILITY.get(one.name, {})
        rows = [
            (
                code(item),
                words[str(item)],
                ", ".join(code(name) for name, can in offered.items() if item in can),
            )
            for item in _capabilities(one)
        ]
        parts.append(f"Drivers: {', '.join(map(code, offered))}.\n")
        parts.append(table(("capability", "what it is", "offered by"), rows, "20 55 25"))
    return "\n".join(parts)


def _capabilities(one: kind.Kind) -> list[base.Capability]:
    module = sys.modules[one.contract.__module__]
    return [
        item
        for found in vars(module).values()
        if isinstance(found, type) and issubclass(found, base.Capability)
        for item in found
    ]


def _drivers(one: kind.Kind) -> Iterator[tuple[str, frozenset[base.Capability]]]:
    points = importlib.metadata.entry_points(group=one.group)
    names = sorted(point.name for point in points if point.module.startswith("imagesvc_drivers."))
    for name, found in loader.load(one, names).items():
        driver = found.driver_class
        values = {option.dest: _sample(option) for option in driver.OPTS}
        made = driver(config.Options(**values), backend_id="local")
        yield name, made.info().capabilities


def _sample(option: cfg.Opt) -> Any:
    if isinstance(option.default, str) and "$" in option.default:
        return "/nowhere"
    if option.default is not None:
        return option.default
    return SAMPLE.get(option.dest, "x" * 32 if option.secret else None)


def state_page() -> str:
    """docs/api/state.rst"""
    parts = [
        titled("States", "="),
        "What follows what. Every change is one conditional update: a step from any other state "
        "is refused\nwith ``state-conflict``. The source is ``imagesvc/domain/state.py``.\n",
    ]
    machines = {
        state.ImageStatus: state.IMAGE,
        state.MemberStatus: state.MEMBER,
        state.JobState: state.JOB,
        state.StepState: None,
    }
    for states, machine in machines.items():
        parts.append(titled(first_line(states).rstrip("."), "-"))
        rows = [(code(one), plain(state.MEANING[states][one])) for one in states]
        parts.append(table(("state", "meaning"), rows, "20 80"))
        if machine is not None:
            parts.append(f"It begins as ``{machine.initial}``.\n")
            moves = [
                (
                    code(row.event),
                    ", ".join(code(one) for one in states if one in row.sources),
                    code(row.target),
                    plain(state.GUARDS[row.guard]) if row.guard else "",
                )
                for row in machine.rows
            ]
            parts.append(table(("event", "from", "to", "only if"), moves, "18 42 15 25"))
    return "\n".join(parts)


def error_page() -> str:
    """docs/api/error.rst"""
    rows = [
        (
            code(row.code),
            code(row.exception.__name__)
            + (f", reason ``{row.reason}``" if row.reason else "")
            + (f", event ``{row.event}``" if row.event else ""),
            str(row.glance),
            str(row.native),
            str(row.retry_after_s or ""),
            plain(error_code.ADVICE[row.code]),
        )
        for row in error.ERRORS
    ]
    headings = ("code", "exception", "Glance", "native", "retry after s", "what to do")
    return "\n".join(
        (
            titled("Errors", "="),
            "Each failure, the status that it has in each dialect, and what to do. The code is the "
            "``reason`` of\nan error of our own API where nothing more exact is known. The identity "
            "door uses the native\ncolumn. The source is ``imagesvc/api/error.py``; the most "
            "specific row wins.\n",
            table(headings, rows, "15 20 8 8 8 41"),
        )
    )


def route_page() -> str:
    """docs/api/route.rst"""
    found: list[tuple[str, Any]] = []

    def keep(app: Any, path: str, resource: Any, **_: Any) -> None:
        found.append((path, resource))

    with mock.patch.object(falcon.App, "add_route", keep):
        door.create_app(Anything())
    sections = (
        ("Glance v2", "The image API of OpenStack, for unmodified clients.", ("/v2", "/versions")),
        ("Identity v3", "Only with an identity backend that can log in.", ("/v3",)),
        (
            "Our own API",
            "See also `Our own API <native.rst>`_ and ``/imagesvc/v1/openapi.json``.",
            ("",),
        ),
    )
    parts = [titled("Routes", "=")]
    left = sorted(found, key=lambda route: route[0])
    for title, text, prefixes in sections:
        mine = [route for route in left if route[0] == "/" or route[0].startswith(prefixes)]
        left = [route for route in left if route not in mine]
        rows = [
            (
                code(method),
                code(path),
                "" if getattr(resource, "anonymous", False) else "yes",
                f"{first_line(type(resource))} {first_line(responder)}",
            )
            for path, resource in mine
            for method, responder in sorted(routing.map_http_methods(resource).items())
        ]
        parts += [titled(title, "-"), text + "\n"]
        parts.append(table(("method", "path", "token", "what it is"), rows, "10 45 7 38"))
    return "\n".join(parts)


def command_page() -> str:
    """docs/operator/command.rst"""
    scripts = sorted(
        point
        for point in importlib.metadata.entry_points(group="console_scripts")
        if point.module.startswith("imagesvc.")
    )
    rows = [
        (code(point.name), plain(_after_colon(importlib.import_module(point.module))))
        for point in scripts
    ]
    parts = [titled("Commands", "="), table(("command", "what it is"), rows, "25 75")]
    for prog, parser in ((manage.PROG, manage._parser()), (status.PROG, status._parser())):
        lines = [(code(" ".join(words)), text) for words, text in _verbs(parser, ())]
        parts += [titled(prog, "-"), table(("command", "what it does"), lines, "40 60")]
    points = importlib.metadata.entry_points(group="imagesvc.shell")
    lines = [
        (code(point.name.replace("_", " ")), first_line(point.load())) for point in sorted(points)
    ]
    parts += [titled("imagesvc", "-"), "Options of each: ``imagesvc COMMAND --help``.\n"]
    parts.append(table(("command", "what it does"), lines, "40 60"))
    return "\n".join(parts)


def _after_colon(module: Any) -> str:
    text = (module.__doc__ or "").partition("\n")[0].partition(": ")[2]
    return text[:1].upper() + text[1:]


def _verbs(parser: Any, words: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], str]]:
    below = [action.choices for action in parser._actions if hasattr(action, "_name_parser_map")]
    if not below:
        given = [_argument(action) for action in parser._actions if action.dest != "help"]
        yield (*words, *given), plain((parser.description or "").partition("\n")[0])
    for choices in below:
        for name, child in choices.items():
            yield from _verbs(child, (*words, name))


def _argument(action: Any) -> str:
    shown = action.metavar or action.dest.upper()
    if action.option_strings:
        shown = (
            f"{action.option_strings[-1]} {shown}"
            if action.nargs != 0
            else action.option_strings[-1]
        )
    return f"[{shown}]" if action.option_strings or action.nargs == "?" else shown


PAGES: dict[str, Callable[[], str]] = {
    "operator/option.rst": option_page,
    "operator/policy.rst": policy_page,
    "operator/capability.rst": capability_page,
    "operator/command.rst": command_page,
    "api/state.rst": state_page,
    "api/error.rst": error_page,
    "api/route.rst": route_page,
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
