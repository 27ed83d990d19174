"""A client of tus 1.0 that says exactly what a test wants, and the work that follows an upload."""

import base64
import contextlib
import hashlib

from imagesvc.domain.quota import Resource
from imagesvc.manager import quota_verify, store_verify
from imagesvc.worker import reaper, runner

PATH = "/imagesvc/v1/uploads"
OCTETS = "application/offset+octet-stream"


def encoded(**values):
    """Upload-Metadata."""
    return ",".join(
        f"{key} {base64.b64encode(value.encode()).decode()}" for key, value in values.items()
    )


def digest_of(data, algorithm="sha256"):
    """Upload-Checksum."""
    digest = hashlib.new(algorithm, data).digest()
    return f"{algorithm} {base64.b64encode(digest).decode()}"


class Tus:
    """Uploads of one caller."""

    def __init__(self, caller):
        self.caller = caller

    def send(self, method, path, body=None, *, kind=None, version="1.0.0", **headers):
        """One request; header names with `_` for `-`, None leaves one out."""
        named = {name.replace("_", "-"): str(value) for name, value in headers.items()}
        if version:
            named["Tus-Resumable"] = version
        return self.caller.request(method, path, body, kind=kind, headers=named)

    def ask(self, image_id, size=None, body=None, *, headers=None, **more):
        """Ask for an upload."""
        named = {"Upload_Length": size} if size is not None else {"Upload_Defer_Length": "1"}
        named["Upload_Metadata"] = encoded(image_id=image_id, **more)
        kind = OCTETS if body is not None else None
        return self.send("POST", PATH, body, kind=kind, **named, **(headers or {}))

    def begin(self, size=None, body=None, *, image=None, headers=None, **more):
        """Begin an upload into a new image: (its path, the image's id)."""
        image_id = self.caller.create(**(image or {}))["id"]
        found = self.ask(image_id, size, body, headers=headers, **more)
        assert found.status_code == 201, found.text
        return "/" + found.headers["Location"].split("/", 3)[3], image_id

    def patch(self, path, offset, data, **headers):
        """Send bytes."""
        return self.send("PATCH", path, data, kind=OCTETS, Upload_Offset=offset, **headers)

    def offset(self, path):
        """Where the upload stands."""
        found = self.send("HEAD", path)
        assert found.status_code == 200, found.status
        return int(found.headers["Upload-Offset"])

    def whole(self, data, **more):
        """Upload all in one request; path, image id, answer."""
        path, image_id = self.begin(len(data), **more)
        return path, image_id, self.patch(path, 0, data)

    def status(self, image_id):
        """The image's status."""
        return self.caller.get(f"/v2/images/{image_id}").json["status"]

    def job(self, answer):
        """The job that an answer names."""
        assert answer.headers["Location"].endswith(f"/jobs/{answer.headers['X-Job-Id']}")
        return self.caller.get(f"/imagesvc/v1/jobs/{answer.headers['X-Job-Id']}").json["job"]

    def quota(self):
        """Name -> used, reserved."""
        found = self.caller.get(f"/imagesvc/v1/quota/{self.caller.project}").json["quota"]
        return {name: (found[name]["used"], found[name]["reserved"]) for name in map(str, Resource)}


def work(service):
    """Run what is due, and clean up."""
    worker = runner.Runner(service, "here", pause_max_s=0)
    while worker.run_once():
        pass
    clean_up(service)


def clean_up(service):
    """One round of the reaper."""
    with service.database.write() as conn, contextlib.suppress(Exception):
        conn.exec_driver_sql("DELETE FROM lease")
    reaper.run(service)


def objects(service, image_id):
    """Objects of an image in the default store."""
    return [one.key for one in service.backends.storage().list(f"{image_id}/")]


def agrees(service):
    """Whether rows and bytes agree, and use with its rows."""
    found = store_verify.verify(service.database, service.backends, older_than_s=0)
    assert found.findings == []
    assert quota_verify.verify(service.database) == ()
