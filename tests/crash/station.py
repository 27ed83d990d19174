"""An installation in a folder, whose processes may be told where to die."""

import http.client
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
from pathlib import Path

from imagesvc import opts
from imagesvc import service as services
from imagesvc.context import RequestContext
from imagesvc.manager import quota_verify
from tests import migrated, poll
from tests.crash import forked

BIN = Path(sys.executable).parent
DEADLINE_S = 90.0

CONF = """
[service]
state_dir = {folder}
bind_port = {port}
workers = 1
threads = 4
[worker]
threads = 1
poll_interval_s = 0.05
lease_s = 1.0
upload_stale_s = 1.0
reap_interval_s = 0.2
retry_s = 0
drain_s = 5
[database]
url = {database}
[storage_local]
directory = {folder}/store
[compute_local]
state_dir = {folder}/compute
accelerator = tcg
accelerator = tcg
[identity_local]
path = {folder}/identity.sqlite
[audit_sink_local]
path = {folder}/audit.jsonl
"""


def until(check, deadline_s=DEADLINE_S):
    """As `poll.until`, with the time that whole processes need."""
    return poll.until(check, deadline_s, pause_s=0.05)


def free_port():
    """A port that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Station:
    """The folder, a service of this process on it, and commands as processes."""

    def __init__(self, folder, database=None, more=""):
        self.folder = folder
        self.port = free_port()
        self.path = folder / "imagesvc.conf"
        database = database or f"sqlite:///{folder}/imagesvc.sqlite"
        self.path.write_text(CONF.format(folder=folder, port=self.port, database=database) + more)
        key = folder / "installation.key"
        key.write_text(secrets.token_hex(32))
        key.chmod(0o600)
        conf = opts.load(self.path)
        migrated.make(conf.database.url)
        self.service = services.build(conf, monitor=False)
        project = self.service.identity.create_project("crash")
        self.service.identity.create_user("crash", "crash-password")
        self.service.identity.grant("crash", "crash", "member")
        self.caller = RequestContext("crash", project, frozenset({"member"}))
        self.processes = []

    def start(self, command, point="", once=True, under=(), port=None):
        """Start `imagesvc-<command>`, to die at the crash point `point`, once in all.

        `under` is a command that runs it, as a tracer does. Without it is a fork.
        """
        died = str(self.folder / "died") if point and once else ""
        log = self.folder / f"{command}.log"
        environment = {"IMAGESVC_CONF": str(self.path), "PYTHONWARNINGS": "default"}
        if port:
            environment["OS_SERVICE__BIND_PORT"] = str(port)
        if not under:
            target = {"api": forked.serve, "worker": forked.work}[command]
            made = forked.Process(target, self.folder, self.path, log, environment, point, died)
            self.processes.append(made)
            return made
        if point:
            environment["IMAGESVC_CRASHPOINT"] = point
            environment["IMAGESVC_CRASHPOINT_ONCE"] = died
        with log.open("ab") as out:
            process = subprocess.Popen(
                [*under, BIN / f"imagesvc-{command}"],
                env=os.environ | environment,
                stdout=out,
                stderr=out,
                cwd=self.folder,
            )
        self.processes.append(process)
        return process

    @property
    def died(self):
        """Whether a process met its crash point."""
        return (self.folder / "died").exists()

    def call(self, method, path, body=None, headers=None, port=None):
        """One request to an API; status, headers, body."""
        connection = http.client.HTTPConnection("127.0.0.1", port or self.port, timeout=30)
        try:
            connection.request(method, path, body=body, headers=headers or {})
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read()
        finally:
            connection.close()

    def ready(self, port=None):
        """Whether an API answers."""
        try:
            return self.call("GET", "/healthcheck", port=port)[0] == 200
        except OSError:
            return False

    def token(self, project="crash"):
        """A token of the caller, for a project by name."""
        scope = {"project": {"name": project, "domain": {"id": "default"}}}
        user = {"name": "crash", "password": "crash-password", "domain": {"id": "default"}}
        identity = {"methods": ["password"], "password": {"user": user}}
        body = json.dumps({"auth": {"identity": identity, "scope": scope}})
        headers = {"Content-Type": "application/json"}
        answer = self.call("POST", "/v3/auth/tokens", body, headers)
        return {name.lower(): value for name, value in answer[1].items()}["x-subject-token"]

    def objects(self):
        """Keys of all committed objects."""
        return [item.key for item in self.service.backends.storage().list()]

    def quota(self):
        """Images, stored bytes and uploads of the caller, each (used, reserved)."""
        found = self.service.quotas.show(self.caller, self.caller.project_id)
        return [(one.used, one.reserved) for one in found]

    def quota_is_true(self):
        """Whether every counter is what the rows say."""
        return quota_verify.verify(self.service.database) == ()

    def job(self, job_id):
        """The job as it is now."""
        return self.service.jobs.get(self.caller, job_id)

    def end_processes(self):
        """End what was started."""
        for process in self.processes:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        for process in self.processes:
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def stop(self):
        """End processes and servers."""
        self.end_processes()
        driver = self.service.backends.compute()
        for server in driver.list_servers(self.caller.project_id):
            driver.delete_server(server.server_id, project_id=self.caller.project_id)
        self.service.close()
