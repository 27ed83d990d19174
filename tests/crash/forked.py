"""Workers as processes, forked from one that has imported everything: tests need hundreds."""

import multiprocessing
import os
import signal
import subprocess
import sys
import warnings

import imagesvc_drivers.compute.qemu.driver
import imagesvc_drivers.identity.local
import imagesvc_drivers.storage.file
import imagesvc_drivers.storage.s3.driver
import imagesvc_drivers.volume.local  # noqa: F401
from imagesvc import crashpoint, opts, service  # noqa: F401
from imagesvc.cmd import worker

FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload([__name__, "tests.crash.paper_station"])


def become(log, environment, point="", died=""):
    """What a fork has to do first: another log, another environment, and where it is to die."""
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.environ.clear()
    os.environ.update(environment)
    # Imported before the fork, so that its environment comes too late.
    crashpoint._NAME, crashpoint._ONCE = point, died
    warnings.simplefilter("default")


def work(folder, path, log, environment, point, died):
    """The process: what `imagesvc-worker` does."""
    become(log, environment, point, died)
    os.chdir(folder)
    sys.exit(worker.main(["--config-file", str(path)]))


class Worker:
    """A worker process with what the tests use of `subprocess.Popen`."""

    def __init__(self, folder, path, log, point="", died=""):
        arguments = (folder, path, log, dict(os.environ), point, died)
        self._process = FORKS.Process(target=work, args=arguments)
        self._process.start()
        self.pid = self._process.pid

    def poll(self):
        """Exit code, or None while it lives."""
        return self._process.exitcode

    def wait(self, timeout=None):
        """Exit code, negative for a signal."""
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired("imagesvc-worker", timeout)
        return self._process.exitcode

    def send_signal(self, number):
        """Send one, unless it has ended."""
        if self._process.exitcode is None:
            os.kill(self.pid, number)

    def terminate(self):
        """Ask it to end."""
        self.send_signal(signal.SIGTERM)

    def kill(self):
        """End it at once."""
        self.send_signal(signal.SIGKILL)
