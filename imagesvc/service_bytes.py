"""The managers of bytes on their way in and out, wired for the service."""

from typing import Any

from oslo_config import cfg

from imagesvc.manager import heartbeat, import_option, signed_url
from imagesvc.manager.data_key import DataKeys
from imagesvc.manager.family import FamilyManager
from imagesvc.manager.foreign_bytes import ForeignBytes
from imagesvc.manager.guest import GuestManager
from imagesvc.manager.image_bytes import Rules
from imagesvc.manager.image_detail import ImageDetailManager
from imagesvc.manager.image_explain import ExplainManager
from imagesvc.manager.image_file import ImageFileManager
from imagesvc.manager.image_impact import ImpactManager
from imagesvc.manager.image_stage import StageManager
from imagesvc.manager.job import JobManager
from imagesvc.manager.key import KeyManager
from imagesvc.manager.last_use import LastUses
from imagesvc.manager.location import LocationManager
from imagesvc.manager.quota import QuotaManager
from imagesvc.manager.store import StoreManager
from imagesvc.service_foreign import Core


def build(
    conf: cfg.ConfigOpts,
    core: Core,
    jobs: JobManager,
    quotas: QuotaManager,
    signer: signed_url.Signer,
    guests: GuestManager,
    foreign: ForeignBytes,
    keys: DataKeys,
) -> dict[str, Any]:
    """What moves, encrypts and explains the bytes of images, but for uploads, by the service's names."""
    last_uses = LastUses(core.operation.database)
    beat_s = heartbeat.interval_s(conf.worker.upload_stale_s)
    return {
        "image_details": ImageDetailManager(*core),
        "families": FamilyManager(core.operation, core.enforcer),
        "explanations": ExplainManager(core.operation, core.enforcer),
        "impacts": ImpactManager(*core),
        "keys": KeyManager(*core, jobs, keys_max=conf.limit.project_keys),
        "data_keys": keys,
        "stores": StoreManager(*core),
        "locations": LocationManager(*core),
        "image_files": ImageFileManager(
            *core, rules(conf), signer, quotas, guests, foreign, keys, last_uses,
            heartbeat_s=beat_s,
        ),
        "last_uses": last_uses,
        "stages": StageManager(
            *core, quotas,
            store_id=import_option.staging_store(conf, core.backends),
            cap_bytes=conf.limit.image_size_bytes,
            heartbeat_s=beat_s,
        ),
    }  # fmt: skip


def rules(conf: cfg.ConfigOpts) -> Rules:
    """What is asked of all bytes, as configured."""
    return Rules(
        conf.limit.image_size_bytes,
        conf.image.max_virtual_bytes,
        conf.image.max_unpacked_bytes,
        conf.service.hashing_algorithm,
        conf.service.legacy_md5,
    )
