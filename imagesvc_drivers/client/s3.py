"""One boto3 client of one S3 endpoint, the same for all drivers that speak S3.

Amazon S3 REST API of 2006-03-01, Signature Version 4. Needs the extra `s3` (boto3).
"""

import dataclasses
from typing import Any

try:
    import botocore.config

    from imagesvc_drivers.client import boto
except ImportError as exc:  # the loader shows this text
    raise ImportError("the s3 driver needs boto3: pip install 'imagesvc[s3]'") from exc

POOL_CONNECTIONS = 64


@dataclasses.dataclass(frozen=True, slots=True)
class Access:
    """How an S3 is reached. Times in seconds. Without keys boto3's own search finds them.

    `checksums` lets boto3 add its own checksums to each request and check those of answers;
    many servers other than Amazon's do not know them.
    """

    region: str
    access_key: str | None = dataclasses.field(default=None, repr=False)
    secret_key: str | None = dataclasses.field(default=None, repr=False)
    addressing: str = "path"
    verify: bool | str = True
    checksums: bool = False
    connect_timeout_s: float = 5.0
    read_timeout_s: float = 60.0


def client(access: Access, endpoint_url: str | None) -> Any:
    """Make a client, which many threads may use; after a fork each process makes its own.

    It tries each request once: whoever calls knows the other endpoints.
    """
    checksums = "when_supported" if access.checksums else "when_required"
    config = botocore.config.Config(
        signature_version="s3v4",
        s3={"addressing_style": access.addressing},
        request_checksum_calculation=checksums,
        response_checksum_validation=checksums,
        retries={"total_max_attempts": 1, "mode": "standard"},
        connect_timeout=access.connect_timeout_s,
        read_timeout=access.read_timeout_s,
        max_pool_connections=POOL_CONNECTIONS,
        tcp_keepalive=True,
    )
    return boto.client(
        "s3",
        endpoint_url=endpoint_url,
        region_name=access.region,
        aws_access_key_id=access.access_key,
        aws_secret_access_key=access.secret_key,
        verify=access.verify,
        config=config,
    )
