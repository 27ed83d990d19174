"""The options of imports, section [import]."""

from oslo_config import cfg

from imagesvc import errors
from imagesvc.backend.registry import Backends
from imagesvc.domain.image_import import Method

IMPORT_OPTS = (
    cfg.ListOpt(
        "methods",
        default=["glance-direct", "web-download", "copy-image"],
        help="Ways of an import that are open to clients: glance-direct (bytes that were staged), "
        "web-download (from a URL, within [fetch]), copy-image (into further stores, "
        "administrators).",
    ),
    cfg.StrOpt(
        "staging_store",
        help="Id of the storage backend where staged bytes wait for their import; not set: the "
        "default one. An import into that store moves no bytes.",
    ),
)


def methods(conf: cfg.ConfigOpts) -> tuple[Method, ...]:
    """The enabled methods in the operator's order. Raises ConfigurationError."""
    known = list(Method)
    for name in conf["import"].methods:
        if name not in known:
            raise errors.ConfigurationError(
                "[import] methods names {name}; there are: {known}.",
                name=name,
                known=", ".join(known),
            )
    return tuple(Method(name) for name in dict.fromkeys(conf["import"].methods))


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
