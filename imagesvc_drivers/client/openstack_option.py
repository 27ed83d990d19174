"""Options of the drivers that speak to services of OpenStack, and how their client is made.

A driver adds `OPTS` to its own, and calls `cloud` in its constructor.
"""

import urllib.parse
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from oslo_config import cfg

from imagesvc.interface import errors

if TYPE_CHECKING:
    from imagesvc_drivers.client import openstack

PROJECT_MARK = "{project_id}"

OPTS = (
    cfg.StrOpt(
        "auth_url",
        help="URL of Keystone as this service reaches it, for example https://host:5000/v3. It is "
        "asked for tokens; not needed with `token`.",
    ),
    cfg.StrOpt(
        "username",
        help="The service's own user. It works in the project of whoever asks, so it needs a role "
        "in each of them: give it one that is inherited by the projects of a domain.",
    ),
    cfg.StrOpt("password", secret=True, help="Its password."),
    cfg.StrOpt("user_domain_name", default="Default", help="Domain of the service's own user."),
    cfg.StrOpt(
        "project_name",
        default="service",
        help="Project in which the service's own user works where no project is concerned.",
    ),
    cfg.StrOpt("project_domain_name", default="Default", help="Domain of that project."),
    cfg.StrOpt(
        "application_credential_id",
        help="Id of an application credential, used instead of user, password and project. It is "
        "of one project: the backend then serves that one alone.",
    ),
    cfg.StrOpt("application_credential_secret", secret=True, help="Its secret."),
    cfg.StrOpt(
        "token",
        secret=True,
        help="A fixed token instead of a login, for a cloud without Keystone; {project_id} in it "
        "becomes the id of the project. It needs `endpoint`.",
    ),
    cfg.StrOpt(
        "endpoint",
        help="URL of the service that the driver speaks to, instead of that in the catalog.",
    ),
    cfg.StrOpt("region_name", help="Region of the catalog; empty: the first that has the service."),
    cfg.StrOpt(
        "interface",
        default="internal",
        choices=("public", "internal", "admin"),
        help="Which of the URLs in the catalog are used.",
    ),
    cfg.StrOpt(
        "ca_file",
        help="File with the certificates that may sign those of the cloud; empty: those that are "
        "built in.",
    ),
    cfg.StrOpt("cert_file", help="Certificate that this service shows to the cloud, if it must."),
    cfg.StrOpt("key_file", help="Key of cert_file, if it is not in there."),
    cfg.FloatOpt(
        "connect_timeout_s",
        default=3.0,
        min=0.1,
        max=60.0,
        help="Seconds that a service may take to accept a connection.",
    ),
    cfg.FloatOpt(
        "timeout_s",
        default=30.0,
        min=0.1,
        max=600.0,
        help="Seconds that a service may take to begin its answer, and between two parts of it. "
        "Requests wait that long; jobs try again.",
    ),
)


def cloud(
    options: Any, driver: str, title: str, endpoints: Mapping[str, str | None]
) -> "openstack.Cloud":
    """The client of the driver `driver`; no network.

    `title` is what users call the service. `endpoints` are the services that are asked (name in
    the catalog, as openstacksdk writes it with `_`), with a URL that stands instead of the
    catalog's or None. Raises InvalidConfiguration, also where openstacksdk is missing.
    """
    _require_credentials(options)
    for name in ("auth_url", "endpoint"):
        _require_url(name, getattr(options, name))
    try:
        # An optional library: the sample and the pages show the options without it.
        from imagesvc_drivers.client import openstack
    except ImportError as exc:
        raise errors.InvalidConfiguration(
            f"the driver {driver} needs more libraries: pip install 'imagesvc[openstack]' ({exc})"
        ) from exc
    return openstack.Cloud(options, title, endpoints)


def _require_credentials(options: Any) -> None:
    needed: tuple[str, ...] = ("auth_url", "username", "password")
    if options.token:
        needed = ("endpoint",)
    elif options.application_credential_id:
        needed = ("auth_url", "application_credential_id", "application_credential_secret")
    for name in needed:
        if not getattr(options, name):
            raise errors.InvalidConfiguration(f"option {name} is not set")


def _require_url(name: str, value: str | None) -> None:
    parts = urllib.parse.urlsplit(value or "")
    if value and not (parts.scheme in ("http", "https") and parts.hostname):
        raise errors.InvalidConfiguration(f"option {name} is {value!r}, no http or https URL")
