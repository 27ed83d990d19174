"""imagesvc-worker: runs jobs, and the chores that keep rows and bytes in step."""

import argparse
import logging
import os
import secrets
import signal
import socket
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from types import FrameType

from imagesvc import service as services
from imagesvc.cmd import command_line, log
from imagesvc.worker import bin as bin_chore
from imagesvc.worker import outbox, quota, reaper, reconcile, runner, scratch, seal, stranger
from imagesvc.worker.flow import Flow
from imagesvc.worker.flow_table import FLOWS

LOG = logging.getLogger(__name__)
PROG = "imagesvc-worker"
RELEASE_S = 5.0  # what a step needs to notice that its time is up, and to give its job back
CHORES = (bin_chore.run, reaper.run, seal.run, outbox.run, quota.run, reconcile.run, scratch.run)


class Worker:
    """Runner threads, and one thread for the chores."""

    def __init__(self, service: services.Service, flows: Mapping[str, Flow] = FLOWS) -> None:
        self._service = service
        self._stop = threading.Event()
        name = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
        self._strangers = stranger.Strangers(flows)
        turn = threading.Lock()
        self._runners = [
            runner.Runner(service, f"{name}-{number}", flows=flows, turn=turn)
            for number in range(service.conf.worker.threads)
        ]
        self._threads = [
            threading.Thread(
                target=one.run_forever, args=(self._stop,), name=f"runner-{number}", daemon=True
            )
            for number, one in enumerate(self._runners)
        ]

    def run(self) -> int:
        """Work until SIGTERM or SIGINT, then let running steps end for a while."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)
        for thread in self._threads:
            thread.start()
        LOG.info("worker started threads=%s", len(self._threads))
        while not self._stop.is_set():
            self._do_chores()
            self._stop.wait(self._service.conf.worker.reap_interval_s)
        LOG.info("worker stops drain_s=%s", self._service.conf.worker.drain_s)
        deadline = time.monotonic() + self._service.conf.worker.drain_s + RELEASE_S
        for thread in self._threads:
            thread.join(max(deadline - time.monotonic(), 0.0))
        left = sum(thread.is_alive() for thread in self._threads)
        for one in self._runners:
            one.give_back()
        LOG.info("worker ends steps_left=%s", left)
        return 0

    def _do_chores(self) -> None:
        for chore in (*CHORES, self._strangers.run):
            try:
                chore(self._service)
            except Exception:  # one chore's fault must stop neither the others nor the jobs
                LOG.exception("chore failed name=%s", chore.__module__)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._stop.set()


def _work(parsed: argparse.Namespace) -> int:
    conf = command_line.load(parsed)
    log.set_up(conf)
    service = services.build(conf)
    code = Worker(service).run()
    service.close()
    return code


def main(argv: Sequence[str] | None = None) -> int:
    """Run jobs until a signal."""
    parsed = command_line.parser(PROG, "Run jobs and chores.").parse_args(argv)
    return command_line.run(PROG, lambda: _work(parsed))


if __name__ == "__main__":
    sys.exit(main())
