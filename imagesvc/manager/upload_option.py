"""The options of resumable uploads, section [upload]."""

import dataclasses

from oslo_config import cfg

OPTS = (
    cfg.IntOpt(
        "expire_s",
        default=86_400,
        min=1,
        help="Seconds after its last byte in which a resumable upload can be gone on with. Then its "
        "bytes are removed, and its image is queued again.",
    ),
    cfg.IntOpt(
        "part_size_mib",
        default=16,
        min=1,
        max=1024,
        help="MiB of the objects that an upload is kept in until it is whole. A kill of the API "
        "loses at most one; small ones make many objects in the store.",
    ),
    cfg.FloatOpt(
        "lease_s",
        default=20.0,
        min=0.5,
        help="Seconds without a byte after which another request may go on with an upload that one "
        "holds already. Short ones take uploads from clients that are merely slow.",
    ),
)


@dataclasses.dataclass(frozen=True, slots=True)
class UploadLimits:
    """What resumable uploads must keep to: bytes and seconds."""

    size_cap_bytes: int
    part_bytes: int
    expire_s: int
    lease_s: float


def limits(conf: cfg.ConfigOpts) -> UploadLimits:
    """The limits as configured."""
    return UploadLimits(
        conf.limit.image_size_bytes,
        conf.upload.part_size_mib << 20,
        conf.upload.expire_s,
        conf.upload.lease_s,
    )
