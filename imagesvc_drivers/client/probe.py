"""Health of a service that may take its time: whoever asks does not wait for it.

A first call logs in, looks for versions and asks, each within its own time; that may be longer than
a health check may take. So it runs in a thread, one at a time, and its outcome is told when it is
there.
"""

import threading
import time
from collections.abc import Callable

from imagesvc.interface import base, errors

WAIT_S = 1.5


class Probe:
    """Safe for many threads, which wait for the same call."""

    def __init__(self, ask: Callable[[], object]) -> None:
        self._ask = ask
        self._lock = threading.Lock()  # guards _thread and _begun
        self._thread: threading.Thread | None = None
        self._begun = 0.0
        self._last = base.Health(base.HealthState.OK)

    def health(self) -> base.Health:
        """OK or DOWN as the call ended. While it runs: DOWN if it was so before, else DEGRADED."""
        with self._lock:
            if self._thread is None or not self._thread.is_alive():
                self._begun = time.perf_counter()
                self._thread = threading.Thread(target=self._run, name="probe", daemon=True)
                self._thread.start()
            thread, begun = self._thread, self._begun
        thread.join(WAIT_S)
        last = self._last
        if not thread.is_alive() or last.state is base.HealthState.DOWN:
            return last
        waited = time.perf_counter() - begun
        text = f"No answer for {waited:.1f} s."
        return base.Health(base.HealthState.DEGRADED, text, waited * 1000)

    def _run(self) -> None:
        begun = time.perf_counter()
        try:
            self._ask()
        except Exception as exc:  # nobody else sees what is raised here
            detail = exc.operator_message if isinstance(exc, errors.DriverError) else repr(exc)
            self._last = base.Health(base.HealthState.DOWN, detail)
        else:
            latency_ms = (time.perf_counter() - begun) * 1000
            self._last = base.Health(base.HealthState.OK, "", latency_ms)
