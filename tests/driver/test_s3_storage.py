"""The S3 store: the laws of storage against a real server, and what is its own."""

import uuid

import pytest

from imagesvc.interface import base, errors
from imagesvc.testing.conformance import storage_object as laws
from imagesvc.testing.conformance.storage import StorageConformance
from imagesvc.testing.conformance.storage_kill import StorageKillConformance
from imagesvc_drivers.storage.s3 import S3Storage
from tests import s3_server

MIB = 1 << 20


class S3(StorageConformance):
    """A prefix of its own in the bucket of the run's server."""

    @pytest.fixture
    def options(self, s3_place):
        return s3_place.options(prefix=f"{uuid.uuid4().hex}/", unfinished_hours=0.0, retry_s=3.0)

    @pytest.fixture
    def driver(self, options):
        return self.make(S3Storage, **options)


class TestS3Storage(S3):
    crashpoints = ("storage.s3.published",)

    @pytest.mark.peer  # the commit of several parts has this one's lines and more
    def test_a_writer_killed_inside_commit_leaves_nothing_or_the_whole(self, driver, key):
        super().test_a_writer_killed_inside_commit_leaves_nothing_or_the_whole(driver, key)

    def test_an_object_of_another_is_left_out_and_left_alone(self, driver, key, options, s3_place):
        client = s3_place.client()
        strange = f"{options['prefix']}strange name"
        client.put_object(Bucket=s3_place.bucket, Key=strange, Body=b"x")
        laws.write(driver, key, b"ours")
        assert [found.key for found in driver.list()] == [key]
        assert driver.usage().used_bytes == len(b"ours")
        assert client.get_object(Bucket=s3_place.bucket, Key=strange)["Body"].read() == b"x"

    def test_a_signed_link_is_for_its_method_and_object(self, driver, key):
        laws.write(driver, key, b"x")
        with pytest.raises(errors.InvalidArgument):
            driver.presign(key, method="DELETE")
        link = driver.presign(key, expires_s=60)
        assert s3_server.SECRET not in link

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            ({"secret_key": "wrong-password"}, "secret_key does not belong to access_key"),
            ({"access_key": "nobody"}, "does not know access_key"),
            ({"access_key": "stranger"}, "may not do that"),
            ({"bucket": "no-such-bucket"}, "make it, or set create_bucket"),
            ({"endpoint_urls": ["http://127.0.0.1:9"]}, "127.0.0.1:9: EndpointConnectionError"),
        ],
    )
    def test_what_is_wrong_is_told_without_secrets(self, options, change, said):
        driver = self.construct(S3Storage, **{**options, "retry_s": 0.0, **change})
        with pytest.raises(errors.DriverError) as caught:
            driver.open()
        told = f"{caught.value.operator_message} {caught.value!r} {driver.health().detail}"
        assert said in told
        for secret in ("wrong-password", s3_server.SECRET):
            assert secret not in told
        refused = isinstance(caught.value, errors.AccessDenied)
        assert refused == (change.keys() <= {"secret_key", "access_key"})
        assert driver.health().state is base.HealthState.DOWN

    def test_an_upload_holds_at_most_128_mib_by_default(self, driver, key):
        """The law of memory measures that it keeps to this."""
        assert driver.info().limits["memory_bytes_max"] <= 128 * MIB
        grown = self.run_to_its_end(driver, key, "measure", 400 * MIB)
        assert grown << 10 <= 128 * MIB
        driver.delete(key)

    def test_a_missing_bucket_is_made_if_wanted(self, options):
        bucket = f"b{uuid.uuid4().hex}"
        driver = self.make(S3Storage, **{**options, "bucket": bucket, "create_bucket": True})
        driver.open()
        laws.write(driver, "k", b"x")
        assert laws.drain(driver.open_read("k")) == b"x"

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            ({"access_key": None}, "neither"),
            ({"endpoint_urls": ["ftp://x"]}, "endpoint_urls"),
            ({"endpoint_urls": ["http://a:pass-word@x"]}, "endpoint_urls"),
            ({"bucket": ""}, "bucket"),
        ],
    )
    def test_a_wrong_option_is_named(self, options, change, said):
        with pytest.raises(errors.InvalidConfiguration, match=said) as caught:
            self.construct(S3Storage, **{**options, **change})
        assert "pass-word" not in str(caught.value)

    def test_a_dead_gateway_is_passed_over(self, driver, key, options, s3_place):
        dead = f"http://127.0.0.1:{s3_server.free_ports(1)[0]}"
        both = [dead, *s3_place.endpoints]
        half = self.make(S3Storage, **{**options, "endpoint_urls": both})
        laws.write(half, key, b"x")
        assert laws.drain(driver.open_read(key)) == b"x"
        health = half.health()
        assert (health.state, dead in health.detail) == (base.HealthState.DEGRADED, True)

    def test_boto3s_own_checksums_can_be_on(self, key, options):
        driver = self.make(S3Storage, **options, checksums=True, part_size_mib=5)
        for number, size in enumerate((10, 11 * MIB)):
            laws.write(driver, f"{key}-{number}", b"x" * size)
            assert laws.drain(driver.open_read(f"{key}-{number}")) == b"x" * size


class TestS3StorageInParts(StorageKillConformance):
    """Objects of several parts."""

    crashpoints = ("storage.s3.sent", "storage.s3.published")
    kill_size = 11 * MIB

    @pytest.fixture
    def driver(self, s3_place):
        return self.make(S3Storage, **s3_place.options(
            prefix=f"{uuid.uuid4().hex}/", part_size_mib=5, unfinished_hours=0.0, retry_s=3.0
        ))  # fmt: skip

    @pytest.fixture
    def left(self, driver, s3_place):
        """What of unfinished uploads is in the bucket."""

        def look():
            prefix = self.recipe(driver)[2]["prefix"]
            found = s3_place.client().list_multipart_uploads(Bucket=s3_place.bucket, Prefix=prefix)
            return found.get("Uploads", [])

        return look

    def test_an_aborted_upload_leaves_no_part(self, driver, key, left):
        with driver.open_write(key) as writer:
            writer.write(b"x" * 21 * MIB)
            assert left()
        assert not left()
        self.assert_absent(driver, key)

    def test_the_parts_of_a_killed_writer_are_discarded_when_they_are_old(self, driver, key, left):
        self.kill_writer(driver, key, "written")
        assert driver.discard_stale(older_than_s=3600) == 0
        assert left()
        assert driver.discard_stale(older_than_s=0) == 1
        assert not left()

    def test_the_service_is_not_believed_before_the_hours_are_over(self, driver, key, left):
        """The service asks after a minute; a slow client may need longer for a part."""
        options = self.recipe(driver)[2]
        patient = self.make(S3Storage, **{**options, "unfinished_hours": 24.0})
        self.kill_writer(driver, key, "written")
        assert patient.discard_stale(older_than_s=0) == 0
        assert left()

    def test_delete_takes_the_parts_of_a_killed_writer_along(self, driver, key, left):
        self.kill_writer(driver, key, "written")
        laws.write(driver, f"{key}-longer", b"x")
        driver.delete(key)
        assert not left()
        assert driver.stat(f"{key}-longer")

    def test_a_writer_whose_key_is_deleted_cannot_commit(self, driver, key):
        with driver.open_write(key) as writer:
            writer.write(b"x" * 11 * MIB)
            driver.delete(key)
            with pytest.raises(errors.Discarded, match="removed before"):
                writer.commit()
        self.assert_absent(driver, key)

    def test_of_two_large_writers_of_one_key_one_wins_whole(self, driver, key):
        with driver.open_write(key) as first, driver.open_write(key) as second:
            first.write(b"1" * 11 * MIB)
            second.write(b"2" * 11 * MIB)
            first.commit()
            with pytest.raises(errors.AlreadyExists):
                second.commit()
        assert laws.drain(driver.open_read(key)) == b"1" * 11 * MIB

    def test_a_large_write_goes_on_in_another_process(self, driver, key):
        data = b"".join(number.to_bytes(4, "big") * (MIB // 4) for number in range(17))
        writer = driver.open_write(key)
        token = writer.upload_id
        writer.write(data[: 16 * MIB])
        writer._collect(0)  # as if the client had paused
        with self.again(driver).resume_write(key, token) as other:
            assert other.offset in (10 * MIB, 15 * MIB)
            other.write(data[other.offset :])
            assert other.commit().size_bytes == len(data)
        assert laws.drain(driver.open_read(key)) == data

    @pytest.mark.parametrize("size", [5 * MIB, 5 * MIB + 1, 10 * MIB, 10 * MIB + 1])
    def test_the_edges_of_parts_are_whole(self, driver, key, size, left):
        data = bytes(range(251)) * (size // 251 + 1)
        laws.write(driver, key, data[:size])
        assert laws.drain(driver.open_read(key)) == data[:size]
        assert not left()
        driver.copy(key, f"{key}-copy")
        assert laws.drain(driver.open_read(f"{key}-copy")) == data[:size]
