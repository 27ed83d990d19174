"""Finds a cloud in clouds.yaml, in the places where OpenStack clients look."""

import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml


class ShellError(Exception):
    """What the user reads; the command ends with 1."""


@dataclasses.dataclass(frozen=True, slots=True)
class Cloud:
    """One cloud: where to sign in, as whom, for which project."""

    name: str
    auth_url: str
    username: str
    password: str = dataclasses.field(repr=False)
    user_domain: Mapping[str, str]
    project: Mapping[str, Any]
    region: str | None
    interface: str
    verify: bool | str


def places() -> list[Path]:
    """Candidate files, the first that exists wins."""
    named = os.environ.get("OS_CLIENT_CONFIG_FILE")
    config_home = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    folders = [Path.cwd(), config_home / "openstack", Path("/etc/openstack")]
    found = [folder / f"clouds.{end}" for folder in folders for end in ("yaml", "yml")]
    return [Path(named), *found] if named else found


def load(name: str | None) -> Cloud:
    """Read the cloud called `name`, or the only one there is. Raises ShellError."""
    path = next((path for path in places() if path.is_file()), None)
    if path is None:
        raise ShellError(
            "No clouds.yaml was found; set OS_CLIENT_CONFIG_FILE or put one in "
            "./clouds.yaml or ~/.config/openstack/clouds.yaml."
        )
    try:
        document = yaml.safe_load(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as exc:
        raise ShellError(f"{path} cannot be read: {type(exc).__name__}.") from exc
    clouds = document.get("clouds") if isinstance(document, dict) else None
    if not isinstance(clouds, dict) or not clouds:
        raise ShellError(f"{path} names no clouds.")
    if name is None and len(clouds) > 1:
        raise ShellError(
            f"{path} has several clouds ({', '.join(map(str, clouds))}); "
            "choose one with --os-cloud or OS_CLOUD."
        )
    chosen = name if name is not None else str(next(iter(clouds)))
    if not isinstance(clouds.get(chosen), dict):
        raise ShellError(f"{path} has no cloud {chosen}; it has: {', '.join(map(str, clouds))}.")
    return _cloud(chosen, clouds[chosen], path)


def _cloud(name: str, entry: dict[str, Any], path: Path) -> Cloud:
    auth = entry.get("auth") or {}
    missing = [key for key in ("auth_url", "username", "password") if not auth.get(key)]
    if missing:
        raise ShellError(f"Cloud {name} in {path} lacks auth.{', auth.'.join(missing)}.")
    verify: bool | str = entry.get("cacert") or entry.get("verify", True)
    return Cloud(
        name=name,
        auth_url=str(auth["auth_url"]).rstrip("/"),
        username=str(auth["username"]),
        password=str(auth["password"]),
        user_domain=_domain(auth, "user_domain"),
        project=_project(auth),
        region=entry.get("region_name"),
        interface=str(entry.get("interface", "public")),
        verify=verify,
    )


def _domain(auth: Mapping[str, Any], prefix: str) -> dict[str, str]:
    """The domain of a user or project: by id, else by name, else the default one."""
    if value := auth.get(f"{prefix}_id") or auth.get("domain_id"):
        return {"id": str(value)}
    if value := auth.get(f"{prefix}_name") or auth.get("domain_name"):
        return {"name": str(value)}
    return {"id": "default"}


def _project(auth: Mapping[str, Any]) -> dict[str, Any]:
    if value := auth.get("project_id"):
        return {"id": str(value)}
    if value := auth.get("project_name"):
        return {"name": str(value), "domain": _domain(auth, "project_domain")}
    return {}
