"""Multipart uploads that nobody ended: they take space and no list of objects shows them."""

import datetime
from collections.abc import Iterator
from typing import Any

from imagesvc.interface import errors
from imagesvc_drivers.storage.s3 import multipart
from imagesvc_drivers.storage.s3.gateway import Gateways


def uploads(gateways: Gateways, prefix: str) -> Iterator[dict[str, Any]]:
    """All uploads of names that begin with `prefix`."""
    marker: dict[str, str] = {}
    while True:
        page = gateways.call(
            "cannot list uploads", "list_multipart_uploads", Prefix=prefix, **marker
        )
        for upload in page.get("Uploads", ()):
            if upload["Key"].startswith(prefix):
                yield upload
        if not page.get("IsTruncated"):
            return
        marker = {"KeyMarker": page["NextKeyMarker"], "UploadIdMarker": page["NextUploadIdMarker"]}


def parts(gateways: Gateways, name: str, upload_id: str) -> Iterator[dict[str, Any]]:
    """All parts that an upload has. Raises NotFound."""
    marker: dict[str, int] = {}
    while True:
        page = gateways.call(
            "cannot list parts", "list_parts", Key=name, UploadId=upload_id, **marker
        )
        yield from page.get("Parts", ())
        if not page.get("IsTruncated"):
            return
        marker = {"PartNumberMarker": int(page["NextPartNumberMarker"])}


def discard_name(gateways: Gateways, name: str) -> None:
    """Give up every upload of one name."""
    for upload in tuple(uploads(gateways, name)):
        if upload["Key"] == name:
            multipart.abort(gateways, name, upload["UploadId"])


def discard_old(gateways: Gateways, prefix: str, before: datetime.datetime) -> int:
    """Give up uploads that began before, and got no part since; how many."""
    count = 0
    for upload in tuple(uploads(gateways, prefix)):
        name, upload_id = upload["Key"], upload["UploadId"]
        if upload["Initiated"] > before or not _is_idle(gateways, name, upload_id, before):
            continue
        count += multipart.abort(gateways, name, upload_id)
    return count


def _is_idle(gateways: Gateways, name: str, upload_id: str, before: datetime.datetime) -> bool:
    try:
        return all(part["LastModified"] <= before for part in parts(gateways, name, upload_id))
    except errors.NotFound:  # ended meanwhile
        return False
