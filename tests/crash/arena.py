"""Four API processes and two workers on PostgreSQL, and rivals who do things at the same moment."""

import http.client
import json
import random
import threading
import time

import pytest
import sqlalchemy as sa

from imagesvc.context import RequestContext
from imagesvc.db import doomed, job_table, metadata, pending
from imagesvc.domain.quota import Resource
from imagesvc.manager import audit_verify, store_verify
from tests import web_server
from tests.crash.station import Station, until

OCTETS = "application/octet-stream"
PATCH = "application/openstack-images-v2.1-json-patch"
NEW = {"name": "x", "disk_format": "raw", "container_format": "bare"}
FETCHED = bytes(range(256)) * 400
JITTER_S = 0.03
RESTARTS_MAX = 20
RESOURCES = {"images": Resource.IMAGES, "bytes": Resource.STORED_BYTES}


class Answer:
    """Status, and the body, decoded if it is JSON."""

    def __init__(self, status, kind, data):
        self.status = status
        self.body = json.loads(data) if data and "json" in kind else data

    def __repr__(self):
        return f"{self.status} {self.body!r:.200}"


class Slow:
    """A body whose second half comes a little later."""

    def __init__(self, data):
        self._data = data

    def __iter__(self):
        half = len(self._data) // 2
        yield self._data[:half]
        time.sleep(random.uniform(0, JITTER_S))
        yield self._data[half:]


class Arena:
    """The processes. `owner`, `other` and `admin` are projects: id and token by name."""

    def __init__(self, folder, url, environment):
        self.fetches = []
        self._web = web_server.WebServer(self._serve)
        environment.setenv("OS_SERVICE__WORKERS", "4")
        # All twenty rivals may come to one process, which keeps threads free for short calls.
        environment.setenv("OS_SERVICE__THREADS", "32")
        environment.setenv("OS_WORKER__UPLOAD_STALE_S", "60")
        environment.setenv("OS_WORKER__LEASE_S", "30")
        environment.setenv("OS_WORKER__THREADS", "2")
        environment.setenv("OS_STORAGE__ENABLED_BACKENDS", "local:file,far:file")
        environment.setenv("OS_STORAGE__DEFAULT_BACKEND", "local")
        environment.setenv("OS_STORAGE_FAR__DIRECTORY", str(folder / "far"))
        environment.setenv("OS_FETCH__ALLOWED_NETWORKS", "127.0.0.0/8")
        environment.setenv("OS_FETCH__ALLOWED_PORTS", str(self._web.port))
        self.station = Station(folder, url)
        self.database = self.station.service.database
        self.ids, self._tokens = {}, {}
        identity = self.station.service.identity
        for name, role in (("owner", "member"), ("other", "member"), ("admin", "admin")):
            self.ids[name] = identity.create_project(name)
            identity.grant("crash", name, role)
        self.station.start("api")
        for _ in range(2):
            self.station.start("worker")
        until(self.station.ready)
        for name in self.ids:
            self._tokens[name] = self.station.token(name)
        self.faults = []

    def _serve(self, head, connection):
        self.fetches.append(head.split()[1].decode())
        connection.sendall(web_server.answer(FETCHED))

    def url(self, name):
        """A URL that the service may fetch."""
        return self._web.url(f"/{name}")

    def call(self, who, method, path, body=None, kind="application/json"):
        """One request on a connection of its own; what is no clear answer is kept as a fault."""
        headers = {"X-Auth-Token": self._tokens[who], "Content-Type": kind}
        if isinstance(body, Slow):
            headers["Content-Length"] = str(len(b"".join(body)))
        elif body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
        link = http.client.HTTPConnection("127.0.0.1", self.station.port, timeout=60)
        try:
            link.request(method, path, body, headers)
            found = link.getresponse()
            answer = Answer(found.status, found.getheader("Content-Type") or "", found.read())
        except (OSError, http.client.HTTPException) as exc:
            self.faults.append((method, path, repr(exc)))
            raise
        finally:
            link.close()
        if answer.status >= 500:
            self.faults.append((method, path, answer))
        return answer

    def race(self, *acts):
        """Do all at the same moment, give or take; the answers in the order of the acts."""
        found, barrier = [None] * len(acts), threading.Barrier(len(acts))

        def go(n):
            barrier.wait(30)
            time.sleep(random.uniform(0, JITTER_S))
            found[n] = acts[n]()

        threads = [threading.Thread(target=go, args=(n,)) for n in range(len(acts))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert self.faults == [], self.faults
        return found

    # ------------------------------------------------------------- what rivals do

    def new(self, **values):
        """A queued image of the owner."""
        made = self.call("owner", "POST", "/v2/images", NEW | values)
        assert made.status == 201, made
        return made.body["id"]

    def active(self, data=FETCHED, **values):
        """An image of the owner with bytes."""
        image_id = self.new(**values)
        assert self.upload(image_id, data).status == 204
        return image_id

    def upload(self, image_id, data):
        """Send the bytes, in two parts."""
        return self.call("owner", "PUT", f"/v2/images/{image_id}/file", Slow(data), OCTETS)

    def stage(self, image_id, data):
        """Send the bytes for an import."""
        return self.call("owner", "PUT", f"/v2/images/{image_id}/stage", Slow(data), OCTETS)

    def bring(self, image_id, method, who="owner", **more):
        """Begin an import."""
        named = {"name": method}
        if method == "web-download":
            named["uri"] = self.url(image_id)
        body = {"method": named, **more}
        return self.call(who, "POST", f"/v2/images/{image_id}/import", body)

    def delete(self, image_id):
        """Delete the image."""
        return self.call("owner", "DELETE", f"/v2/images/{image_id}")

    def patch(self, image_id, field, value, who="owner"):
        """Give a field another value."""
        change = json.dumps([{"op": "replace", "path": f"/{field}", "value": value}]).encode()
        return self.call(who, "PATCH", f"/v2/images/{image_id}", change, PATCH)

    def show(self, image_id, who="owner"):
        """The image."""
        return self.call(who, "GET", f"/v2/images/{image_id}")

    def download(self, image_id, who="owner"):
        """Its bytes."""
        return self.call(who, "GET", f"/v2/images/{image_id}/file")

    def ids_of_jobs(self, image_id):
        """Jobs that ever worked on the image."""
        table = job_table.TABLE
        with self.database.read() as conn:
            return set(conn.scalars(sa.select(table.c.id).where(table.c.image_id == image_id)))

    def walk(self, path, noun):
        """Ids on all pages; from the start again if the row of the marker went."""
        for _ in range(RESTARTS_MAX):
            found, following = [], path
            while following:
                page = self.call("owner", "GET", following)
                if page.status == 400:
                    break
                assert page.status == 200, page
                found += [one["id"] for one in page.body[noun]]
                following = page.body.get("next")
                if following and not following.startswith("/"):  # a marker, not a link
                    following = f"{path}&marker={following}"
            else:
                return found
        raise AssertionError("no walk came to its end")

    def limit(self, **limits):
        """Set quotas of the owner; -1 is none."""
        admin = RequestContext("crash", self.ids["admin"], frozenset({"admin"}), is_admin=True)
        wanted = {RESOURCES[name]: value for name, value in limits.items()}
        self.station.service.quotas.set_limits(admin, self.ids["owner"], wanted)

    def used(self, name):
        """What the owner uses of a quota, and what is reserved."""
        owner = RequestContext("crash", self.ids["owner"], frozenset({"member"}))
        found = self.station.service.quotas.show(owner, self.ids["owner"])
        return next((one.used, one.reserved) for one in found if one.resource == RESOURCES[name])

    # ------------------------------------------------------------- what must be true

    def ended(self):
        """Wait until no job is open; all of them by image."""
        table = job_table.TABLE
        still = sa.select(sa.func.count()).where(table.c.finished_at.is_(None))

        def none_left():
            with self.database.read() as conn:
                return conn.scalar(still) == 0

        until(none_left)
        with self.database.read() as conn:
            rows = conn.execute(sa.select(table)).mappings().all()
        return {row["image_id"]: row for row in rows}

    def check_clean(self):
        """Nothing is left over, counters are true, rows and bytes agree, the trail is whole."""
        self.ended()

        def nothing_waits():
            with self.database.read() as conn:
                return not doomed.list(conn, 10) and not pending.stale(conn, metadata.now())

        until(nothing_waits)
        assert self.station.quota_is_true()
        backends = self.station.service.backends
        verdict = store_verify.verify(self.database, backends, older_than_s=0)
        assert verdict.findings == []
        assert verdict.objects == verdict.rows
        verifier = audit_verify.Verifier(self.database, self.station.service.audit_key, pytest.fail)
        assert verifier.verify().faults == 0
        assert self.faults == [], self.faults
        for name in ("api", "worker"):
            said = (self.station.folder / f"{name}.log").read_text()
            assert "deadlock" not in said, said[said.index("deadlock") - 2000 :][:4000]

    def stop(self):
        """End everything."""
        self.station.stop()
        self._web.close()
