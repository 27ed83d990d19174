"""Commands that make images from bytes elsewhere, and write images into buckets."""

import argparse
import re
from typing import Any

from imagesvc.shell import command, job_wait
from imagesvc.shell.cloud import ShellError

SOURCES = ("raw", "qcow2", "vmdk", "vhd", "vhdx", "vdi", "qed", "qcow", "iso", "ova")
TARGETS = ("raw", "qcow2", "vmdk", "vhd", "vhdx", "vdi")
_PLACE = re.compile(r"(?P<store>[^/]+)/(?P<bucket>[^/]+)/(?P<key>.+)")
_DIGEST = re.compile(r"(?P<algorithm>md5|sha1|sha256|sha512):(?P<value>[0-9a-fA-F]+)")
PLACE_HELP = "OBJECT-STORE/BUCKET/KEY, the object store by id or name"


class ImportImage(command.Show):
    """Make an image from a URL, or from an object in a bucket."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Where the bytes are and what the image shall be."""
        parser = super().get_parser(prog_name)
        parser.add_argument("name", help="name of the new image")
        source = parser.add_mutually_exclusive_group(required=True)
        source.add_argument("--url", help="URL of the bytes; a signed one stays a secret")
        source.add_argument("--object", metavar="PLACE", help=PLACE_HELP)
        parser.add_argument(
            "--disk-format", choices=SOURCES, help="what the bytes are (default: found by looking)"
        )
        parser.add_argument(
            "--container-format", choices=("bare", "ova"), default="bare", help="(default: bare)"
        )
        parser.add_argument("--to", choices=TARGETS, dest="wanted", help="convert to this format")
        parser.add_argument("--digest", metavar="ALGORITHM:HEX", help="what the bytes must hash to")
        parser.add_argument("--size", type=int, metavar="BYTES", help="how many they must be")
        parser.add_argument(
            "--kind", choices=("system-disk", "data-disk"), default="system-disk",
            help="(default: system-disk)",
        )  # fmt: skip
        parser.add_argument(
            "--visibility", choices=("private", "shared", "community", "public"), default="private"
        )
        parser.add_argument("--os-type", help="windows, linux or another")
        parser.add_argument("--store", action="append", default=[], dest="stores",
                            help="store to keep it in; may be repeated")  # fmt: skip
        parser.add_argument(
            "--property", action="append", default=[], dest="properties", metavar="NAME=VALUE"
        )
        parser.add_argument(
            "--tag", action="append", default=[], dest="tags", help="tag; may be repeated"
        )
        command.add_key(parser)
        command.add_wait(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Start the job; with --wait until the image is active."""
        answer = self.client.post("/imports", self._body(parsed_args), idempotent=True)
        job = answer["job"]
        if parsed_args.wait:
            job = job_wait.wait(self.client, job["id"], timeout_s=parsed_args.timeout)
        return command.fields(
            {"image_id": answer["image_id"], "job_id": job["id"], "state": job["state"]}
        )

    def _body(self, parsed_args: argparse.Namespace) -> dict[str, Any]:
        if parsed_args.url:
            source = {"type": "url", "url": parsed_args.url}
        else:
            source = {"type": "bucket", **_place(self, parsed_args.object)}
        body = {
            "name": parsed_args.name,
            "source": source,
            "container_format": parsed_args.container_format,
            "kind": parsed_args.kind,
            "visibility": parsed_args.visibility,
            "tags": parsed_args.tags,
            "stores": parsed_args.stores,
            "properties": dict(_pair(one) for one in parsed_args.properties),
            "disk_format": parsed_args.disk_format,
            "format_wanted": parsed_args.wanted,
            "size_bytes": parsed_args.size,
            "os_type": parsed_args.os_type,
            "key_id": parsed_args.key,
        }
        if parsed_args.digest:
            found = _DIGEST.fullmatch(parsed_args.digest)
            if found is None:
                raise ShellError("A digest looks like sha256:0123...")
            body["digest"] = found.groupdict()
        return {name: value for name, value in body.items() if value is not None}


class ExportImage(command.Show):
    """Write an image into a bucket, as it is stored or converted."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """The image, where to, and as what."""
        parser = super().get_parser(prog_name)
        parser.add_argument("image", help="image, by id or name")
        parser.add_argument("object", metavar="PLACE", help=PLACE_HELP)
        parser.add_argument(
            "--to", choices=TARGETS, dest="wanted", help="format (default: as it is stored)"
        )
        parser.add_argument("--compression", choices=("zstd", "zlib", "none"), help="of qcow2")
        parser.add_argument("--subformat", choices=("dynamic", "fixed"), help="of vhd")
        parser.add_argument(
            "--disk", type=int, metavar="N", help="one disk of several (default: all)"
        )
        parser.add_argument("--overwrite", action="store_true", help="write over what is there")
        command.add_wait(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Start the job; with --wait until the objects are there."""
        given = {
            "format": parsed_args.wanted,
            "compression": parsed_args.compression,
            "subformat": parsed_args.subformat,
            "disk": parsed_args.disk,
        }
        body = {
            "image_id": self.client.find_image(parsed_args.image),
            "overwrite": parsed_args.overwrite,
            **_place(self, parsed_args.object),
            **{name: value for name, value in given.items() if value is not None},
        }
        job = self.client.post("/exports", body, idempotent=True)["job"]
        if parsed_args.wait:
            job = job_wait.wait(self.client, job["id"], timeout_s=parsed_args.timeout)
        made = [f"{one['key']} sha256:{one['sha256']}" for one in job["result"].get("objects", ())]
        shown = {"job_id": job["id"], "state": job["state"]}
        return command.fields(shown | ({"objects": "\n".join(made)} if made else {}))


def _place(asking: command.Show, text: str) -> dict[str, str]:
    found = _PLACE.fullmatch(text)
    if found is None:
        raise ShellError(f"{text} is not of the form OBJECT-STORE/BUCKET/KEY.")
    store_id = asking.client.find_object_store(found["store"])
    return {"object_store_id": store_id, "bucket": found["bucket"], "key": found["key"]}


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise ShellError(f"{text} is not of the form NAME=VALUE.")
    return name, value
