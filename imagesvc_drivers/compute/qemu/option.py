"""Options of the QEMU compute backend."""

from oslo_config import cfg

OPTS = (
    cfg.StrOpt(
        "state_dir",
        default="${service.state_dir}/qemu",
        help="Folder of servers, their disks, base images and snapshots; needs room for them. "
        "All processes of the service share it.",
    ),
    cfg.StrOpt(
        "runtime_dir",
        default="",
        help="Folder of the servers' sockets, with a short name: a socket's path stops at 107 "
        "bytes. Empty: a folder of its own under the system's temporary folder.",
    ),
    cfg.StrOpt("binary", default="qemu-system-x86_64", help="QEMU's program, by name or by path."),
    cfg.StrOpt(
        "accelerator",
        default="auto",
        choices=["auto", "kvm", "tcg"],
        help="kvm needs a working /dev/kvm; tcg runs anywhere, some ten times slower; auto takes "
        "kvm only after a guest was seen running on it, and not many times slower than on tcg.",
    ),
    cfg.IntOpt("memory_mib_max", default=4096, min=16, help="Most memory of one server, in MiB."),
    cfg.IntOpt("vcpus_max", default=8, min=1, help="Most virtual processors of one server."),
    cfg.IntOpt(
        "disks_max",
        default=8,
        min=1,
        max=20,
        help="Most disks of one server, those of attached volumes too.",
    ),
    cfg.IntOpt("create_count_max", default=100, min=1, help="Most servers of one creation."),
    cfg.IntOpt(
        "parallel_starts",
        default=4,
        min=1,
        max=64,
        help="Servers of one creation that start at once; many on few processors only wait.",
    ),
    cfg.FloatOpt(
        "start_timeout_s",
        default=60.0,
        min=1.0,
        help="Seconds in which a server's process must answer after its start.",
    ),
    cfg.FloatOpt(
        "fetch_timeout_s",
        default=60.0,
        min=1.0,
        help="Seconds without a byte after which fetching an image is tried again.",
    ),
    cfg.FloatOpt(
        "lock_timeout_s",
        default=30.0,
        min=0.0,
        help="Seconds to wait for another action on the same server before saying busy.",
    ),
    cfg.FloatOpt(
        "console_timeout_s",
        default=10.0,
        min=0.1,
        help="Seconds in which a server must read what is typed on its console.",
    ),
    cfg.FloatOpt(
        "agent_timeout_s",
        default=10.0,
        min=0.1,
        help="Seconds in which the agent in a guest must answer when its file systems are to be "
        "frozen; without an answer the disks are copied as they are.",
    ),
    cfg.FloatOpt(
        "detach_wait_s",
        default=5.0,
        min=0.0,
        help="Seconds that a running guest gets to let go of a volume; a guest that does not "
        "must be stopped first.",
    ),
    cfg.FloatOpt(
        "powerdown_wait_s",
        default=0.0,
        min=0.0,
        help="Seconds that a guest gets to power itself off when stopped; 0 pulls the plug after "
        "a flush, which guests without ACPI need.",
    ),
)
