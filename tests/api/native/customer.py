"""A customer with a bucket of its own, and a service that may reach it."""

import contextlib
import uuid

from imagesvc.manager import quota_verify, store_verify
from imagesvc.worker import reaper, scratch
from tests import s3_server
from tests.api.caller import Caller
from tests.api.glance.conftest import Several

ROOT = "/imagesvc/v1"
BUCKET = "customer"


class Customer:
    """A project with an object store, a service whose worker works when it is told to."""

    def __init__(self, folder, url, place, more="", ports=(), answer_s=2):
        port = place.endpoints[0].rpartition(":")[2]
        ports = ",".join([port, *map(str, ports)])
        more = (
            f"[fetch]\nallowed_ports = {ports}\nallowed_networks = 127.0.0.1/32\n"
            f"answer_timeout_s = {answer_s}\nidle_timeout_s = 2\n[worker]\nretry_s = 0\n[limit]\nimage_size_bytes = 100000000\n{more}"
        )
        self.several = Several(folder, url, more)
        self.service = self.several.service
        self.owner = Caller(self.several.app)
        self.place = place
        self.s3 = place.client()
        with contextlib.suppress(
            self.s3.exceptions.BucketAlreadyOwnedByYou, self.s3.exceptions.BucketAlreadyExists
        ):
            self.s3.create_bucket(Bucket=BUCKET)
        self.prefix = uuid.uuid4().hex
        self.store_id = self.keep()

    def keep(self, **values):
        """Give the service a key; the id of the object store."""
        body = {
            "name": uuid.uuid4().hex, "endpoint": self.place.endpoints[0],
            "access_key": s3_server.KEY, "secret_key": s3_server.SECRET, **values,
        }  # fmt: skip
        found = self.owner.request("POST", f"{ROOT}/object-stores", body)
        assert found.status_code == 201, found.text
        return found.json["object_store"]["id"]

    def key(self, name):
        """The key of an object of this test."""
        return f"{self.prefix}/{name}"

    def lay(self, data, name="image"):
        """Put an object into the bucket; its key."""
        self.s3.put_object(Bucket=BUCKET, Key=self.key(name), Body=data)
        return self.key(name)

    def objects(self):
        """Name -> bytes of what lies in the bucket."""
        found = self.s3.list_objects_v2(Bucket=BUCKET, Prefix=f"{self.prefix}/")
        names = [one["Key"] for one in found.get("Contents", ())]
        return {
            name.partition("/")[2]: self.s3.get_object(Bucket=BUCKET, Key=name)["Body"].read()
            for name in names
        }

    def unfinished(self):
        """Keys of uploads that were begun and not ended."""
        found = self.s3.list_multipart_uploads(Bucket=BUCKET)
        keys = [one["Key"] for one in found.get("Uploads", ())]
        return [key for key in keys if key.startswith(self.prefix)]

    def bring(self, source=None, *, work=True, **values):
        """Import; the answer, or the image and the job after the worker's work."""
        source = source or {
            "type": "bucket", "object_store_id": self.store_id, "bucket": BUCKET,
            "key": self.key("image"),
        }  # fmt: skip
        body = {"name": "brought", "source": source, **values}
        found = self.owner.request("POST", f"{ROOT}/imports", body)
        if not work:
            return found
        assert found.status_code == 202, found.text
        self.several.work()
        return self.image(found.json["image_id"]), self.job(found.json["job"]["id"])

    def image(self, image_id):
        """An image as Glance shows it."""
        return self.owner.get(f"/v2/images/{image_id}").json

    def job(self, job_id):
        """A job."""
        return self.owner.get(f"{ROOT}/jobs/{job_id}").json["job"]

    def close(self):
        """Nothing may be left over; end."""
        self.several.work()
        reaper.run(self.service)
        found = store_verify.verify(self.service.database, self.service.backends, older_than_s=0)
        assert found.findings == []
        assert quota_verify.verify(self.service.database) == ()
        assert self.unfinished() == []
        assert not scratch.folders(scratch.of(self.service).root)
        self.several.close()
