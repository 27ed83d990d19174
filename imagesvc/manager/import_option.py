"""The options of imports, section [import]."""

from oslo_config import cfg

from imagesvc import errors
from imagesvc.backend.registry import Backends
from imagesvc.domain.image_import import Method
from imagesvc.interface.identity import IdentityCapability, IdentityDriver

IMPORT_OPTS = (
    cfg.ListOpt(
        "methods",
        default=["glance-direct", "web-download", "copy-image"],
        help="Ways of an import that are open to clients: glance-direct (bytes that were staged), "
        "web-download (from a URL, within [fetch]), copy-image (into further stores, "
        "administrators), glance-download (from the image service of another region, found in "
        "the catalogue of an identity backend that has one).",
    ),
    cfg.ListOpt(
        "remote_regions",
        default=[],
        help="Regions that glance-download takes images from. The caller's token is sent to the "
        "image endpoints that the catalogue names there, which may be on hosts and ports that "
        "[fetch] keeps from users.",
    ),
    cfg.ListOpt(
        "remote_properties",
        default=["hw_", "trait", "os_distro", "os_secure_boot", "os_type"],
        help="Beginnings of the names of properties that glance-download takes over.",
    ),
    cfg.StrOpt(
        "staging_store",
        help="Id of the storage backend where staged bytes wait for their import; not set: the "
        "default one. An import into that store moves no bytes.",
    ),
)


def methods(conf: cfg.ConfigOpts, identity: IdentityDriver) -> tuple[Method, ...]:
    """The enabled methods in the operator's order. Raises ConfigurationError."""
    known = list(Method)
    for name in conf["import"].methods:
        if name not in known:
            raise errors.ConfigurationError(
                "[import] methods names {name}; there are: {known}.",
                name=name,
                known=", ".join(known),
            )
    found = tuple(Method(name) for name in dict.fromkeys(conf["import"].methods))
    if Method.GLANCE_DOWNLOAD in found:
        _check_remote(conf, identity)
    return found


def _check_remote(conf: cfg.ConfigOpts, identity: IdentityDriver) -> None:
    if IdentityCapability.CATALOG not in identity.info().capabilities:
        raise errors.ConfigurationError(
            "[import] methods names glance-download, which needs an identity backend with a "
            "catalogue, such as keystone; {name} has none.",
            name=identity.info().name,
        )
    if not conf["import"].remote_regions:
        raise errors.ConfigurationError(
            "[import] methods names glance-download; say in remote_regions from where."
        )


def staging_store(conf: cfg.ConfigOpts, backends: Backends) -> str:
    """The store of staged bytes. Raises ConfigurationError."""
    wanted: str = conf["import"].staging_store or backends.default_id("storage") or ""
    if wanted not in backends.ids("storage"):
        raise errors.ConfigurationError(
            "[import] staging_store is {wanted}; set it to one of: {known}.",
            wanted=wanted,
            known=", ".join(backends.ids("storage")),
        )
    return wanted
