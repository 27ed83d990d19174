"""Entities as JSON of our own API; pure functions."""

import datetime
from typing import Any

from imagesvc.api.native import job_progress
from imagesvc.backend.backend import BackendStatus
from imagesvc.db.audit import AuditRecord
from imagesvc.domain import job as jobs
from imagesvc.domain.object_store import ObjectStore
from imagesvc.domain.quota import Quota
from imagesvc.interface import backup as backups
from imagesvc.interface import baremetal, compute
from imagesvc.interface import volume as volumes
from imagesvc.manager import key as keys


def time(value: datetime.datetime | None) -> str | None:
    """RFC 3339 in UTC, to the microsecond."""
    if value is None:
        return None
    return value.astimezone(datetime.UTC).replace(tzinfo=None).isoformat() + "Z"


def server(entity: compute.Server) -> dict[str, Any]:
    """One server with its disks."""
    return {
        "id": entity.server_id,
        "name": entity.name,
        "state": str(entity.state),
        "image_id": entity.image_id,
        "os_type": entity.os_type,
        "architecture": entity.architecture,
        "created_at": time(entity.created_at),
        "detail": entity.detail,
        "disks": [
            {
                "id": disk.disk_id,
                "size_bytes": disk.size_bytes,
                "boot": disk.boot,
                "serial": disk.serial,
            }
            for disk in entity.disks
        ],
        "volumes": list(entity.volumes),
    }


def volume(entity: volumes.Volume) -> dict[str, Any]:
    """One volume."""
    return {
        "id": entity.volume_id,
        "name": entity.name,
        "state": str(entity.state),
        "size_bytes": entity.size_bytes,
        "image_id": entity.image_id,
        "server_id": entity.server_id,
        "created_at": time(entity.created_at),
        "detail": entity.detail,
    }


def backup(entity: backups.Backup) -> dict[str, Any]:
    """One backup with its disks."""
    return {
        "id": entity.backup_id,
        "name": entity.name,
        "server_id": entity.server_id,
        "size_bytes": sum(disk.size_bytes for disk in entity.disks),
        "os_type": entity.os_type,
        "architecture": entity.architecture,
        "memory_mib": entity.memory_mib,
        "consistency": str(entity.consistency),
        "created_at": time(entity.created_at),
        "detail": entity.detail,
        "disks": [
            {
                "id": disk.disk_id,
                "size_bytes": disk.size_bytes,
                "boot": disk.boot,
                "digest": disk.digest,
            }
            for disk in entity.disks
        ],
    }


def node(entity: baremetal.Node) -> dict[str, Any]:
    """One bare-metal node."""
    return {
        "id": entity.node_id,
        "state": str(entity.state),
        "size_bytes": entity.size_bytes,
        "project_id": entity.project_id,
        "image_id": entity.image_id,
        "detail": entity.detail,
    }


def job(entity: jobs.Job, now: datetime.datetime, *, operator: bool = False) -> dict[str, Any]:
    """One job; the operator's text only for administrators."""
    step = job_progress.current_step(entity)
    view = {
        "id": entity.id,
        "type": str(entity.type),
        "state": str(entity.state),
        "phase": step.name if step else None,
        "percent": job_progress.percent(entity),
        "done_bytes": step.done_bytes if step else 0,
        "total_bytes": step.total_bytes if step else None,
        "eta_s": job_progress.eta_s(entity, now),
        "cause": entity.cause,
        "image_id": entity.image_id,
        "result": dict(entity.result),
        "created_at": time(entity.created_at),
        "started_at": time(entity.started_at),
        "finished_at": time(entity.finished_at),
        "cancel_requested": entity.cancel_requested,
        "steps": [_step(step) for step in entity.steps],
    }
    if operator:
        view["operator_cause"] = entity.operator_text
    return view


def _step(entity: jobs.JobStep) -> dict[str, Any]:
    return {
        "name": entity.name,
        "state": str(entity.state),
        "done_bytes": entity.done_bytes,
        "total_bytes": entity.total_bytes,
        "started_at": time(entity.started_at),
        "finished_at": time(entity.finished_at),
    }


def audit_event(entity: AuditRecord) -> dict[str, Any]:
    """One recorded action."""
    return {
        "id": entity.event_id,
        "created_at": time(entity.created_at),
        "action": entity.action,
        "outcome": entity.outcome,
        "target_type": entity.target_type,
        "target_id": entity.target_id,
        "project_id": entity.project_id,
        "user_id": entity.user_id,
        "request_id": entity.request_id,
        "detail": dict(entity.detail),
    }


def object_store(entity: ObjectStore) -> dict[str, Any]:
    """One object store; its secret key is never shown."""
    return {
        "id": entity.id,
        "name": entity.name,
        "endpoint": entity.endpoint,
        "region": entity.region,
        "buckets": list(entity.buckets),
        "access_key": entity.access_key,
        "created_at": time(entity.created_at),
        "updated_at": time(entity.updated_at),
    }


def key(entity: keys.Key) -> dict[str, Any]:
    """One key of the KMS."""
    info = entity.info
    return {
        "id": info.id,
        "name": info.name,
        "backend_id": entity.backend_id,
        "project_id": info.project_id,
        "state": str(info.state),
        "version": info.version,
        "algorithm": info.algorithm,
        "default": entity.default,
        "created_at": time(info.created_at),
    }


def backend(entity: BackendStatus) -> dict[str, Any]:
    """What provides a backend, without its configuration."""
    return {
        "kind": entity.kind,
        "id": entity.id,
        "driver": entity.driver,
        "distribution": entity.distribution,
        "version": entity.version,
        "contract": entity.contract,
        "capabilities": list(entity.capabilities),
        "state": str(entity.state),
        "default": entity.default,
    }


def health(entity: BackendStatus) -> dict[str, Any]:
    """The last probe of a backend."""
    return {
        "kind": entity.kind,
        "id": entity.id,
        "driver": entity.driver,
        "state": str(entity.state),
        "since": time(entity.since),
        "latency_ms": entity.latency_ms,
        "cause": entity.cause,
    }


def quota(project_id: str, entities: tuple[Quota, ...]) -> dict[str, Any]:
    """Use and limits of a project; a limit of -1 is none."""
    resources = {
        str(entity.resource): {
            "used": entity.used,
            "reserved": entity.reserved,
            "limit": entity.limit,
            "default": not entity.own,
        }
        for entity in entities
    }
    return {"project_id": project_id, **resources}
