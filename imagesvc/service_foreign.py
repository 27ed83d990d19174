"""The managers of what comes from, or goes to, places that users name, wired for the service."""

from typing import Any, NamedTuple

from oslo_config import cfg

from imagesvc.backend.registry import Backends
from imagesvc.db.engine import Database
from imagesvc.manager import import_option, installation_key
from imagesvc.manager.bucket import Buckets
from imagesvc.manager.export import ExportManager
from imagesvc.manager.image import ImageManager
from imagesvc.manager.image_origin import OriginManager
from imagesvc.manager.job import JobManager
from imagesvc.manager.object_store import ObjectStoreManager
from imagesvc.manager.operation import Operation
from imagesvc.manager.quota import QuotaManager
from imagesvc.manager.seal import Sealer
from imagesvc.policy.check import Enforcer
from imagesvc.stream import fetch_rule
from imagesvc.stream.source import UrlSource


class Core(NamedTuple):
    """What nearly every manager begins with."""

    operation: Operation
    enforcer: Enforcer
    backends: Backends


def outside(
    conf: cfg.ConfigOpts, key: bytes, database: Database, backends: Backends, urls: UrlSource | None
) -> tuple[UrlSource, Buckets]:
    """What reaches hosts that users name."""
    rules = fetch_rule.from_conf(conf)
    sealer = Sealer(installation_key.derive(key, b"object-store"))
    allowed = conf.object_store.allowed_endpoints
    return urls or UrlSource(rules), Buckets(database, backends, sealer, rules, allowed)


def build(
    conf: cfg.ConfigOpts,
    key: bytes,
    core: Core,
    images: ImageManager,
    jobs: JobManager,
    quotas: QuotaManager,
    urls: UrlSource,
    buckets: Buckets,
) -> dict[str, Any]:
    """What reaches outside, by the names of the service."""
    sealer = Sealer(installation_key.derive(key, b"origin"))
    return {
        "buckets": buckets,
        "object_stores": ObjectStoreManager(core.operation, core.enforcer, buckets),
        "exports": ExportManager(*core, jobs, buckets),
        "origins": OriginManager(
            *core, images, jobs, quotas, urls=urls, buckets=buckets, sealer=sealer,
            injection=import_option.injection(conf),
        ),
    }  # fmt: skip
