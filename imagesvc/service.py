"""build(conf) -> Service: the only place where managers receive their collaborators."""

import dataclasses
import hashlib
import hmac
from pathlib import Path

from oslo_config import cfg

from imagesvc import errors
from imagesvc.backend.registry import Backends
from imagesvc.db.engine import Database, check_schema
from imagesvc.db.health import DatabaseProbe
from imagesvc.domain.image_property import Limits
from imagesvc.domain.quota import Resource
from imagesvc.interface.identity import IdentityDriver
from imagesvc.manager import import_option, signed_url
from imagesvc.manager.audit import AuditManager
from imagesvc.manager.backend import BackendManager
from imagesvc.manager.capture import CaptureManager
from imagesvc.manager.health import HealthManager
from imagesvc.manager.image import ImageManager
from imagesvc.manager.image_bytes import Rules
from imagesvc.manager.image_file import ImageFileManager
from imagesvc.manager.image_import import ImportManager
from imagesvc.manager.image_stage import StageManager
from imagesvc.manager.job import JobManager
from imagesvc.manager.login import LoginManager
from imagesvc.manager.member import MemberManager
from imagesvc.manager.metric import MetricManager
from imagesvc.manager.operation import Operation
from imagesvc.manager.quota import QuotaManager
from imagesvc.manager.server import ServerManager
from imagesvc.manager.store import StoreManager
from imagesvc.manager.tag import TagManager
from imagesvc.manager.task import TaskManager
from imagesvc.policy.check import Enforcer
from imagesvc.stream.source import UrlSource

SERVICE_OPTS = (
    cfg.StrOpt("region", default="RegionOne", help="Name of this region in the catalogue."),
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
        help="Seconds that a signed download URL lives. Too few break slow transfers.",
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
    cfg.IntOpt(
        "image_virtual_size_bytes",
        default=64 << 40,
        min=1,
        help="Largest disk that an image may unfold to, in bytes.",
    ),
    cfg.IntOpt("image_properties", default=128, min=-1, help="Most properties; -1: no limit."),
    cfg.IntOpt("image_tags", default=128, min=-1, help="Most tags of an image; -1: no limit."),
    cfg.IntOpt(
        "servers_per_request",
        default=100,
        min=1,
        help="Most servers that one request creates. Each job works on all of its servers at once.",
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


@dataclasses.dataclass(frozen=True, slots=True)
class Service:
    """Everything a door needs, wired once a process."""

    conf: cfg.ConfigOpts
    database: Database
    backends: Backends
    identity: IdentityDriver
    operation: Operation
    enforcer: Enforcer
    audit_key: bytes = dataclasses.field(repr=False)
    quotas: QuotaManager
    images: ImageManager
    image_files: ImageFileManager
    stages: StageManager
    imports: ImportManager
    members: MemberManager
    tags: TagManager
    stores: StoreManager
    jobs: JobManager
    tasks: TaskManager
    captures: CaptureManager
    servers: ServerManager
    audits: AuditManager
    logins: LoginManager
    backend_manager: BackendManager
    health: HealthManager
    metrics: MetricManager
    urls: UrlSource | None = None

    def close(self) -> None:
        """Let go of backends and connections."""
        self.operation.close()
        self.backends.close()
        self.database.dispose()


def build(conf: cfg.ConfigOpts, *, monitor: bool = True, urls: UrlSource | None = None) -> Service:
    """Wire the service; `urls` reads URLs for imports, if that is allowed at all.

    Raises ConfigurationError with what to do.
    """
    key = installation_key(conf)
    database = Database(conf.database.url)
    check_schema(database)
    probe = DatabaseProbe(database)
    backends = Backends(conf)
    backends.open(monitor=monitor)
    audit_key = _derive(key, b"audit")
    enforcer = Enforcer(conf)
    operation = Operation(database, audit_key)
    limits = Limits(conf.limit.image_properties, conf.limit.image_tags, conf.limit.image_members)
    rules = _rules(conf)
    signer = signed_url.Signer(
        _derive(key, b"signed-url"), internal_endpoint(conf), conf.service.signed_url_s
    )
    quotas = QuotaManager(
        operation, enforcer, {resource: conf.quota[resource] for resource in Resource}
    )
    image_files = ImageFileManager(operation, enforcer, backends, rules, signer, quotas)
    images = ImageManager(operation, enforcer, backends, limits, quotas)
    jobs = JobManager(operation, enforcer, quotas)
    stages = StageManager(
        operation, enforcer, backends, quotas,
        store_id=import_option.staging_store(conf, backends), cap_bytes=rules.size_cap_bytes,
    )  # fmt: skip
    imports = ImportManager(
        operation, enforcer, backends, jobs, quotas, urls=urls,
        methods=import_option.methods(conf, with_urls=urls is not None),
    )  # fmt: skip
    return Service(
        conf=conf,
        database=database,
        backends=backends,
        identity=backends.identity(),
        operation=operation,
        enforcer=enforcer,
        audit_key=audit_key,
        quotas=quotas,
        images=images,
        image_files=image_files,
        stages=stages,
        imports=imports,
        members=MemberManager(operation, enforcer, limits),
        tags=TagManager(operation, enforcer, limits),
        stores=StoreManager(operation, enforcer, backends),
        jobs=jobs,
        tasks=TaskManager(operation, enforcer),
        captures=CaptureManager(operation, enforcer, backends, images, jobs),
        servers=ServerManager(operation, enforcer, backends, jobs, conf.limit.servers_per_request),
        audits=AuditManager(operation, enforcer),
        logins=LoginManager(operation, backends.identity()),
        backend_manager=BackendManager(operation, enforcer, backends),
        health=HealthManager(operation, enforcer, backends, probe, Path(conf.service.drain_file)),
        metrics=MetricManager(database, probe, backends),
        urls=urls,
    )


def _rules(conf: cfg.ConfigOpts) -> Rules:
    return Rules(
        conf.limit.image_size_bytes,
        conf.limit.image_virtual_size_bytes,
        conf.service.hashing_algorithm,
        conf.service.legacy_md5,
    )


def internal_endpoint(conf: cfg.ConfigOpts) -> str:
    """URL by which backends of this installation reach the API."""
    given: str = conf.service.internal_endpoint
    return given or f"http://{conf.service.bind_host}:{conf.service.bind_port}"


def installation_key(conf: cfg.ConfigOpts) -> bytes:
    """Read the installation's key. Raises ConfigurationError."""
    path = Path(conf.service.key_file)
    if not path.is_file():
        raise errors.ConfigurationError(
            f"There is no key file {path}. Run `imagesvc-manage db upgrade`, which makes it, or "
            "restore it from the backup: signatures of the audit trail depend on it."
        )
    key = path.read_bytes().strip()
    if len(key) < 32:
        raise errors.ConfigurationError(f"The key file {path} holds less than 32 bytes.")
    return key


def audit_key(conf: cfg.ConfigOpts) -> bytes:
    """The key of the audit trail's HMACs. Raises ConfigurationError."""
    return _derive(installation_key(conf), b"audit")


def _derive(key: bytes, purpose: bytes) -> bytes:
    return hmac.new(key, b"imagesvc/" + purpose, hashlib.sha256).digest()
