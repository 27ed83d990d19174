"""Reference pages of the APIs: states, errors, routes."""

from collections.abc import Iterator
from typing import Any
from unittest import mock

import falcon
import reference_rst
from falcon import routing

from imagesvc.api import app as door
from imagesvc.api import error, error_code
from imagesvc.domain import state


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


def state_page() -> str:
    """docs/api/state.rst"""
    parts = [
        reference_rst.titled("States", "="),
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
        parts.append(reference_rst.titled(reference_rst.first_line(states).rstrip("."), "-"))
        rows = [
            (reference_rst.code(one), reference_rst.plain(state.MEANING[states][one]))
            for one in states
        ]
        parts.append(reference_rst.table(("state", "meaning"), rows, "20 80"))
        if machine is not None:
            parts.append(f"It begins as ``{machine.initial}``.\n")
            moves = [
                (
                    reference_rst.code(row.event),
                    ", ".join(reference_rst.code(one) for one in states if one in row.sources),
                    reference_rst.code(row.target),
                    reference_rst.plain(", ".join(state.GUARDS[one] for one in row.guards)),
                )
                for row in machine.rows
            ]
            parts.append(
                reference_rst.table(("event", "from", "to", "only if"), moves, "18 42 15 25")
            )
    return "\n".join(parts)


def error_page() -> str:
    """docs/api/error.rst"""
    rows = [
        (
            reference_rst.code(row.code),
            reference_rst.code(row.exception.__name__)
            + (f", reason ``{row.reason}``" if row.reason else "")
            + (f", event ``{row.event}``" if row.event else ""),
            str(row.glance),
            str(row.native),
            str(row.retry_after_s or ""),
            reference_rst.plain(error_code.ADVICE[row.code]),
        )
        for row in error.ERRORS
    ]
    headings = ("code", "exception", "Glance", "native", "retry after s", "what to do")
    return "\n".join(
        (
            reference_rst.titled("Errors", "="),
            "Each failure, the status that it has in each dialect, and what to do. The code is the "
            "``reason`` of\nan error of our own API where nothing more exact is known. The identity "
            "door uses the native\ncolumn. The source is ``imagesvc/api/error.py``; the most "
            "specific row wins.\n",
            reference_rst.table(headings, rows, "15 20 8 8 8 41"),
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
    parts = [reference_rst.titled("Routes", "=")]
    left = sorted(found, key=lambda route: route[0])
    for title, text, prefixes in sections:
        mine = [route for route in left if route[0] == "/" or route[0].startswith(prefixes)]
        left = [route for route in left if route not in mine]
        rows = [
            (
                reference_rst.code(method),
                reference_rst.code(path),
                "" if getattr(resource, "anonymous", False) else "yes",
                f"{reference_rst.first_line(type(resource))} {reference_rst.first_line(responder)}",
            )
            for path, resource in mine
            for method, responder in sorted(routing.map_http_methods(resource).items())
        ]
        parts += [reference_rst.titled(title, "-"), text + "\n"]
        parts.append(
            reference_rst.table(("method", "path", "token", "what it is"), rows, "10 45 7 38")
        )
    return "\n".join(parts)
