"""Runs installed commands in forks of a process that has imported them already.

The unmodified clients take a second to import what they need, more than most of their calls
take. Each call still has a process, an environment, and files of its own.
"""

import gc
import importlib.metadata
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
import traceback

OURS = ("imagesvc-manage", "imagesvc-status")
CLIENTS = ("openstack", "glance", "imagesvc", "imagesvc-manage")
_MORE = (  # what the clients import when they are called
    "glanceclient.v2.shell",
    "keystoneauth1.loading._plugins.identity.generic",
    "openstack.image.v2._proxy",
    "openstackclient.image.client",
    "openstackclient.image.v2.image",
    "openstackclient.image.v2.metadef_namespaces",
)


class CommandServer:
    """Starts when first asked, with `commands`; takes one command at a time."""

    def __init__(self, commands=CLIENTS):
        self._commands = commands
        self._lock = threading.Lock()
        self._process = None

    def takes(self, command):
        """Whether it knows the command and is idle just now; then `run` must follow."""
        return command in self._commands and self._lock.acquire(blocking=False)

    def run(self, args, *, env, stdin, timeout):
        """As subprocess.run with captured output."""
        try:
            with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
                status = self._ask(args, env, (stdin, out, err), timeout)
                out.seek(0)
                err.seek(0)
                return subprocess.CompletedProcess(args, status, out.read(), err.read())
        finally:
            self._lock.release()

    def stop(self):
        """End it; its commands have ended."""
        if self._process is not None:
            self._process.stdin.close()
            self._process.stdout.close()
            self._process.wait(30)

    def _ask(self, args, env, files, timeout):
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, __file__, *self._commands],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env={**os.environ, "PYTHONWARNINGS": "ignore"},
            )
        paths = [f"/proc/{os.getpid()}/fd/{file.fileno()}" for file in files]
        order = {"args": list(args), "env": dict(env), "files": paths, "timeout": timeout}
        self._process.stdin.write(json.dumps(order).encode() + b"\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        if answer is None:
            raise subprocess.TimeoutExpired(args, timeout)
        return answer


def _main(commands):
    mains = {}
    for entry in importlib.metadata.entry_points(group="console_scripts"):
        if entry.name in commands:
            mains[entry.name] = entry.load()
    for module in _MORE if "openstack" in commands else ():
        importlib.import_module(module)
    gc.freeze()
    for line in sys.stdin.buffer:
        order = json.loads(line)
        print(json.dumps(_serve(mains, order)), flush=True)


def _serve(mains, order):
    child = os.fork()
    if not child:
        _be(mains, **order)
    end = time.monotonic() + order["timeout"]
    while time.monotonic() < end:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.005)
    os.kill(child, 9)
    os.waitpid(child, 0)
    return None


def _be(mains, args, env, files, timeout):
    status = 1
    try:
        for number, path in enumerate(files):
            opened = os.open(path, os.O_RDONLY if number == 0 else os.O_WRONLY)
            os.dup2(opened, number)
            os.close(opened)
        os.environ.clear()
        os.environ.update(env)
        sys.argv = list(args)
        result = mains[os.path.basename(args[0])]()
        status = result if isinstance(result, int) else int(result is not None)
    except SystemExit as exc:
        if isinstance(exc.code, str):
            print(exc.code, file=sys.stderr)
        status = exc.code if isinstance(exc.code, int) else int(exc.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(status)


if __name__ == "__main__":
    _main(sys.argv[1:])
