"""Our commands as processes, forked from one that has imported everything: tests need hundreds."""

import multiprocessing
import os
import signal
import subprocess
import sys
import warnings

import gunicorn.app.wsgiapp
import gunicorn.arbiter

import imagesvc_drivers.compute.qemu.driver
import imagesvc_drivers.identity.local
import imagesvc_drivers.storage.file
import imagesvc_drivers.storage.s3.driver
import imagesvc_drivers.volume.local  # noqa: F401
from imagesvc import crashpoint, opts, service, wsgi  # noqa: F401
from imagesvc.cmd import api, gunicorn_conf, gunicorn_worker, worker  # noqa: F401

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


def serve(folder, path, log, environment, point, died):
    """The process: what `imagesvc-api` does, but that gunicorn is no new program."""

    def become_gunicorn(program, args):
        sys.argv = args[2:]
        sys.exit(gunicorn.app.wsgiapp.run())

    become(log, environment, point, died)
    os.chdir(folder)
    os.execv = become_gunicorn
    sys.exit(api.main(["--config-file", str(path)]))


class Process:
    """A process of `target` with what the tests use of `subprocess.Popen`."""

    def __init__(self, target, folder, path, log, environment, point="", died=""):
        arguments = (folder, path, log, {**os.environ, **environment}, point, died)
        self._process = FORKS.Process(target=target, args=arguments)
        self._process.start()
        self.pid = self._process.pid

    def poll(self):
        """Exit code, or None while it lives."""
        return self._process.exitcode

    def wait(self, timeout=None):
        """Exit code, negative for a signal."""
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired(self._process.name, timeout)
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
