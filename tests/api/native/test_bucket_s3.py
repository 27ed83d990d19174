"""A service whose own store is a bucket too, beside those of its customers on the same S3 server."""

import uuid

import pytest

from tests import disk_image, s3_server
from tests.api.native.customer import ROOT, Customer
from tests.api.native.test_export import export, refused

STORE = """
[storage]
enabled_backends = main:s3
default_backend = main
[storage_main]
endpoint_urls = {endpoint}
bucket = {bucket}
access_key = {key}
secret_key = {secret}
prefix = {prefix}
"""


class Tenant(Customer):
    """A customer with a key of its own."""

    def keep(self, **values):
        return super().keep(**{"access_key": s3_server.CUSTOMER, **values})


@pytest.fixture(scope="module")
def tenant(tmp_path_factory, s3_place):
    """Its service keeps images in a bucket."""
    folder = tmp_path_factory.mktemp("tenant")
    more = STORE.format(
        endpoint=s3_place.endpoints[0], bucket=s3_place.bucket, key=s3_server.KEY,
        secret=s3_server.SECRET, prefix=f"{uuid.uuid4().hex}-",
    )  # fmt: skip
    made = Tenant(folder, f"sqlite:///{folder}/imagesvc.sqlite", s3_place, more)
    yield made
    made.close()


def test_the_services_own_key_is_not_taken(tenant):
    body = {
        "name": "x", "endpoint": tenant.place.endpoints[0], "access_key": s3_server.KEY,
        "secret_key": s3_server.SECRET,
    }  # fmt: skip
    refused(tenant.owner.request("POST", f"{ROOT}/object-stores", body), 400, "invalid-request")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_the_services_own_bucket_is_not_opened_whatever_the_key_may(tenant, host):
    (own,) = [one for one in tenant.s3.list_buckets()["Buckets"] if one["Name"] == s3_server.BUCKET]
    store_id = tenant.keep(endpoint=tenant.place.endpoints[0].replace("127.0.0.1", host))
    place = {"object_store_id": store_id, "bucket": own["Name"], "key": "x"}
    refused(tenant.bring({"type": "bucket", **place}, work=False), 403, "forbidden")
    image_id = tenant.owner.active()
    refused(export(tenant, image_id, work=False, **place), 403, "forbidden")


@pytest.mark.parametrize(
    ("wanted", "word"),
    [({"format": "vmdk"}, "vmdk"), ({"format": "vhd", "subformat": "fixed"}, "vhd-fixed")],
)
def test_disks_in_a_bucket_are_converted_without_a_copy_of_them(tenant, tmp_path, wanted, word):
    raw = disk_image.make_raw(tmp_path)
    tenant.lay(disk_image.convert(raw, "vdi"))
    image, job = tenant.bring(format_wanted="qcow2")
    assert (job["cause"], image["disk_format"]) == (None, "qcow2")
    assert export(tenant, image["id"], name=word, **wanted)["cause"] is None
    made = tmp_path / "made"
    made.write_bytes(tenant.objects()[word])
    assert disk_image.same(raw, made, word) is True
