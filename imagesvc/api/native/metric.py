"""/metrics in Prometheus' text format, and who may read it."""

import ipaddress
from collections.abc import Iterator, Sequence
from typing import Any

import falcon
from oslo_config import cfg
from prometheus_client import metrics_core

from imagesvc import errors
from imagesvc.api import meter
from imagesvc.backend.backend import BackendState
from imagesvc.manager import metric

OPTS = (
    cfg.ListOpt(
        "allowed_networks",
        default=["127.0.0.0/8", "::1/128"],
        help="Networks whose addresses may read /metrics, which needs no token. A request that "
        "comes through a proxy is refused, since its address is the proxy's. Empty: anybody, also "
        "through a proxy.",
    ),
    cfg.StrOpt(
        "bind_host",
        default="127.0.0.1",
        help="Address that /metrics listens on if bind_port is set.",
    ),
    cfg.PortOpt(
        "bind_port",
        default=0,
        help="TCP port of its own for /metrics, which then is nowhere else; 0: the port of the "
        "API.",
    ),
    cfg.StrOpt(
        "directory",
        default="${service.state_dir}/metrics",
        help="Folder in which the API's processes count, emptied at each start; best on a tmpfs. "
        "Two services need two.",
    ),
)
# What a proxy adds: then the address is not that of the one who asks.
_FORWARDED = ("FORWARDED", "X-FORWARDED-FOR", "X-REAL-IP", "VIA")


class MetricsResource:
    """Counters of the API's processes, and what is true of the installation."""

    anonymous = True

    def __init__(
        self, conf: cfg.ConfigOpts, manager: metric.MetricManager, counters: meter.Meter
    ) -> None:
        """Raises ConfigurationError for a network that is none."""
        self._networks = networks(conf.metrics.allowed_networks)
        self._port: int = conf.metrics.bind_port
        self._metrics = manager
        self._meter = counters

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Text; 403 for who may not read it, 404 on another port than its own."""
        if self._port and req.env.get("SERVER_PORT") != str(self._port):
            raise errors.NotFound("There is nothing at this path.")
        if not self._allowed(req):
            raise errors.Forbidden(
                "You are not allowed to read the metrics from here; the operator can change "
                "[metrics] allowed_networks."
            )
        resp.content_type = meter.CONTENT_TYPE
        resp.data = self._meter.text(families(self._metrics.snapshot()))

    def _allowed(self, req: falcon.Request) -> bool:
        if not self._networks:
            return True
        if any(req.get_header(name) for name in _FORWARDED):
            return False
        address = ipaddress.ip_address(req.remote_addr)
        address = getattr(address, "ipv4_mapped", None) or address
        return any(address in network for network in self._networks)


def networks(words: Sequence[str]) -> list[Any]:
    """The networks of the option. Raises ConfigurationError."""
    try:
        return [ipaddress.ip_network(word) for word in words]
    except ValueError as exc:  # the operator's text, not a request's
        raise errors.ConfigurationError(f"[metrics] allowed_networks: {exc}.") from exc


def families(found: metric.Snapshot) -> Iterator[metrics_core.Metric]:
    """The installation's own numbers; without its database those of the backends alone."""
    yield _gauge("imagesvc_database_up", "1 if the database answers.", found.counts is not None)
    health = metrics_core.GaugeMetricFamily(
        "imagesvc_backend_up",
        "1 if the backend works, 0.5 if degraded, 0 if not, as this process last saw it.",
        labels=("kind", "backend", "driver"),
    )
    for one in found.backends:
        health.add_metric((one.kind, one.id, one.driver), _UP.get(one.state, 0.0))
    yield health
    if found.counts is None:
        return
    counts = found.counts
    jobs = metrics_core.GaugeMetricFamily(
        "imagesvc_jobs", "Jobs by type and state.", labels=("type", "state")
    )
    for (type_, state), number in sorted(counts.jobs.items()):
        jobs.add_metric((type_, state), number)
    yield jobs
    yield _gauge(
        "imagesvc_oldest_ready_job_age_seconds",
        "Seconds for which the oldest due job has waited for a worker.",
        counts.oldest_ready_job_s,
    )
    late = metrics_core.GaugeMetricFamily(
        "imagesvc_catalog_overdue", "1 for a family of the catalog that is overdue.",
        labels=("family",),
    )  # fmt: skip
    for family in found.late:
        late.add_metric((family,), 1.0)
    yield late
    yield _gauge("imagesvc_audit_unsealed", "Audit records without a seal.", counts.unsealed)
    yield _gauge(
        "imagesvc_audit_unsealed_age_seconds",
        "Seconds for which the oldest of them has waited.",
        counts.oldest_unsealed_s,
    )


_UP = {BackendState.OK: 1.0, BackendState.DEGRADED: 0.5}


def _gauge(name: str, text: str, value: float) -> metrics_core.Metric:
    return metrics_core.GaugeMetricFamily(name, text, value=float(value))
