"""The options of one other region, section [region_<id>]; ids stand in [service] regions."""

import dataclasses
import re
import urllib.parse
from typing import Any

from oslo_config import cfg

from imagesvc import errors

PREFIX = "region_"
_ID = re.compile(r"[a-z][a-z0-9]*")

OPTS = (
    cfg.StrOpt(
        "name",
        default="",
        help="Name of the region, as [service] region says it there; empty: the id.",
    ),
    cfg.StrOpt(
        "endpoint",
        default="",
        help="URL of the region's image service, without a path, for example "
        "https://images.west.example.com:9292.",
    ),
    cfg.StrOpt(
        "auth_url",
        default="",
        help="URL of the identity service that gives tokens for that region, with or without /v3; "
        "empty: endpoint, whose embedded identity is asked.",
    ),
    cfg.StrOpt(
        "username",
        default="",
        help="User there as whom this service copies images; it needs the role service.",
    ),
    cfg.StrOpt("password", secret=True, default="", help="Password of that user."),
    cfg.StrOpt("user_domain_name", default="Default", help="Domain of that user."),
    cfg.StrOpt("project_name", default="service", help="Project there in which it has the role."),
    cfg.StrOpt("project_domain_name", default="Default", help="Domain of that project."),
    cfg.StrOpt(
        "ca_file",
        help="File with the certificates that may sign the region's; empty: those that are built in.",
    ),
    cfg.FloatOpt(
        "connect_timeout_s",
        default=10.0,
        min=0.1,
        help="Seconds that the region may take to accept a connection.",
    ),
    cfg.FloatOpt(
        "timeout_s",
        default=60.0,
        min=0.1,
        help="Seconds that the region may take to answer, or to take 1 MiB. Then the connection "
        "counts as broken, and the copy goes on over another.",
    ),
    cfg.IntOpt(
        "patch_mib",
        default=64,
        min=1,
        max=65_536,
        help="MiB that one request sends. The region asks its agencies once a request, so that many "
        "MiB may still come after an agency was deleted; small ones cost speed.",
    ),
    cfg.StrOpt(
        "caller",
        default="",
        help="Id or name of the user here as whom that region's service calls; only it may speak for "
        "that region then. Empty: every user with the role service.",
    ),
)


@dataclasses.dataclass(frozen=True, slots=True)
class PeerOptions:
    """One other region as configured; times in seconds."""

    id: str
    name: str
    endpoint: str
    auth_url: str
    username: str
    password: str = dataclasses.field(repr=False)
    user_domain_name: str
    project_name: str
    project_domain_name: str
    ca_file: str | None
    connect_timeout_s: float
    timeout_s: float
    patch_bytes: int
    caller: str


def section(region_id: str) -> str:
    """The section of a region."""
    return f"{PREFIX}{region_id}"


def ids(conf: cfg.ConfigOpts) -> tuple[str, ...]:
    """Ids of the other regions in order. Raises ConfigurationError."""
    found = tuple(item.strip() for item in conf.service.regions)
    for one in found:
        if not _ID.fullmatch(one) or found.count(one) > 1:
            raise errors.ConfigurationError(
                "[service] regions: {item!r} is no id of its own. An id is a letter and more letters "
                "or digits, all small; the section [region_ID] says the rest.",
                item=one,
            )
    return found


def read(conf: cfg.ConfigOpts) -> tuple[PeerOptions, ...]:
    """The other regions. Raises ConfigurationError for what is missing or wrong."""
    found = tuple(_read(one, conf[section(one)]) for one in ids(conf))
    names = [one.name for one in found]
    for one in found:
        if one.name == conf.service.region or names.count(one.name) > 1:
            raise errors.ConfigurationError(
                "[{section}] name is {name}, which is the name of another region or of this one.",
                section=section(one.id),
                name=one.name,
            )
    return found


def _read(region_id: str, given: Any) -> PeerOptions:
    for name in ("endpoint", "username", "password"):
        if not given[name]:
            raise errors.ConfigurationError(f"[{section(region_id)}] {name} is not set.")
    endpoint = _url(region_id, "endpoint", given.endpoint)
    auth_url = _url(region_id, "auth_url", given.auth_url or endpoint)
    return PeerOptions(
        id=region_id,
        name=given.name or region_id,
        endpoint=endpoint,
        auth_url=auth_url if auth_url.endswith("/v3") else f"{auth_url}/v3",
        username=given.username,
        password=given.password,
        user_domain_name=given.user_domain_name,
        project_name=given.project_name,
        project_domain_name=given.project_domain_name,
        ca_file=given.ca_file or None,
        connect_timeout_s=given.connect_timeout_s,
        timeout_s=given.timeout_s,
        patch_bytes=given.patch_mib << 20,
        caller=given.caller,
    )


def _url(region_id: str, name: str, value: str) -> str:
    try:
        parts = urllib.parse.urlsplit(value)
        good = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:  # a port that is no number
        good = False
    if not good or not value.isprintable() or " " in value or parts.query or parts.username:
        raise errors.ConfigurationError(
            f"[{section(region_id)}] {name} is {value!r}, no plain http or https URL."
        )
    return value.rstrip("/")
