"""The managers of the end of images, wired for the service."""

from oslo_config import cfg

from imagesvc.manager.bin import BinManager
from imagesvc.manager.image_delete import DeletionManager
from imagesvc.manager.job import JobManager
from imagesvc.manager.quota import QuotaManager
from imagesvc.service_foreign import Core


def build(
    conf: cfg.ConfigOpts, core: Core, jobs: JobManager, quotas: QuotaManager
) -> tuple[DeletionManager, BinManager]:
    """What deletes images, and what takes them back."""
    deletions = DeletionManager(*core, quotas, term_s=conf.bin.term_s)
    return deletions, BinManager(*core, quotas, jobs)
