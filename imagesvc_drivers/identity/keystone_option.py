"""Options of the driver keystone, and what can be said of their values without asking anybody."""

import urllib.parse
from typing import Any

from oslo_config import cfg

from imagesvc.interface import errors

OPTS = (
    cfg.StrOpt(
        "auth_url",
        help="URL of Keystone as this service reaches it, for example https://host:5000/v3. No "
        "other address is asked, whatever the catalog says.",
    ),
    cfg.StrOpt(
        "www_authenticate_uri",
        help="URL of Keystone as clients reach it, told to them with 401; empty: auth_url.",
    ),
    cfg.StrOpt("username", help="The service's own user, whose role service lets it check tokens."),
    cfg.StrOpt("password", secret=True, help="Its password."),
    cfg.StrOpt("user_domain_name", default="Default", help="Domain of the service's own user."),
    cfg.StrOpt("project_name", default="service", help="Project in which it has the role."),
    cfg.StrOpt("project_domain_name", default="Default", help="Domain of that project."),
    cfg.BoolOpt(
        "system_scope",
        default=False,
        help="Whether the service's own user works with its roles on the system instead of those "
        "in a project; with the role reader there it may also look up projects.",
    ),
    cfg.StrOpt(
        "application_credential_id",
        help="Id of an application credential, used instead of user, password and project.",
    ),
    cfg.StrOpt("application_credential_secret", secret=True, help="Its secret."),
    cfg.StrOpt(
        "ca_file",
        help="File with the certificates that may sign Keystone's; empty: those that are built in.",
    ),
    cfg.StrOpt("cert_file", help="Certificate that this service shows to Keystone, if it must."),
    cfg.StrOpt("key_file", help="Key of cert_file, if it is not in there."),
    cfg.FloatOpt(
        "connect_timeout_s",
        default=2.0,
        min=0.1,
        max=30.0,
        help="Seconds that Keystone may take to accept a connection. After a failure requests "
        "fail at once for a second, then one tries again.",
    ),
    cfg.FloatOpt(
        "timeout_s",
        default=5.0,
        min=0.1,
        max=60.0,
        help="Seconds that Keystone may take to answer; requests wait for it that long.",
    ),
    cfg.FloatOpt(
        "token_cache_s",
        default=60.0,
        min=0.0,
        max=60.0,
        help="Seconds that a checked token is believed without asking again, never beyond its own "
        "expiry; a revoked one works for that long. 0: Keystone is asked at each request.",
    ),
    cfg.IntOpt(
        "token_cache_entries",
        default=10_000,
        min=1,
        max=1_000_000,
        help="Most tokens kept in each process, some 3 KiB each; the longest unused go first.",
    ),
    cfg.ListOpt(
        "service_roles",
        default=["service"],
        help="Roles of which an X-Service-Token must have one. With such a token a user's token "
        "may have ended while the service was at work.",
    ),
    cfg.StrOpt(
        "service_type",
        default="image",
        help="Type of this service in the catalog, which access rules of application credentials "
        "name.",
    ),
)


def checked_url(options: Any) -> str:
    """The address of version 3, without a slash at the end. Raises InvalidConfiguration.

    Credentials that are missing are found here too.
    """
    _require_credentials(options)
    url: str = (options.auth_url or "").rstrip("/")
    for name, value in (("auth_url", url), ("www_authenticate_uri", options.www_authenticate_uri)):
        parts = urllib.parse.urlsplit(value or "")
        wanted = parts.scheme in ("http", "https") and parts.hostname and '"' not in value
        if not (wanted and value.isprintable()) and (value or name == "auth_url"):
            raise errors.InvalidConfiguration(f"option {name} is {value!r}, no http or https URL")
    return url if url.endswith("/v3") else f"{url}/v3"


def _require_credentials(options: Any) -> None:
    pair = ("username", "password")
    if options.application_credential_id:
        pair = ("application_credential_id", "application_credential_secret")
    for name in pair:
        if not getattr(options, name):
            raise errors.InvalidConfiguration(f"option {name} is not set")
