"""The options of workers, section [worker]."""

from oslo_config import cfg

WORKER_OPTS = (
    cfg.IntOpt("threads", default=2, min=1, help="Jobs that one worker runs at a time."),
    cfg.FloatOpt("poll_interval_s", default=1.0, min=0.05, help="Seconds between two claims."),
    cfg.FloatOpt(
        "lease_s",
        default=30.0,
        min=1.0,
        help="Seconds after which the job of a silent worker is taken over.",
    ),
    cfg.FloatOpt(
        "retry_s",
        default=3600.0,
        min=0.0,
        help="Seconds from the beginning of a step in which it is tried again for as long as a "
        "store or another backend is away; five times in any case. Then its job fails.",
    ),
    cfg.FloatOpt("drain_s", default=60.0, min=0.0, help="Seconds that a stop waits for steps."),
    cfg.IntOpt("project_cap", default=10, min=1, help="Jobs of one project at a time."),
    cfg.IntOpt(
        "region_copies",
        default=4,
        min=1,
        help="Copies into one other region at a time, of all projects and workers together; one that "
        "waits for the region counts, and only there. Projects take turns. Each holds a thread of a "
        "worker while it sends.",
    ),
    cfg.FloatOpt(
        "upload_stale_s",
        default=60.0,
        min=1.0,
        help="Seconds without a sign of life after which an upload counts as dead. Uploads give "
        "one six times in that time, at least every 5 s. The same for API and workers.",
    ),
    cfg.IntOpt(
        "keep_finished_days",
        default=30,
        min=1,
        help="Days that an ended job is kept and shown. Its idempotency key is free after that.",
    ),
    cfg.FloatOpt(
        "reconcile_interval_s",
        default=86_400.0,
        min=60.0,
        help="Seconds between two comparisons of all rows with all bytes. Each lists every store.",
    ),
    cfg.StrOpt(
        "scratch_dir",
        default="$service.state_dir/scratch",
        help="Folder of this host in which images are converted; it holds one converted image for "
        "each conversion that runs, and nothing that another host needs.",
    ),
    cfg.IntOpt(
        "scratch_bytes",
        default=0,
        min=0,
        help="Most bytes that conversions take in scratch_dir together; 0: what the disk has. A "
        "conversion waits until there is room for all of it.",
    ),
    cfg.StrOpt(
        "memory_scratch_dir",
        default="/dev/shm/imagesvc",  # noqa: S108 - made with mode 0700
        help="Folder of this host, in a file system that is memory (tmpfs), in which encrypted images "
        "are converted: plain bytes of them never rest on a disk. Switch off swap, or encrypt it.",
    ),
    cfg.FloatOpt("reap_interval_s", default=10.0, min=0.1, help="Seconds between clean-ups."),
)
