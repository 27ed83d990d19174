"""Counters of this process's requests, and their text for Prometheus.

Under gunicorn every process writes its counters to a folder of its own kind (the multi-process
mode of prometheus_client: PROMETHEUS_MULTIPROC_DIR, set by `imagesvc-api`), and whichever process
is scraped sums up all. Without the folder the numbers are those of this process alone.
"""

import os
from collections.abc import Iterable
from typing import Any

import prometheus_client
from prometheus_client import metrics_core, multiprocess, registry

CONTENT_TYPE = prometheus_client.CONTENT_TYPE_LATEST
FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
# From a cached read to an upload of an hour.
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60, 600, 3600)
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Meter:
    """Requests, their time and their bytes, by route template; safe to share among threads."""

    def __init__(self) -> None:
        self._registry = prometheus_client.CollectorRegistry()
        labels = ("method", "route", "status")
        self._requests = prometheus_client.Counter(
            "imagesvc_http_requests", "Requests answered.", labels, registry=self._registry
        )
        self._seconds = prometheus_client.Histogram(
            "imagesvc_http_request_seconds",
            "Seconds from the first byte of a request to the head of its answer.",
            ("method", "route"),
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._received = prometheus_client.Counter(
            "imagesvc_http_received_bytes",
            "Bytes of request bodies that were read.",
            ("route",),
            registry=self._registry,
        )
        self._sent = prometheus_client.Counter(
            "imagesvc_http_sent_bytes",
            "Bytes of answers as announced; a broken transfer sends fewer.",
            ("route",),
            registry=self._registry,
        )

    def count(
        self, method: str, route: str, status: int, *, seconds: float, received: int, sent: int
    ) -> None:
        """Count one request. `route` is a template, never a path: paths have no end."""
        known = method if method in _METHODS else "other"
        self._requests.labels(known, route, str(status)).inc()
        self._seconds.labels(known, route).observe(seconds)
        self._received.labels(route).inc(received)
        self._sent.labels(route).inc(sent)

    def text(self, more: Iterable[metrics_core.Metric]) -> bytes:
        """Everything, with `more` families that the caller has of elsewhere."""
        found = self._registry
        if os.environ.get(FOLDER_VARIABLE):
            found = prometheus_client.CollectorRegistry()
            multiprocess.MultiProcessCollector(found)  # type: ignore[no-untyped-call]
        together = prometheus_client.CollectorRegistry()
        together.register(_Given([*found.collect(), *more]))
        return prometheus_client.generate_latest(together)


class _Given(registry.Collector):
    def __init__(self, families: list[Any]) -> None:
        self._families = families

    def collect(self) -> Iterable[Any]:
        return self._families
