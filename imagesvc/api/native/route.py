"""The paths of our own API."""

from typing import Any

import falcon

from imagesvc.api import meter
from imagesvc.api.native import (
    agency,
    audit,
    backend,
    backup,
    baremetal,
    capture,
    catalog,
    copy,
    export,
    family,
    health,
    image,
    image_csv,
    image_disk,
    image_explain,
    image_impact,
    image_import,
    job,
    key,
    metric,
    object_store,
    openapi,
    os_version,
    quota,
    rebuild,
    region,
    region_image,
    server,
    server_console,
    signed_backup,
    signed_file,
    upload,
    volume,
)
from imagesvc.api.native import bin as image_bin

PREFIX = "/imagesvc/v1"


def add_routes(app: falcon.App[Any, Any], service: Any) -> None:
    """Hang each resource at its path."""
    jobs, files = service.jobs, service.image_files
    uploads = (service.uploads, service.upload_writer, service.conf.service.public_endpoint)
    routes = (
        *_machines(service),
        *_regions(service),
        *_catalog(service.catalog),
        *_bin(service),
        *_families(service),
        ("/imports", image_import.ImportsResource(service.origins)),
        ("/exports", export.ExportsResource(service.exports, service.families.named)),
        ("/object-stores", object_store.ObjectStoresResource(service.object_stores)),
        (
            "/object-stores/{object_store_id}",
            object_store.ObjectStoreResource(service.object_stores),
        ),
        ("/key", key.KeysResource(service.keys)),
        ("/key/{key_id}", key.KeyResource(service.keys)),
        ("/key/{key_id}/rotate", key.KeyRotateResource(service.keys)),
        ("/jobs", job.JobsResource(jobs)),
        ("/jobs/{job_id}", job.JobResource(jobs)),
        ("/jobs/{job_id}/cancel", job.JobCancelResource(jobs)),
        ("/jobs/{job_id}/retry", job.JobRetryResource(jobs)),
        ("/uploads", upload.UploadsResource(*uploads)),
        ("/uploads/{upload_id}", upload.UploadResource(*uploads)),
        ("/audit", audit.AuditResource(service.audits)),
        ("/quota/{project_id}", quota.QuotaResource(service.quotas)),
        ("/backends", backend.BackendsResource(service.backend_manager)),
        ("/health", health.HealthResource(service.health)),
        ("/image.csv", image_csv.ImageCsvResource(service.images)),
        (
            "/images/{image_id}",
            image.ImageResource(service.image_details, service.deletions),
        ),
        (
            "/images/{image_id}/promise",
            image.ImagePromiseResource(service.images, service.image_details),
        ),
        ("/images/{image_id}/copy", copy.CopyResource(service.copies, service.families.named)),
        ("/images/{image_id}/impact", image_impact.ImageImpactResource(service.impacts)),
        ("/images/{image_id}/explain", image_explain.ImageExplainResource(service.explanations)),
        (
            "/images/{image_id}/disk/{disk}/file",
            image_disk.ImageDiskFileResource(files),
        ),
        ("/signed/{image_id}/{disk}", signed_file.SignedFileResource(files)),
        (
            "/signed-backups/{backup_id}/{disk}",
            signed_backup.SignedBackupResource(service.backup_files),
        ),
    )
    described: list[openapi.Route] = [
        *((PREFIX + path, resource) for path, resource in routes),
        ("/healthcheck", health.LiveResource()),
        ("/healthcheck/ready", health.ReadyResource(service.health)),
    ]
    described.append((f"{PREFIX}/openapi.json", openapi.OpenApiResource(PREFIX, described)))
    for path, resource in described:
        app.add_route(path, resource)


def _families(service: Any) -> tuple[openapi.Route, ...]:
    """Images by what they are versions of."""
    families = service.families
    return (
        (
            "/images/{image_id}/family",
            family.ImageFamilyResource(service.images, service.image_details),
        ),
        ("/families", family.FamiliesResource(families)),
        ("/families/{family}", family.FamilyResource(families)),
        ("/families/{family}/rollback", family.FamilyRollbackResource(families)),
    )


def _machines(service: Any) -> tuple[openapi.Route, ...]:
    """What images are made of, and what is made of them."""
    servers, named = service.servers, service.families.named
    captures = (service.captures, service.disk_captures, service.backup_captures)
    return (
        ("/servers", server.ServersResource(servers, named)),
        ("/servers/{server_id}", server.ServerResource(servers)),
        ("/servers/{server_id}/start", server.ServerStartResource(servers)),
        ("/servers/{server_id}/stop", server.ServerStopResource(servers)),
        ("/servers/{server_id}/console", server_console.ServerConsoleResource(servers)),
        ("/rebuilds", rebuild.RebuildsResource(service.rebuilds, named)),
        ("/servers/{server_id}/volumes", volume.ServerVolumesResource(service.attachments)),
        (
            "/servers/{server_id}/volumes/{volume_id}",
            volume.ServerVolumeResource(service.attachments),
        ),
        ("/volumes", volume.VolumesResource(service.volumes, named)),
        ("/volumes/{volume_id}", volume.VolumeResource(service.volumes)),
        ("/nodes", baremetal.NodesResource(service.nodes)),
        ("/nodes/{node_id}", baremetal.NodeResource(service.nodes)),
        ("/nodes/{node_id}/deploy", baremetal.NodeDeployResource(service.nodes, named)),
        ("/nodes/{node_id}/undeploy", baremetal.NodeUndeployResource(service.nodes)),
        ("/backups", backup.BackupsResource(service.backups)),
        ("/backups/{backup_id}", backup.BackupResource(service.backups)),
        ("/backups/{backup_id}/restore", backup.BackupRestoreResource(service.backups)),
        ("/captures", capture.CapturesResource(*captures)),
    )


def _bin(service: Any) -> tuple[openapi.Route, ...]:
    """What becomes of deleted images."""
    bins = service.bins
    return (
        ("/bin", image_bin.BinResource(bins)),
        ("/bin/{image_id}", image_bin.BinnedImageResource(bins)),
        ("/bin/{image_id}/undo", image_bin.BinUndoResource(bins)),
        ("/bin/{image_id}/purge", image_bin.BinPurgeResource(bins)),
    )


def _regions(service: Any) -> tuple[openapi.Route, ...]:
    """What goes to other regions, and comes from them."""
    managers = service.region
    copies = region.RegionCopiesResource(managers.copies, service.families.named)
    return (
        ("/regions", region.RegionsResource(managers.regions)),
        ("/images/{image_id}/region-copy", copies),
        ("/agencies", agency.AgenciesResource(managers.agencies)),
        ("/agencies/{agency_id}", agency.AgencyResource(managers.agencies)),
        ("/region-images/{request_token}", region_image.RegionImageResource(managers.images)),
    )


def _catalog(managers: Any) -> tuple[openapi.Route, ...]:
    """Public images: what there is, what is new, what is not needed any more."""
    family = "/catalog/families/{family}"
    return (
        ("/catalog/families", catalog.CatalogFamiliesResource(managers)),
        (family, catalog.CatalogFamilyResource(managers)),
        (f"{family}/plan", catalog.CatalogPlanResource(managers)),
        (f"{family}/rollback", catalog.CatalogRollbackResource(managers)),
        ("/catalog/os-versions", os_version.OsVersionsResource(managers.versions)),
        ("/catalog/lock", catalog.CatalogLockResource(managers)),
        ("/catalog/sync", catalog.CatalogSyncResource(managers)),
        ("/catalog/verify", catalog.CatalogVerifyResource(managers)),
        ("/catalog/prune", catalog.CatalogPruneResource(managers)),
    )


def add_metrics(app: falcon.App[Any, Any], service: Any, counters: meter.Meter) -> None:
    """Hang the metrics at the root, where scrapers look for them."""
    resource = metric.MetricsResource(service.conf, service.metrics, counters)
    app.add_route("/metrics", resource)
