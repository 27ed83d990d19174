"""Options of the S3 store, and what they say in the terms of its client."""

from typing import Any
from urllib.parse import urlsplit

from oslo_config import cfg

from imagesvc.interface import errors

OPTS = (
    cfg.ListOpt(
        "endpoint_urls",
        default=[],
        help="http or https URLs of the S3 gateways of one cluster, separated by commas. A "
        "request that fails at one goes on at the next. Empty: Amazon's for the region.",
    ),
    cfg.StrOpt(
        "region",
        default="us-east-1",
        help="Region that requests are signed for; many servers other than Amazon's take any.",
    ),
    cfg.StrOpt(
        "bucket",
        required=True,
        help="Bucket of the image bytes, without versioning. All processes of the service need "
        "the same one.",
    ),
    cfg.BoolOpt(
        "create_bucket",
        default=False,
        help="Make the bucket at the start if it is missing. Off: a mistyped name is noticed.",
    ),
    cfg.StrOpt(
        "prefix",
        default="imagesvc/",
        help="Beginning of the names of all objects. Two backends must not share bucket and "
        "prefix; what else lies in the bucket is left alone.",
    ),
    cfg.StrOpt(
        "access_key",
        secret=True,
        help="Access key of the service. Without it boto3 searches for keys by itself: in AWS_* "
        "variables, its own files, the role of the machine.",
    ),
    cfg.StrOpt("secret_key", secret=True, help="Secret that belongs to access_key."),
    cfg.StrOpt(
        "addressing",
        default="path",
        choices=("path", "virtual"),
        help="Where requests name the bucket: in the path, which every server takes, or in the "
        "host's name.",
    ),
    cfg.BoolOpt(
        "verify_tls",
        default=True,
        help="Check the certificate of an https endpoint. Off: anybody in between can read and "
        "change images; for tests alone.",
    ),
    cfg.StrOpt(
        "ca_file",
        help="File with the certificates that may sign the endpoint's; empty: those that are "
        "built in.",
    ),
    cfg.IntOpt(
        "part_size_mib",
        default=16,
        min=5,
        max=1024,
        help="MiB of the first parts of an upload; the size grows with the number of the part. "
        "An object of unknown length can have 55000 times this. Each upload holds up to "
        "threads + 1 parts in memory. Smaller objects are sent in one request.",
    ),
    cfg.IntOpt(
        "threads",
        default=4,
        min=1,
        max=32,
        help="Parts of one upload that are sent at once. More hide a slow network and take more "
        "memory.",
    ),
    cfg.BoolOpt(
        "checksums",
        default=False,
        help="Let boto3 add its own checksums and check those of the server. Content-MD5 is sent "
        "with all bytes in either case. Several servers refuse or ignore these checksums.",
    ),
    cfg.BoolOpt(
        "conditional_writes",
        default=True,
        help="Ask the server to refuse a write to a name that is taken (If-None-Match). Off: for "
        "servers that refuse the header; then the service looks first, and its keys never "
        "come twice.",
    ),
    cfg.FloatOpt(
        "connect_timeout_s",
        default=5.0,
        min=0.1,
        max=60.0,
        help="Seconds that an endpoint may take to accept a connection.",
    ),
    cfg.FloatOpt(
        "read_timeout_s",
        default=60.0,
        min=0.1,
        max=600.0,
        help="Seconds that an endpoint may send nothing for. Low values give up on a busy store, "
        "high ones hold threads.",
    ),
    cfg.FloatOpt(
        "retry_s",
        default=10.0,
        min=0.0,
        max=600.0,
        help="Seconds for which a request that failed is tried again, at each endpoint in turn "
        "with growing pauses; each endpoint is tried once in any case. A download goes on "
        "where it broke off.",
    ),
    cfg.FloatOpt(
        "unfinished_hours",
        default=24.0,
        min=0.0,
        help="Hours without a new part after which an unfinished upload in the bucket counts as "
        "left behind and is removed. Must be longer than the slowest client needs for a part.",
    ),
    cfg.StrOpt(
        "presign_endpoint_url",
        help="URL of the gateway that signed links name, if clients reach it by another one than "
        "the service does. Empty: the first of endpoint_urls.",
    ),
)


def check(options: Any) -> None:
    """Look at values that depend on each other. Raises InvalidConfiguration."""
    named = [("endpoint_urls", url) for url in options.endpoint_urls]
    if options.presign_endpoint_url:
        named.append(("presign_endpoint_url", options.presign_endpoint_url))
    for name, url in named:
        _check_url(name, url)
    if bool(options.access_key) != bool(options.secret_key):
        raise errors.InvalidConfiguration("set both options access_key and secret_key, or neither")
    if not options.bucket:
        raise errors.InvalidConfiguration("option bucket is not set")


def _check_url(name: str, url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise errors.InvalidConfiguration(f"option {name} names something that is no http(s) URL")
    if parts.username or parts.password:
        raise errors.InvalidConfiguration(
            f"option {name} holds a password; use access_key and secret_key"
        )
