"""The options of images, section [image]: what comes in, and what is shown of it."""

from oslo_config import cfg, types

from imagesvc.domain import disk_format
from imagesvc.domain.guest import Detect

OPTS = (
    cfg.IntOpt(
        "max_virtual_bytes",
        default=1 << 40,
        min=1,
        deprecated_name="image_virtual_size_bytes",
        deprecated_group="limit",
        help="Largest disk that an image may unfold to, in bytes (1 TiB). What is larger is "
        "refused by its header, before its bytes are read.",
    ),
    cfg.IntOpt(
        "max_unpacked_bytes",
        default=1 << 37,
        min=1,
        help="Most bytes that come out of one upload in container format compressed or ova "
        "(128 GiB). Each of them costs time of an API thread.",
    ),
    cfg.ListOpt(
        "disk_formats",
        item_type=types.String(choices=disk_format.DISK_FORMATS),
        default=list(disk_format.DISK_FORMATS),
        help="Values of disk_format that new images may have. Bytes are taken only of those that "
        f"can be judged: {', '.join(disk_format.KEPT_FORMATS)}.",
    ),
    cfg.StrOpt(
        "detect",
        default=Detect.OWN,
        choices=[
            (Detect.OFF, "Disks are not looked into."),
            (Detect.SHOW, "What is found on a disk is shown by our own API."),
            (Detect.OWN, "It also fills what was left out of images that our own API makes."),
            (
                Detect.ALL,
                "It also fills images of the Glance API, whose clients may not expect it.",
            ),
        ],
        help="Whether new images are looked into for their system, its version, architecture and "
        "firmware, and what becomes of it. It takes half a second of a processor, 4 s at most; "
        "what callers said stays in any case.",
    ),
    cfg.BoolOpt(
        "show_image_direct_url",
        default=False,
        help="Whether everyone who sees an image sees as direct_url in which store and by which "
        "key its bytes are kept.",
    ),
    cfg.BoolOpt(
        "show_multiple_locations",
        default=False,
        help="Whether everyone who sees an image sees as locations all places of its bytes. A "
        "PATCH may then add and remove places, for those who may.",
    ),
)
