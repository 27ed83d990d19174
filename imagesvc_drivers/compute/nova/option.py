"""Options of the driver nova."""

from oslo_config import cfg

from imagesvc_drivers.client import openstack_option

OPTS = (
    *openstack_option.OPTS,
    cfg.StrOpt(
        "image_endpoint",
        help="URL of Nova's image service, instead of that in the catalog: this service, as Nova "
        "reaches it.",
    ),
    cfg.ListOpt(
        "networks",
        default=["auto"],
        help="Networks of new servers: ids of Neutron, or the word auto, or none.",
    ),
    cfg.BoolOpt(
        "zero_disk_flavors",
        default=False,
        help="Whether flavors with a disk of 0 GiB may be chosen, whose servers have a system disk "
        "as large as the image. Nova's own rules allow that to administrators alone.",
    ),
    cfg.FloatOpt(
        "power_wait_s",
        default=60.0,
        min=1.0,
        max=600.0,
        help="Seconds that a server may take to boot or to power off while a request waits.",
    ),
)
