"""The options of the service as a whole: where it listens, its database, limits, quotas, log."""

from oslo_config import cfg

SERVICE_OPTS = (
    cfg.StrOpt("region", default="RegionOne", help="Name of this region in the catalogue."),
    cfg.ListOpt(
        "regions",
        default=[],
        help="Ids of the other regions that images may be copied to, or come from; each has its "
        "section [region_ID].",
    ),
    cfg.StrOpt(
        "state_dir",
        default="/var/lib/imagesvc",
        help="Folder of what the embedded parts keep: keys, users, servers.",
    ),
    cfg.StrOpt(
        "key_file",
        default="$state_dir/installation.key",
        help="File with the installation's secret key, at least 32 bytes, readable by the "
        "service alone. `imagesvc-manage db upgrade` makes it if it is missing.",
    ),
    cfg.StrOpt(
        "drain_file",
        default="$state_dir/drain",
        help="While this file exists, /healthcheck/ready answers 503 with the reason draining, so "
        "that load balancers send no more work to this machine; requests are still served.",
    ),
    cfg.StrOpt("bind_host", default="127.0.0.1", help="Address that the API listens on."),
    cfg.PortOpt("bind_port", default=9292, help="TCP port that the API listens on."),
    cfg.IntOpt("workers", default=2, min=1, help="API processes."),
    cfg.IntOpt("threads", default=16, min=2, help="Threads of each API process."),
    cfg.StrOpt(
        "public_endpoint",
        default="",
        help="URL by which clients reach the service, without a trailing slash; empty: the URL "
        "of each request. A wrong one sends every later call of a client elsewhere.",
    ),
    cfg.StrOpt(
        "internal_endpoint",
        default="",
        help="URL by which compute backends fetch image bytes; empty: http://bind_host:bind_port.",
    ),
    cfg.IntOpt(
        "signed_url_s",
        default=3600,
        min=60,
        deprecated_for_removal=True,
        deprecated_reason="A signed URL opens until the job that it was made for has ended.",
        help="Without effect: a signed URL lives as long as the work that it was made for.",
    ),
    cfg.StrOpt(
        "hashing_algorithm",
        default="sha512",
        choices=["sha256", "sha512"],
        help="Hash kept of each image. sha256 costs less than half the CPU of sha512.",
    ),
    cfg.BoolOpt(
        "legacy_md5",
        default=True,
        help="Whether an MD5 checksum is kept too, for clients that look at nothing else.",
    ),
)
DATABASE_OPTS = (
    cfg.StrOpt(
        "url",
        secret=True,
        default="sqlite:////var/lib/imagesvc/imagesvc.sqlite",
        help="SQLAlchemy URL: sqlite:////path or postgresql://user:password@host/name.",
    ),
)
LIMIT_OPTS = (
    cfg.IntOpt("image_size_bytes", default=1 << 40, min=1, help="Largest image in bytes (1 TiB)."),
    cfg.IntOpt("image_properties", default=128, min=-1, help="Most properties; -1: no limit."),
    cfg.IntOpt(
        "image_locations", default=10, min=-1, help="Most places of an image's bytes; -1: no limit."
    ),
    cfg.IntOpt("image_tags", default=128, min=-1, help="Most tags of an image; -1: no limit."),
    cfg.IntOpt(
        "project_keys",
        default=100,
        min=-1,
        help="Most keys that a project has the service make, of all KMS that list theirs; -1: no limit.",
    ),
    cfg.IntOpt(
        "servers_per_request",
        default=100,
        min=1,
        help="Most servers that one request creates. Each job works on all of its servers at once.",
    ),
    cfg.IntOpt(
        "volumes_per_request",
        default=100,
        min=1,
        help="Most volumes that one request creates, each with a copy of the image's disk.",
    ),
    cfg.IntOpt("image_members", default=128, min=-1, help="Most members; -1: no limit."),
)
QUOTA_OPTS = (
    cfg.IntOpt("images", default=-1, min=-1, help="Most images of a project; -1: no limit."),
    cfg.IntOpt(
        "stored_bytes",
        default=-1,
        min=-1,
        help="Most bytes that the images of a project hold, with those announced by running "
        "uploads; -1: no limit.",
    ),
    cfg.IntOpt(
        "uploads", default=-1, min=-1, help="Most uploads of a project at a time; -1: no limit."
    ),
    cfg.FloatOpt(
        "verify_interval_s",
        default=3600.0,
        min=1.0,
        help="Seconds between two rounds in which the counters of all projects are compared "
        "with the rows and mended. Each reads all images once.",
    ),
)

BIN_OPTS = (
    cfg.IntOpt(
        "term_s",
        default=0,
        min=0,
        help="Seconds that a deleted image rests in the bin, from which its owner takes it back; its "
        "bytes are stored and counted until then. 0: it is gone at once.",
    ),
)
LOG_OPTS = (
    cfg.StrOpt(
        "format",
        default="text",
        choices=[
            ("text", "A line of words: time, process, level, logger, request id, message."),
            ("json", "A JSON object a line; facts of the message are members of its facts."),
        ],
        help="Form of a log line.",
    ),
    cfg.StrOpt(
        "level",
        default="INFO",
        choices=["DEBUG", "INFO", "WARNING", "ERROR"],
        help="Least level that is written. Requests are INFO.",
    ),
    cfg.StrOpt(
        "file",
        default="",
        help="File for the log, opened again when it was renamed; empty: standard error.",
    ),
)
