"""imagesvc-api: checks that the service can start, then becomes gunicorn."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from oslo_config import cfg

from imagesvc.api import meter
from imagesvc.api.native import metric
from imagesvc.cmd import command_line
from imagesvc.db import engine
from imagesvc.manager import installation_key

PROG = "imagesvc-api"


def gunicorn_args(conf: cfg.ConfigOpts, own_config: str | None) -> list[str]:
    """The command line of gunicorn."""
    more: list[str] = []
    if conf.metrics.bind_port:
        more = ["--bind", _address(conf.metrics.bind_host, conf.metrics.bind_port)]
    return [
        sys.executable,
        "-m",
        "gunicorn",
        "--config",
        own_config or "python:imagesvc.cmd.gunicorn_conf",
        "--bind",
        _address(conf.service.bind_host, conf.service.bind_port),
        *more,
        "--workers",
        str(conf.service.workers),
        "--threads",
        str(conf.service.threads),
        "imagesvc.wsgi:application()",
    ]


def _address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _count_in(folder: Path) -> None:
    """Let gunicorn's processes count in an empty folder of this start."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for path in folder.glob("*.db"):
        path.unlink()
    os.environ[meter.FOLDER_VARIABLE] = str(folder)


def _start(parsed: argparse.Namespace) -> int:
    conf = command_line.load(parsed)
    installation_key.read(conf)
    engine.check_schema(engine.Database(conf.database.url))
    metric.networks(conf.metrics.allowed_networks)
    _count_in(Path(conf.metrics.directory))
    args = gunicorn_args(conf, parsed.gunicorn_config)
    os.execv(args[0], args)  # noqa: S606 - our own interpreter, a list


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until a signal."""
    parser = command_line.parser(PROG, "Serve the HTTP APIs with gunicorn.")
    parser.add_argument(
        "--gunicorn-config",
        metavar="FILE",
        help="a gunicorn configuration instead of the one that comes with the package",
    )
    parsed = parser.parse_args(argv)
    return command_line.run(PROG, lambda: _start(parsed))


if __name__ == "__main__":
    sys.exit(main())
