"""Checks of the other regions: the sign-in there, the role, the door, and its name."""

from collections.abc import Iterator, Mapping
from typing import Any

from oslo_config import cfg

from imagesvc import errors
from imagesvc.cmd import verdict
from imagesvc.stream import peer_option
from imagesvc.stream.peer import Peer

ROLE = "service"


def regions(conf: cfg.ConfigOpts) -> Iterator[verdict.Verdict]:
    """A verdict a region; nothing where there are none."""
    try:
        found = peer_option.read(conf)
    except errors.ConfigurationError as exc:  # a finding
        yield verdict.failed("regions", str(exc))
        return
    for options in found:
        yield _region(Peer(options))


def _region(peer: Peer) -> verdict.Verdict:
    options = peer.options
    name, section = f"region {options.id}", peer_option.section(options.id)
    try:
        answer = peer.sign_in()
        with peer.session() as session:
            there = session.regions()
    except errors.RegionAway as exc:  # a finding
        return verdict.failed(name, f"{exc.text} ({exc.operator_message}): correct [{section}]")
    except errors.RegionRefused as exc:  # a finding
        return verdict.failed(name, f"{exc.text} Correct [{section}] endpoint and username")
    if ROLE not in _roles(answer.document):
        return verdict.failed(
            name,
            f"{options.username} has not the role {ROLE} in project {options.project_name} there: "
            "grant it",
        )
    if there.get("region") != options.name:
        return verdict.failed(
            name, f"it calls itself {there.get('region')}: set [{section}] name to that"
        )
    return verdict.ok(name, f"{options.name} at {options.endpoint} takes {options.username}")


def _roles(document: Mapping[str, Any]) -> set[str]:
    """Names of the roles in a token; none of what is no token."""
    token = document.get("token")
    found = token.get("roles") if isinstance(token, dict) else None
    roles = [
        one.get("name")
        for one in (found if isinstance(found, list) else ())
        if isinstance(one, dict)
    ]
    return {name for name in roles if isinstance(name, str)}
