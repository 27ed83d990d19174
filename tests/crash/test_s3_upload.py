"""An API process killed while it writes to S3: no bytes are left, also none that no list shows."""

import http.client
import json
import os
import uuid

import pytest

from tests.crash.station import Station, until

DATA = os.urandom(12_000_000)


@pytest.mark.parametrize("point", ["upload.received", "storage.s3.sent", "storage.s3.published"])
def test_a_killed_upload_leaves_no_bytes_in_s3_and_can_be_sent_again(tmp_path, s3_place, point):
    prefix = f"{uuid.uuid4().hex}/"
    station = Station(tmp_path, more=s3_place.sections(prefix=prefix, part_size_mib=5))
    client = s3_place.client()

    def unfinished():
        found = client.list_multipart_uploads(Bucket=s3_place.bucket, Prefix=prefix)
        return found.get("Uploads", [])

    try:
        station.start("api", point)
        until(station.ready)
        headers = {"X-Auth-Token": station.token(), "Content-Type": "application/json"}
        body = json.dumps({"name": "x", "disk_format": "raw", "container_format": "bare"})
        image_id = json.loads(station.call("POST", "/v2/images", body, headers)[2])["id"]
        headers["Content-Type"] = "application/octet-stream"
        path = f"/v2/images/{image_id}/file"
        with pytest.raises((OSError, http.client.HTTPException)):
            station.call("PUT", path, DATA, headers)
        until(lambda: station.died)
        assert unfinished() or station.objects()
        station.start("worker")
        until(lambda: station.service.images.get(station.caller, image_id).status == "queued")
        until(lambda: not station.objects() and not unfinished())
        until(station.ready)
        again = station.call("PUT", path, DATA, headers)
        assert again[0] == 204, again
        assert station.call("GET", path, headers=headers)[2] == DATA
        assert len(station.objects()) == 1
        assert not unfinished()
    finally:
        station.stop()
        client.close()
