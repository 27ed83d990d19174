"""The paths of our own API."""

from typing import Any

import falcon

from imagesvc.api import meter
from imagesvc.api.native import (
    audit,
    backend,
    capture,
    health,
    image_disk,
    job,
    metric,
    quota,
    server,
    server_console,
    signed_file,
)

PREFIX = "/imagesvc/v1"


def add_routes(app: falcon.App[Any, Any], service: Any) -> None:
    """Hang each resource at its path."""
    servers, jobs, files = service.servers, service.jobs, service.image_files
    routes = (
        ("/servers", server.ServersResource(servers)),
        ("/servers/{server_id}", server.ServerResource(servers)),
        ("/servers/{server_id}/start", server.ServerStartResource(servers)),
        ("/servers/{server_id}/stop", server.ServerStopResource(servers)),
        ("/servers/{server_id}/console", server_console.ServerConsoleResource(servers)),
        ("/captures", capture.CapturesResource(service.captures)),
        ("/jobs", job.JobsResource(jobs)),
        ("/jobs/{job_id}", job.JobResource(jobs)),
        ("/jobs/{job_id}/cancel", job.JobCancelResource(jobs)),
        ("/jobs/{job_id}/retry", job.JobRetryResource(jobs)),
        ("/audit", audit.AuditResource(service.audits)),
        ("/quota/{project_id}", quota.QuotaResource(service.quotas)),
        ("/backends", backend.BackendsResource(service.backend_manager)),
        ("/health", health.HealthResource(service.health)),
        (
            "/images/{image_id}/disk/{disk}/file",
            image_disk.ImageDiskFileResource(files),
        ),
        ("/signed/{image_id}/{disk}", signed_file.SignedFileResource(files)),
    )
    for path, resource in routes:
        app.add_route(PREFIX + path, resource)
    app.add_route("/healthcheck", health.LiveResource())
    app.add_route("/healthcheck/ready", health.ReadyResource(service.health))


def add_metrics(app: falcon.App[Any, Any], service: Any, counters: meter.Meter) -> None:
    """Hang the metrics at the root, where scrapers look for them."""
    resource = metric.MetricsResource(service.conf, service.metrics, counters)
    app.add_route("/metrics", resource)
