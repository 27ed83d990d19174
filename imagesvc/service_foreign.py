"""The managers of what comes from, or goes to, places that users name, wired for the service."""

from typing import Any, NamedTuple

from oslo_config import cfg

from imagesvc.backend.registry import Backends
from imagesvc.manager import import_option, installation_key
from imagesvc.manager.bucket import Buckets
from imagesvc.manager.data_key import DataKeys
from imagesvc.manager.export import ExportManager
from imagesvc.manager.foreign_bytes import ForeignBytes
from imagesvc.manager.foreign_link import ForeignLinkManager
from imagesvc.manager.foreign_location import ForeignLocationManager
from imagesvc.manager.image import ImageManager
from imagesvc.manager.image_bytes import Rules
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
    conf: cfg.ConfigOpts, key: bytes, core: Core, bounds: Rules, urls: UrlSource | None
) -> tuple[UrlSource, Buckets, ForeignBytes]:
    """What reaches hosts that users name."""
    database, backends = core.operation.database, core.backends
    rules = fetch_rule.from_conf(conf)
    sealer = Sealer(installation_key.derive(key, b"object-store"))
    allowed = conf.object_store.allowed_endpoints
    urls = urls or UrlSource(rules)
    buckets = Buckets(database, backends, sealer, rules, allowed)
    return urls, buckets, ForeignBytes(database, urls, bounds, backends.stores.foreign_id)


def build(
    conf: cfg.ConfigOpts,
    key: bytes,
    core: Core,
    images: ImageManager,
    jobs: JobManager,
    quotas: QuotaManager,
    places: tuple[UrlSource, Buckets, ForeignBytes],
    data_keys: DataKeys,
) -> dict[str, Any]:
    """What reaches outside, by the names of the service; `places` is what `outside` gave."""
    urls, buckets, foreign = places
    sealer = Sealer(installation_key.derive(key, b"origin"))
    operation, enforcer, _ = core
    return {
        "foreign_bytes": foreign,
        "foreign_locations": ForeignLocationManager(
            operation, enforcer, foreign, most=conf.limit.image_locations
        ),
        "foreign_links": ForeignLinkManager(
            operation, enforcer, jobs, foreign, hash_algorithm=conf.service.hashing_algorithm
        ),
        "buckets": buckets,
        "object_stores": ObjectStoreManager(core.operation, core.enforcer, buckets),
        "exports": ExportManager(*core, jobs, buckets, data_keys),
        "origins": OriginManager(
            *core, images, jobs, quotas, urls=urls, buckets=buckets, sealer=sealer,
            injection=import_option.injection(conf),
        ),
    }  # fmt: skip
