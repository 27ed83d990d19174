"""Image bytes in a bucket of an S3 cluster (REST API of 2006-03-01, Signature Version 4).

Names of objects: `<prefix><key>`, with `.-` for each `.` and `._` for each `/`. A small object is
one PUT, a larger one a multipart upload; both are refused if the name is taken. All bytes are sent
with their Content-MD5; an ETag is never taken for a digest. Needs boto3, the extra `s3`.
"""

import dataclasses
import datetime
import io
import time
from typing import Any, BinaryIO, cast

from imagesvc.interface import base, errors, storage
from imagesvc_drivers.client import s3
from imagesvc_drivers.storage.s3 import (
    copying,
    gateway,
    multipart,
    object_name,
    option,
    part_size,
    reader,
    unfinished,
    writer,
)

_PAGE_MAX = 1000
_PROBE_CONNECT_S, _PROBE_READ_S = 0.8, 1.0
_OPERATIONS = {"GET": "get_object", "HEAD": "head_object", "PUT": "put_object"}
_CAPABILITIES = frozenset(
    (
        storage.StorageCapability.SERVER_SIDE_COPY,
        storage.StorageCapability.PRESIGNED_URL,
        storage.StorageCapability.RESUMABLE_WRITE,
    )
)


class S3Storage(storage.StorageDriver):
    """Objects of one bucket, through any of its gateways."""

    contract = base.Version(1, 3)
    OPTS = option.OPTS

    def __init__(self, options: Any, *, backend_id: str) -> None:
        super().__init__(options, backend_id=backend_id)
        option.check(options)
        self._prefix: str = options.prefix
        self._part_bytes = options.part_size_mib * part_size.MIB
        access = s3.Access(
            region=options.region,
            access_key=options.access_key,
            secret_key=options.secret_key,
            addressing=options.addressing,
            verify=(options.ca_file or True) if options.verify_tls else False,
            checksums=options.checksums,
            connect_timeout_s=options.connect_timeout_s,
            read_timeout_s=options.read_timeout_s,
        )
        self._probing = dataclasses.replace(
            access, connect_timeout_s=_PROBE_CONNECT_S, read_timeout_s=_PROBE_READ_S
        )
        self._gateways = gateway.Gateways(
            access,
            tuple(options.endpoint_urls) or (None,),
            options.bucket,
            retry_s=options.retry_s,
        )

    # -------------------------------------------------------------- life

    def open(self) -> None:
        if not self.options.create_bucket or self._has_bucket():
            self._gateways.call("cannot list", "list_objects_v2", Prefix=self._prefix, MaxKeys=1)
            return
        try:
            self._gateways.call("cannot make the bucket", "create_bucket", **self._region())
        except errors.DriverError:
            if not self._has_bucket():  # made by another process meanwhile
                raise

    def _has_bucket(self) -> bool:
        try:
            self._gateways.call("cannot look at the bucket", "head_bucket")
        except errors.NotFound:
            return False
        return True

    def _region(self) -> dict[str, Any]:
        # Amazon refuses its first region by name, and knows no other one without.
        if self.options.endpoint_urls or self.options.region == "us-east-1":
            return {}
        return {"CreateBucketConfiguration": {"LocationConstraint": self.options.region}}

    def own_bucket(self) -> storage.OwnBucket:
        options = self.options
        return storage.OwnBucket(
            tuple(options.endpoint_urls), options.bucket, options.access_key or ""
        )

    def close(self) -> None:
        self._gateways.close()

    def info(self) -> base.DriverInfo:
        return base.DriverInfo(
            name="s3",
            vendor="imagesvc",
            version="1",
            capabilities=_CAPABILITIES,
            limits={
                "object_bytes_max": part_size.total(self._part_bytes),
                # One part more than the writer has: for what boto3 and a reader hold.
                "memory_bytes_max": self._part_bytes * (self.options.threads + 2),
            },
        )

    def health(self) -> base.Health:
        began = time.monotonic()
        wrong = self._gateways.probe(self._probing, self._prefix)
        took = (time.monotonic() - began) * 1000
        said = "; ".join(filter(None, wrong))
        if not said:
            return base.Health(base.HealthState.OK, "", took)
        down = all(wrong)
        state = base.HealthState.DOWN if down else base.HealthState.DEGRADED
        return base.Health(state, said, took)

    # ------------------------------------------------------------ writing

    def open_write(self, key: str, *, size: int | None = None) -> writer.S3Writer:
        target = self._target(key)
        if self._exists(target):
            raise errors.AlreadyExists(f"The object {key} exists.")
        return self._writer(target, part_size.first(self._part_bytes, size))

    def resume_write(self, key: str, upload_id: str) -> writer.S3Writer:
        first, _, rest = upload_id.partition(":")
        mark, _, known = rest.partition(":")
        if not (first.isascii() and first.isdigit() and int(first) and known):
            raise errors.NotFound(f"There is no such write of {key}.")
        target = dataclasses.replace(self._target(key), mark=mark)
        if self._exists(target):
            raise errors.NotFound(f"The write of {key} is over.")
        parts = {
            part["PartNumber"]: (part["Size"], part["ETag"])
            for part in unfinished.parts(self._gateways, target.name, known)
        }
        resumed = self._writer(target, int(first))
        resumed.resume(known, parts)
        return resumed

    def _target(self, key: str) -> multipart.Target:
        return multipart.Target(key, self._name(key), self.options.conditional_writes)

    def _writer(self, target: multipart.Target, first_bytes: int) -> writer.S3Writer:
        return writer.S3Writer(
            self._gateways,
            target,
            self.stat,
            first_bytes=first_bytes,
            threads=self.options.threads,
        )

    def copy(self, source_key: str, key: str) -> storage.ObjectInfo:
        size = self.stat(source_key).size_bytes
        if not size:
            with self.open_write(key) as empty:
                return empty.commit()
        target = self._target(key)
        if self._exists(target):
            raise errors.AlreadyExists(f"The object {key} exists.")
        source = {"Bucket": self.options.bucket, "Key": self._name(source_key)}
        copying.copy(self._gateways, source, target, size, threads=self.options.threads)
        return self.stat(key)

    # ------------------------------------------------------------ reading

    def open_read(self, key: str, *, offset: int = 0, length: int | None = None) -> BinaryIO:
        name = self._name(key)
        if offset < 0 or (length is not None and length < 0):
            raise errors.InvalidArgument("Offset and length must not be negative.")
        if length != 0:
            try:
                found = reader.S3Reader(self._gateways, key, name, offset, length)
                return cast(BinaryIO, found)
            except errors.InvalidArgument:  # a range that begins at the end, or behind it
                pass
        size = self.stat(key).size_bytes
        if offset > size:
            raise errors.InvalidArgument(f"Offset {offset} is past the end, {size}.")
        return io.BytesIO()

    def stat(self, key: str) -> storage.ObjectInfo:
        found = self._gateways.call(f"cannot stat {key}", "head_object", Key=self._name(key))
        return storage.ObjectInfo(
            key, found["ContentLength"], found["LastModified"], found.get("ETag", "")
        )

    def list(
        self, prefix: str = "", *, after: str | None = None, limit: int = 1000
    ) -> "list[storage.ObjectInfo]":
        found: list[storage.ObjectInfo] = []
        begin = "" if after is None else self._prefix + object_name.encode(after)
        while len(found) < limit:
            page = self._gateways.call(
                "cannot list",
                "list_objects_v2",
                Prefix=self._prefix + object_name.encode(prefix),
                MaxKeys=min(_PAGE_MAX, limit - len(found)),
                **({"StartAfter": begin} if begin else {}),
            )
            items = page.get("Contents", [])
            for item in items:
                key = object_name.decode(item["Key"].removeprefix(self._prefix))
                if key is not None:
                    found.append(
                        storage.ObjectInfo(
                            key, item["Size"], item["LastModified"], item.get("ETag", "")
                        )
                    )
            if not items or not page.get("IsTruncated"):
                break
            begin = items[-1]["Key"]
        return found

    def usage(self) -> storage.Usage:
        """Bytes of the committed objects, by a list of them all; S3 tells no size of a bucket."""
        used, after = 0, None
        while page := self.list(after=after):
            used += sum(item.size_bytes for item in page)
            after = page[-1].key
        return storage.Usage(used)

    def presign(self, key: str, *, method: str = "GET", expires_s: float = 900.0) -> str:
        name = self._name(key)
        if method not in _OPERATIONS or expires_s < 1:
            raise errors.InvalidArgument(f"A link for {method} and {expires_s} s cannot be signed.")
        endpoint = self.options.presign_endpoint_url or None
        return self._gateways.presign(endpoint, _OPERATIONS[method], name, int(expires_s))

    # ----------------------------------------------------------- removing

    def delete(self, key: str) -> None:
        """Remove the object, and every unfinished upload of it: its writer is gone or overtaken."""
        name = self._name(key)
        self._gateways.call(f"cannot delete {key}", "delete_object", Key=name)
        unfinished.discard_name(self._gateways, name)

    def discard_stale(self, *, older_than_s: float) -> int:
        """Remove unfinished uploads without a new part for that long, and `unfinished_hours`.

        A slow client may need longer for one part than the service waits for a sign of life.
        """
        idle_s = max(older_than_s, self.options.unfinished_hours * 3600)
        before = datetime.datetime.now(datetime.UTC) - datetime.timedelta(seconds=idle_s)
        return unfinished.discard_old(self._gateways, self._prefix, before)

    # --------------------------------------------------------------- names

    def _name(self, key: str) -> str:
        return self._prefix + object_name.encode(storage.check_key(key))

    def _exists(self, target: multipart.Target) -> bool:
        try:
            self.stat(target.key)
        except errors.NotFound:
            return False
        return True
