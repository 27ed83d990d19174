"""The managers of servers, volumes, nodes, backups and captures, wired for the service."""

from typing import Any

from oslo_config import cfg

from imagesvc.manager import signed_url
from imagesvc.manager.attachment import AttachmentManager
from imagesvc.manager.backup import BackupManager
from imagesvc.manager.backup_capture import BackupCaptureManager
from imagesvc.manager.backup_file import BackupFileManager
from imagesvc.manager.baremetal import BaremetalManager
from imagesvc.manager.capture import CaptureManager
from imagesvc.manager.copy import CopyManager
from imagesvc.manager.data_key import DataKeys
from imagesvc.manager.disk_capture import DiskCaptureManager
from imagesvc.manager.image import ImageManager
from imagesvc.manager.job import JobManager
from imagesvc.manager.rebuild import RebuildManager
from imagesvc.manager.server import ServerManager
from imagesvc.manager.volume import VolumeManager
from imagesvc.service_foreign import Core


def build(
    conf: cfg.ConfigOpts,
    core: Core,
    images: ImageManager,
    jobs: JobManager,
    signer: signed_url.Signer,
    data_keys: DataKeys,
) -> dict[str, Any]:
    """What images are made of, and what is made of them, by the names of the service."""
    operation, enforcer, backends = core
    attachments = AttachmentManager(operation, enforcer, backends)
    count_max = conf.limit.servers_per_request
    return {
        "captures": CaptureManager(operation, enforcer, backends, images, jobs),
        "disk_captures": DiskCaptureManager(operation, enforcer, backends, images, jobs),
        "copies": CopyManager(operation, enforcer, backends, images, jobs, data_keys),
        "servers": ServerManager(operation, enforcer, backends, jobs, count_max, attachments),
        "rebuilds": RebuildManager(operation, enforcer, backends, jobs, count_max),
        "volumes": VolumeManager(
            operation, enforcer, backends, jobs, attachments, conf.limit.volumes_per_request
        ),
        "attachments": attachments,
        "nodes": BaremetalManager(operation, enforcer, backends, jobs),
        "backups": BackupManager(operation, enforcer, backends, jobs),
        "backup_files": BackupFileManager(backends, signer),
        "backup_captures": BackupCaptureManager(operation, enforcer, backends, images, jobs),
    }
