"""What the operator says of public images, section [catalog]."""

from oslo_config import cfg

OPTS = (
    cfg.StrOpt(
        "directory",
        default="$service.state_dir/catalog",
        help="Folder of this machine with the families that the operator builds, one folder each; "
        "every worker reads it, so on several machines it must be the same. It need not be there.",
    ),
    cfg.ListOpt(
        "families",
        default=[],
        help="Ids of the families that are taken from the network, separated by commas; `*` stands "
        "for any characters, as in `debian-*`. Without one nothing is fetched from anywhere. Families "
        "of `directory` need not be named.",
    ),
    cfg.StrOpt(
        "minimum_trust",
        default="tls",
        choices=[
            ("tls", "A list that is read over https is enough."),
            (
                "signed",
                "Only families whose lists or images are signed by a key of their publisher.",
            ),
        ],
        help="What families from the network need to be synced.",
    ),
    cfg.ListOpt(
        "mirror_map",
        default=[],
        help="Mirrors that are asked instead of publishers, as `https://publisher/folder/ -> "
        "http://mirror/folder/`, separated by commas; the longest prefix counts. A mirror may be at an "
        "address that is not public, and gets no redirect followed; digests and signatures are "
        "checked as ever.",
    ),
    cfg.IntOpt(
        "image_max_bytes",
        default=1 << 36,
        min=1,
        help="Most bytes of one image that is fetched, packed or not (64 GiB).",
    ),
    cfg.StrOpt(
        "owner_project",
        default="catalog",
        help="Id of the project that has the images of the catalog, and whose quota they count in. "
        "No user needs to be in it.",
    ),
    cfg.StrOpt(
        "visibility",
        default="public",
        choices=["public", "community", "private"],
        help="Who sees the newest image of each family: private is the owner's project alone.",
    ),
    cfg.IntOpt(
        "concurrency",
        default=2,
        min=1,
        help="Families that are synced at a time, of all workers together. Each holds a thread of a "
        "worker.",
    ),
    cfg.IntOpt(
        "max_age_days",
        default=30,
        min=0,
        help="Days after which a family counts as overdue if its source was not read; 0: never.",
    ),
    cfg.IntOpt(
        "unused_days",
        default=90,
        min=0,
        help="Days since its last use for which an image that is past every promise is kept from "
        "`catalog prune`; 0: only what uses it now keeps it.",
    ),
    cfg.BoolOpt(
        "prune_after_sync",
        default=False,
        help="Whether each sync of a family also does what `catalog prune` would do for it, once its "
        "release is published, or nothing new was found. Read where syncs are begun.",
    ),
)
LANE = "syncs of catalog families"
