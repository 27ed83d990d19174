"""The options of imports, section [import]."""

from oslo_config import cfg

from imagesvc import errors
from imagesvc.backend.registry import Backends
from imagesvc.domain import image_property
from imagesvc.domain.image_import import Injection, Method, Plugin
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
    cfg.ListOpt(
        "plugins",
        default=[],
        help="What is done to every import that brings bytes: inject_metadata_properties "
        "(injected_properties are given to the image), image_decompression (bytes that gzip, xz or "
        "zstd packed are unpacked, within [image] max_unpacked_bytes, unless the image's container "
        "is one of packed bytes).",
    ),
    cfg.DictOpt(
        "injected_properties",
        default={},
        help="Properties that inject_metadata_properties gives, as NAME:VALUE, NAME:VALUE. They "
        "take the place of those that the image has, when its bytes are there.",
    ),
    cfg.ListOpt(
        "injection_spares_roles",
        default=["admin"],
        help="Callers with one of these roles get their imports without injected_properties.",
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


def plugins(conf: cfg.ConfigOpts) -> frozenset[Plugin]:
    """The plugins that are on. Raises ConfigurationError."""
    named = set(conf["import"].plugins)
    if named - set(Plugin):
        raise errors.ConfigurationError(
            "[import] plugins names {name}; there are: {known}.",
            name=min(named - set(Plugin)),
            known=", ".join(Plugin),
        )
    return frozenset(Plugin(name) for name in named)


def injection(conf: cfg.ConfigOpts) -> Injection:
    """What imports inject; nothing unless the plugin is on. Raises ConfigurationError."""
    own = conf["import"]
    if Plugin.INJECT not in plugins(conf):
        return Injection()
    try:
        for name, value in own.injected_properties.items():
            image_property.check_property(name, value)
    except errors.ImagesvcError as exc:  # the operator's text, not a request's
        raise errors.ConfigurationError(f"[import] injected_properties: {exc.text}") from exc
    return Injection(own.injected_properties, frozenset(own.injection_spares_roles))
