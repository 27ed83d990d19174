"""The options of imports, section [import]."""

from oslo_config import cfg

from imagesvc import errors
from imagesvc.backend.registry import Backends
from imagesvc.domain.image_import import Method

IMPORT_OPTS = (
    cfg.ListOpt(
        "methods",
        default=["glance-direct", "copy-image"],
        help="Ways of an import that are open to clients: glance-direct (bytes that were staged), "
        "copy-image (into further stores, administrators), web-download (from a URL).",
    ),
    cfg.StrOpt(
        "staging_store",
        help="Id of the storage backend where staged bytes wait for their import; not set: the "
        "default one. An import into that store moves no bytes.",
    ),
)


def methods(conf: cfg.ConfigOpts, *, with_urls: bool) -> tuple[Method, ...]:
    """The enabled methods in the operator's order. Raises ConfigurationError."""
    known = [one for one in Method if with_urls or one != Method.WEB_DOWNLOAD]
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
