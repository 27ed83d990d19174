"""Probes of all backends, each in its own thread and with a deadline; requests never probe."""

import threading
import time
from collections.abc import Sequence

from imagesvc.backend import backend as backends
from imagesvc.interface import base

_STATES = {
    base.HealthState.OK: backends.BackendState.OK,
    base.HealthState.DEGRADED: backends.BackendState.DEGRADED,
    base.HealthState.DOWN: backends.BackendState.DOWN,
}


class _Probe:
    """One attempt at one backend; a late answer is dropped, since nobody reads it any more."""

    def __init__(self, backend: backends.Backend) -> None:
        self.backend = backend
        self.result: base.Health | None = None
        self.thread = threading.Thread(
            target=self._run,
            name=f"health-{backend.kind.name}-{backend.backend_id}",
            daemon=True,
        )

    def _run(self) -> None:
        if self.backend.failed:
            self.backend.open()
            if self.backend.failed:
                return
        self.result = self.backend.probe()


class HealthMonitor:
    """Probes backends every `interval_s`; failed ones are started again, with a growing pause."""

    def __init__(
        self,
        watched: Sequence[backends.Backend],
        *,
        interval_s: float,
        timeout_s: float,
        pause_max_s: float,
    ) -> None:
        self._watched = tuple(watched)
        self._interval_s = interval_s
        self._timeout_s = timeout_s
        self._pause_max_s = pause_max_s
        self._running: dict[backends.Backend, _Probe] = {}
        self._pause_s: dict[backends.Backend, float] = {}
        self._retry_at: dict[backends.Backend, float] = {}
        self._round = threading.Lock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to probe in the background; safe to repeat."""
        if self._thread is None:
            self._stop.clear()
            self._thread = threading.Thread(target=self._loop, name="health", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """End the background work; waits at most one probe's time."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(self._timeout_s + 1)
            self._thread = None

    def _loop(self) -> None:
        while not self._stop.wait(self._interval_s):
            self._probe_all(patient=True)

    def run_once(self) -> None:
        """Probe every backend now, also failed ones; returns after the deadline at the latest."""
        self._probe_all(patient=False)

    def _probe_all(self, *, patient: bool) -> None:
        """`patient` keeps to the pauses of failed backends."""
        with self._round:
            deadline = time.monotonic() + self._timeout_s
            for backend in self._watched:
                if self._due(backend, patient):
                    self._begin(backend)
            for backend, probe in list(self._running.items()):
                probe.thread.join(max(0.0, deadline - time.monotonic()))
                self._settle(backend, probe)

    def _due(self, backend: backends.Backend, patient: bool) -> bool:
        if backend in self._running:
            return False
        if not backend.failed:
            return True
        waited = time.monotonic() >= self._retry_at.get(backend, 0.0)
        return backend.curable and (waited or not patient)

    def _begin(self, backend: backends.Backend) -> None:
        probe = _Probe(backend)
        self._running[backend] = probe
        probe.thread.start()

    def _settle(self, backend: backends.Backend, probe: _Probe) -> None:
        if probe.thread.is_alive():
            if not backend.failed:
                backend.record(
                    backends.BackendState.DOWN, f"no answer within {self._timeout_s:g} s"
                )
            return
        del self._running[backend]
        if probe.result is not None:
            health = probe.result
            self._pause_s.pop(backend, None)
            backend.record(_STATES[health.state], health.detail, health.latency_ms)
        else:
            pause = self._pause_s.get(backend, self._interval_s)
            self._retry_at[backend] = time.monotonic() + pause
            self._pause_s[backend] = min(2 * pause, self._pause_max_s)
