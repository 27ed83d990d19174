"""The options of imports, section [import]."""

from oslo_config import cfg

from imagesvc import errors
from imagesvc.backend.registry import Backends
from imagesvc.domain import image_property, promise
from imagesvc.domain.image_import import Injection, Method, Plugin, Treatment
from imagesvc.interface.converter import ConverterCapability
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
        "is one of packed bytes), image_conversion (bare disks become output_format, after they were "
        "unpacked; digests and sizes are those of what is kept).",
    ),
    cfg.StrOpt(
        "output_format",
        default="raw",
        help="Disk format that image_conversion makes of each import, one that the converter "
        "writes: raw, qcow2, vmdk, vdi, vhd or vhdx. raw takes as many bytes in a store as the "
        "disk has; the others need room for one image in [worker] scratch_dir. Images in "
        "containers and of format iso stay as they are.",
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
    if promise.PROVIDED_UNTIL in own.injected_properties:
        raise errors.ConfigurationError(
            f"[import] injected_properties: {promise.PROVIDED_UNTIL} is promised by an image's owner."
        )
    try:
        for name, value in own.injected_properties.items():
            image_property.check_property(name, value)
    except errors.ImagesvcError as exc:  # the operator's text, not a request's
        raise errors.ConfigurationError(f"[import] injected_properties: {exc.text}") from exc
    return Injection(own.injected_properties, frozenset(own.injection_spares_roles))


def treatment(conf: cfg.ConfigOpts, backends: Backends) -> Treatment:
    """What is done to imports that bring bytes, but for unpacking. Raises ConfigurationError."""
    return Treatment(injection(conf), _output_format(conf, backends))


def _output_format(conf: cfg.ConfigOpts, backends: Backends) -> str:
    wanted: str = conf["import"].output_format
    if Plugin.CONVERT not in plugins(conf):
        return ""
    if wanted not in conf.image.disk_formats:
        raise errors.ConfigurationError(
            "[import] output_format is {wanted}; those that [image] disk_formats takes are: {known}.",
            wanted=wanted,
            known=", ".join(conf.image.disk_formats),
        )
    made = _made(backends)
    if made is not None and wanted not in made:
        raise errors.ConfigurationError(
            "[import] output_format is {wanted}, which no converter makes; there are: {known}.",
            wanted=wanted,
            known=", ".join(sorted(made)) or "none, as no converter is enabled",
        )
    return wanted


def _made(backends: Backends) -> frozenset[str] | None:
    """The formats that the converter writes; None if nobody knows just now."""
    if backends.default_id("converter") is None:
        return frozenset()
    try:
        tool = backends.converter()
    except errors.BackendFailed:  # its health says so, and what needs no converter goes on
        return None
    if ConverterCapability.CONVERT not in tool.info().capabilities:
        return frozenset()
    return frozenset(target for _, target in tool.formats())
