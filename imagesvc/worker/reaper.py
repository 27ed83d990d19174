"""Brings rows and bytes back together after kills: dead uploads, bytes that nobody names."""

import logging
import os
import socket
from datetime import timedelta
from typing import Any

from imagesvc import errors
from imagesvc import service as services
from imagesvc.crashpoint import crashpoint
from imagesvc.db import doomed, job_history, lease, metadata, pending, quota_count
from imagesvc.db import image as image_rows
from imagesvc.db import job as job_rows
from imagesvc.db import upload as upload_rows
from imagesvc.domain.state import JOB_ENDED, ImageStatus
from imagesvc.interface.errors import DriverError
from imagesvc.manager import upload_expiry

LOG = logging.getLogger(__name__)
BATCH = 100
PRUNE_BATCHES = 10
DELETE_BATCHES = 10
# Two workers at once would do no harm, only the same work.
LEASE_MIN_S = 2.0


def run(service: services.Service) -> int:
    """One round; how many things were repaired. One worker at a time does it."""
    conf = service.conf.worker
    me = f"{socket.gethostname()}:{os.getpid()}"
    with service.database.write() as conn:
        if not lease.acquire(conn, "reaper", me, max(conf.reap_interval_s * 3, LEASE_MIN_S)):
            return 0
    count = _end_dead_uploads(service) + _end_expired(service) + _doom_orphans(service)
    count += _delete_doomed(service)
    count += _release_orphans(service)
    count += _prune_jobs(service)
    for store_id in service.backends.ids("storage"):
        try:
            driver = service.backends.storage(store_id)
            count += driver.discard_stale(older_than_s=conf.upload_stale_s)
        except (DriverError, errors.BackendFailed) as exc:  # next round
            LOG.warning("store not swept store=%s: %s", store_id, exc)
    return count


def _end_dead_uploads(service: services.Service) -> int:
    before = metadata.now() - timedelta(seconds=service.conf.worker.upload_stale_s)
    with service.database.read() as conn:
        stale = image_rows.stale_saving(conn, before)
    count = 0
    for image_id, status, token in stale:
        event = "upload_failed" if status == ImageStatus.SAVING else "stage_failed"
        with service.database.write() as conn:
            try:
                image_rows.transition(
                    conn, image_id, event, upload_token=token, silent_since=before
                )
            except (errors.NotFound, errors.StateConflict, errors.Conflict):
                continue  # it went on by itself meanwhile
            service.quotas.release(conn, token)
        crashpoint("reaper.upload_ended")
        LOG.info("dead upload ended image_id=%s", image_id)
        count += 1
    return count


def _end_expired(service: services.Service) -> int:
    """Resumable uploads that nobody went on with in time."""
    now = metadata.now()
    with service.database.read() as conn:
        found = upload_rows.expired(conn, now, BATCH)
    count = 0
    for upload_id in found:
        with service.database.write() as conn:
            if not upload_expiry.expire(conn, service.operation, service.quotas, upload_id, now):
                continue  # somebody went on with it meanwhile
        crashpoint("reaper.upload_expired")
        LOG.info("upload expired upload_id=%s", upload_id)
        count += 1
    return count


def _doom_orphans(service: services.Service) -> int:
    """Objects that were announced, never published, and whose writer is gone."""
    before = metadata.now() - timedelta(seconds=service.conf.worker.upload_stale_s)
    count = 0
    with service.database.read() as conn:
        orphans = [note for note in pending.stale(conn, before) if not _in_work(conn, note)]
    for note in orphans:
        with service.database.write() as conn:
            if pending.drop(conn, note):
                doomed.add(conn, note.store_id, note.storage_key)
                service.quotas.release(conn, note.owner_token)
                count += 1
        crashpoint("reaper.orphan_doomed")
    return count


def _in_work(conn: Any, note: pending.PendingObject) -> bool:
    # The job first: one that ends in between may leave its bytes to the image.
    job = job_rows.get(conn, note.owner_token)
    if job is not None and job.state not in JOB_ENDED:
        return True
    image = image_rows.get(conn, note.image_id)
    return image is not None and image.status in (ImageStatus.SAVING, ImageStatus.UPLOADING)


def _release_orphans(service: services.Service) -> int:
    """Quota that is set aside for what is over; each end releases its own, so there is none."""
    before = metadata.now() - timedelta(seconds=service.conf.worker.upload_stale_s)
    with service.database.read() as conn:
        orphans = quota_count.orphans(conn, before)
    for token in orphans:
        LOG.warning("quota held by nobody released token=%s", token)
        with service.database.write() as conn:
            service.quotas.release(conn, token)
    return len(orphans)


def _prune_jobs(service: services.Service) -> int:
    before = metadata.now() - timedelta(days=service.conf.worker.keep_finished_days)
    count = 0
    for _ in range(PRUNE_BATCHES):  # the rest in the next round: the other chores wait
        with service.database.write() as conn:
            removed = job_history.prune(conn, before, BATCH)
        count += removed
        if removed < BATCH:
            break
    return count


def _delete_doomed(service: services.Service) -> int:
    """Some batches of each store: one that is away holds up no other."""
    count = 0
    for store_id in service.backends.ids("storage"):
        for _ in range(DELETE_BATCHES):
            deleted = _delete_from(service, store_id)
            count += deleted
            if deleted < BATCH:  # that was all, or the store is away
                break
    return count


def _delete_from(service: services.Service, store: str) -> int:
    with service.database.read() as conn:
        objects = doomed.list(conn, BATCH, store)
    count = 0
    for store_id, key in objects:
        try:
            service.backends.storage(store_id).delete(key)
        except (DriverError, errors.ImagesvcError) as exc:  # kept for the next round
            LOG.warning("bytes not deleted store=%s key=%s: %s", store_id, key, exc)
            continue
        crashpoint("reaper.bytes_deleted")
        with service.database.write() as conn:
            doomed.remove(conn, store_id, key)
        count += 1
    return count
