"""An installation of its own in this process: its door at a real port, a worker if it is wanted."""

import contextlib
import dataclasses
import hashlib
import socketserver
import threading
import time
import uuid
import wsgiref.simple_server

import sqlalchemy as sa

from imagesvc import service as services
from imagesvc.api import app as door
from imagesvc.db import image as image_rows
from imagesvc.db import job_table, migrate
from imagesvc.domain.image import ImageDisk
from imagesvc.manager import image_bytes
from imagesvc.worker import runner
from tests.api.caller import Caller
from tests.api.conftest import configure
from tests.api.identity_driver import TokenIdentity

PASSWORD = "a-password-of-the-service"


class Identity(TokenIdentity):
    """Users of the embedded identity, and beside them those whom a token of the tests names."""

    def __init__(self, local):
        super().__init__(None, backend_id="test")
        self._local = local
        self.describe, self.revoke = local.describe, local.revoke

    def info(self):
        """As the embedded one."""
        return self._local.info()

    def authenticate(self, request):
        """By the form of the token."""
        if request.headers.get("x-auth-token", "").count("/") == 2:
            return super().authenticate(request)
        return self._local.authenticate(request)


class _Server(socketserver.ThreadingMixIn, wsgiref.simple_server.WSGIServer):
    daemon_threads = True
    request_queue_size = 64


class _Quiet(wsgiref.simple_server.WSGIRequestHandler):
    def log_message(self, *args):
        """Nothing."""


class Installation:
    """A service, its application, and its port while it is open."""

    def __init__(self, folder, name, more=""):
        folder.mkdir(exist_ok=True)
        self.name, self.conf = name, configure(folder, f"[service]\nregion = {name}\n{more}")
        migrate.upgrade(self.conf.database.url)
        built = services.build(self.conf, monitor=False)
        self.service = dataclasses.replace(built, identity=Identity(built.identity))
        self.app = door.create_app(self.service)
        self.port, self._server, self._tls = 0, None, None
        self._stop = threading.Event()
        self._worker = None

    @property
    def url(self):
        """Where it is."""
        return f"http{'s' if self._tls else ''}://127.0.0.1:{self.port}"

    def admit(self, user):
        """A user with the role service, for another region."""
        identity = self.service.backends.identity()
        with contextlib.suppress(Exception):
            identity.create_project("service")
        identity.create_user(user, PASSWORD)
        identity.grant(user, "service", "service")

    def open(self, tls=None):
        """Listen, at the same port as before."""
        self._tls = tls
        self._server = wsgiref.simple_server.make_server(
            "127.0.0.1", self.port, self.app, server_class=_Server, handler_class=_Quiet
        )
        self.port = self._server.server_port
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def shut(self):
        """Listen no more."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def employ(self):
        """A worker that works until the end."""
        worker = runner.Runner(self.service, "there", pause_max_s=0.05)
        self._worker = threading.Thread(target=worker.run_forever, args=(self._stop,), daemon=True)
        self._worker.start()

    def close(self):
        """End all of it."""
        self._stop.set()
        if self._worker is not None:
            self._worker.join()
        self.shut()
        self.service.close()

    def caller(self, *roles, project=None):
        """A member of a project of its own, by the application itself."""
        return Caller(self.app, project or uuid.uuid4().hex, *roles)

    def work(self, times=100, pause_s=0.05):
        """What a worker does until all jobs have ended, or so often; whether there was a job."""
        worker = runner.Runner(self.service, "here", pause_max_s=pause_s)
        found = False
        for _ in range(times):
            if worker.run_once():
                found = True
            elif self._idle():
                break
            else:
                time.sleep(pause_s / 10)
        return found

    def _idle(self):
        open_jobs = sa.select(job_table.TABLE.c.id).where(job_table.TABLE.c.finished_at.is_(None))
        with self.service.database.read() as conn:
            return conn.scalar(open_jobs.limit(1)) is None

    def machine(self, caller, disks, **values):
        """An active image of several disks, the bytes of each as they are given."""
        image_id = caller.create(**values)["id"]
        made = []
        for index, data in enumerate(disks):
            key = f"{image_id}/disk-{index}"
            with self.service.backends.storage().open_write(key) as writer:
                writer.write(data)
                writer.commit()
            made.append(
                ImageDisk(
                    index=index,
                    role="data" if index else "system",
                    disk_format="raw",
                    size_bytes=len(data),
                    virtual_size_bytes=len(data),
                    md5=None,
                    hash_algorithm="sha512",
                    hash_value=hashlib.sha512(data).hexdigest(),
                    locations=(("local", key),),
                )
            )
        with self.service.database.write() as conn:
            image_rows.update(conn, image_id, {"kind": "whole-machine"})
            image_rows.transition(conn, image_id, "make")
            owner = image_bytes.publish(
                conn, image_id, made[0], "import_done", others=tuple(made[1:])
            )
            stored = sum(disk.size_bytes for disk in made)
            self.service.quotas.count(conn, owner, stored_bytes=stored)
        return image_id


def section(target, user, more=""):
    """What the source region's configuration says of a target."""
    return (
        f"[service]\nregions = west\n[region_west]\nname = {target.name}\n"
        f"endpoint = {target.url}\nusername = {user}\npassword = {PASSWORD}\n{more}"
    )


def make_agency(caller, source_project, region="East"):
    """Make an agency in a caller's project; its id."""
    body = {"name": "from-east", "source_region": region, "source_project_id": source_project}
    found = caller.request("POST", "/imagesvc/v1/agencies", body)
    assert found.status_code == 201, found.text
    return found.json["agency"]["id"]
