"""The kinds of backend, each with its entry-point group and its contract."""

import dataclasses
from typing import Any

from oslo_config import cfg

from imagesvc import errors
from imagesvc.backend import store
from imagesvc.interface import (
    audit_sink,
    backup,
    baremetal,
    base,
    catalog,
    compute,
    converter,
    encryption,
    identity,
    storage,
    volume,
)


@dataclasses.dataclass(frozen=True, slots=True)
class Kind:
    """One kind of backend; without the default of an `essential` kind nothing works.

    `others` are the further drivers that come with the service, for the sample. `opts` stand in
    the section of each backend, whatever its driver.
    """

    name: str
    group: str
    contract: type[Any]
    version: base.Version
    default_driver: str
    essential: bool = False
    others: tuple[str, ...] = ()
    opts: tuple[cfg.Opt, ...] = ()

    def section(self, backend_id: str) -> str:
        """Name of the configuration section of one backend."""
        return f"{self.name}_{backend_id}"


KINDS = (
    Kind(
        "storage",
        "imagesvc.storage",
        storage.StorageDriver,
        storage.VERSION,
        "file",
        True,
        others=("s3",),
        opts=store.OPTS,
    ),
    Kind(
        "compute",
        "imagesvc.compute",
        compute.ComputeDriver,
        compute.VERSION,
        "qemu",
        others=("nova",),
    ),
    Kind(
        "volume",
        "imagesvc.volume",
        volume.VolumeDriver,
        volume.VERSION,
        "local",
        others=("cinder",),
    ),
    Kind("backup", "imagesvc.backup", backup.BackupDriver, backup.VERSION, "local"),
    Kind(
        "baremetal",
        "imagesvc.baremetal",
        baremetal.BaremetalDriver,
        baremetal.VERSION,
        "local",
        others=("ironic",),
    ),
    Kind(
        "encryption",
        "imagesvc.encryption",
        encryption.EncryptionDriver,
        encryption.VERSION,
        "local",
        others=("vault", "aws_kms", "barbican"),
    ),
    Kind(
        "identity",
        "imagesvc.identity",
        identity.IdentityDriver,
        identity.VERSION,
        "local",
        True,
        others=("keystone",),
    ),
    Kind(
        "audit_sink",
        "imagesvc.audit_sink",
        audit_sink.AuditSink,
        audit_sink.VERSION,
        "file",
        others=("syslog", "webhook"),
    ),
    Kind(
        "converter",
        "imagesvc.converter",
        converter.ConverterDriver,
        converter.VERSION,
        "qemu_img",
    ),
    Kind("catalog", "imagesvc.catalog", catalog.CatalogDriver, catalog.VERSION, "builtin"),
)
_BY_NAME = {kind.name: kind for kind in KINDS}


def find(name: str) -> Kind:
    """Find a kind by name. Raises ConfigurationError."""
    if name not in _BY_NAME:
        raise errors.ConfigurationError(
            "There is no kind of backend {name}; the kinds are: {known}.",
            name=name,
            known=", ".join(_BY_NAME),
        )
    return _BY_NAME[name]
