"""Row D4: short calls while 200 clients ask for bytes and read none."""

import contextlib
import socket
import statistics
import time

import ratio
import running
from client import Client

READERS = 200
TIMEOUT_S = 10.0


def stalled(
    service: running.Party, path: str, pairs: int, calls: int, readers: int = READERS
) -> list[ratio.Outcome]:
    """The 99th percentile of GET /healthcheck with stalled readers, against without."""
    _latency_ms(service, calls)  # warm
    idle, under, taken, failed = [], [], 0, 0
    for _ in range(pairs):
        idle.append(_latency_ms(service, calls)[0])
        with contextlib.ExitStack() as open_sockets:
            answers = [_stall(service, path, open_sockets) for _ in range(readers)]
            taken = sum(status == 200 for status in answers)
            latency, lost = _latency_ms(service, calls)
            under.append(latency)
            failed += lost
        time.sleep(1)  # until the service has noticed that they left
    note = (
        f"ms; {taken} of {readers} readers were let in, the rest got 503; "
        f"{failed} of {pairs * calls} calls failed"
    )
    worst = 0.0 if failed else float("inf")
    goal = ratio.Goal(5, worst, less=True)
    return [ratio.report("D4", f"p99 with {readers} stalled / idle", under, idle, goal, note)]


def _stall(service: running.Party, path: str, owner: contextlib.ExitStack) -> int:
    """Ask, read the status and no more; the connection stays open."""
    sock = owner.enter_context(socket.socket())
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.settimeout(TIMEOUT_S)
    sock.connect(("127.0.0.1", service.port))
    headers = "".join(f"{name}: {value}\r\n" for name, value in service.headers.items())
    sock.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{headers}\r\n".encode())
    return int(sock.recv(12)[9:12])


def _latency_ms(service: running.Party, calls: int) -> tuple[float, int]:
    """The 99th percentile over fresh connections, and how many calls failed."""
    taken, failed = [], 0
    for _ in range(calls):
        begun = time.perf_counter()
        try:
            with Client(service, TIMEOUT_S) as client:
                client.request("GET", "/healthcheck")
        except OSError:  # counted: the row fails by it
            failed += 1
        taken.append((time.perf_counter() - begun) * 1000)
    return statistics.quantiles(taken, n=100, method="inclusive")[98], failed
