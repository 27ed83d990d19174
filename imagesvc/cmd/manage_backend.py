"""imagesvc-manage backend: what is configured, whether it answers, whether it keeps its promises."""

import argparse
import importlib
import importlib.util
from collections.abc import Callable, Sequence

from imagesvc import errors
from imagesvc.backend.backend import BackendStatus
from imagesvc.backend.registry import Backends
from imagesvc.cmd import command_line


def list_all(parsed: argparse.Namespace) -> int:
    """Show each backend after one probe, a failed one with its cause; 1 if one does not work."""
    backends = Backends(command_line.load(parsed), refuse=False)
    backends.open(monitor=False)
    backends.check()
    found = backends.describe()
    backends.close()
    row = "{:<11} {:<10} {:<10} {:<14} {:<9} {:<9} {:<9} {}"
    print(row.format("KIND", "ID", "DRIVER", "FROM", "VERSION", "CONTRACT", "STATE", "CAN"))
    for one in found:
        can = ", ".join(one.capabilities) or "-"
        print(
            row.format(
                one.kind, one.id, one.driver, one.distribution or "-", one.version or "-",
                one.contract or "-", one.state, can,
            )
        )  # fmt: skip
        if one.cause:
            print(f"            cause: {one.cause}")
    return 0 if all(one.state == "ok" for one in found) else 1


def check(parsed: argparse.Namespace) -> int:
    """Open backends, probe them, and hold them to the laws that are safe for one in use.

    Without KIND: all backends; without ID: the default one of the kind. A line a law. Objects
    are stored under a key prefix of this run and removed. Exit code: 0 all is well, 1 a backend
    is not well or breaks a law, 2 the check could not be made: the configuration is wrong, or
    pytest, which the laws need, is missing (--probe-only does without).
    """
    if not parsed.probe_only and importlib.util.find_spec("pytest") is None:
        raise errors.ConfigurationError(
            "The laws of drivers need pytest, which is not installed: pip install "
            "'imagesvc[testing]', or give --probe-only."
        )
    backends = Backends(command_line.load(parsed))
    backends.open(monitor=False)
    backends.check()
    chosen = backends.describe()
    if parsed.kind:
        chosen = [backends.status(parsed.kind, parsed.id)]
    well = [_check_one(backends, one, laws=not parsed.probe_only) for one in chosen]
    backends.close()
    return 0 if all(well) else 1


def _check_one(backends: Backends, one: BackendStatus, *, laws: bool) -> bool:
    because = f", {one.cause}" if one.cause else ""
    print(f"{one.kind} {one.id}: {one.state}, {one.latency_ms:.1f} ms{because}")
    if one.state in ("down", "failed"):
        return False
    return one.state == "ok" and (not laws or _keeps_laws(backends, one))


def _keeps_laws(backends: Backends, one: BackendStatus) -> bool:
    # Imported here, since pytest is no requirement of the service.
    live = importlib.import_module("imagesvc.testing.live")
    found = live.check(live.Subject(**backends.recipe(one.kind, one.id)))
    for verdict in found:
        print(f"  {verdict.outcome:<12} {verdict.law}")
        if verdict.cause:
            print(f"               {verdict.cause}")
    broken = sum(verdict.outcome == "broken" for verdict in found)
    print(f"  {len(found)} laws, {broken} broken")
    return not broken


def add_parsers(
    add: Callable[..., dict[str, argparse.ArgumentParser]],
    nouns: "argparse._SubParsersAction[argparse.ArgumentParser]",
) -> Sequence[argparse.ArgumentParser]:
    """Add the noun `backend` with its verbs."""
    verbs = add(nouns, "backend", {"list": list_all, "check": check})
    verbs["check"].add_argument("kind", nargs="?", help="default: all backends")
    verbs["check"].add_argument("id", nargs="?", help="default: the default one of the kind")
    verbs["check"].add_argument(
        "--probe-only", action="store_true", help="open and probe, run no laws"
    )
    return tuple(verbs.values())
