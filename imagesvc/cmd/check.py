"""Checks of the configuration, the database and the key files; each yields verdicts."""

import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path

import sqlalchemy as sa
from oslo_config import cfg

from imagesvc import errors, opts
from imagesvc.cmd import verdict
from imagesvc.db import engine, image_disk, migrate
from imagesvc.manager import installation_key
from imagesvc.policy import check as policy

_MODE_WANTED = 0o600


def options(conf: cfg.ConfigOpts) -> Iterator[verdict.Verdict]:
    """Names in the file that nothing reads, and the policy; backends must have been built."""
    unknown = opts.unread(conf)
    for name in unknown:
        yield verdict.warning(
            "configuration", f"{name} is no option of this release: correct or remove it"
        )
    if not unknown:
        yield verdict.ok("configuration", "every option in the file is known")
    try:
        policy.Enforcer(conf).load()
    except Exception as exc:  # whatever the file provokes, it is a finding
        yield verdict.failed("policy", f"{type(exc).__name__}: {exc}: correct the policy file")
    else:
        yield verdict.ok("policy", "usable")


def foreign(conf: cfg.ConfigOpts) -> Iterator[verdict.Verdict]:
    """What is given up by letting images stay at foreign URLs; nothing is said where none may."""
    if conf.location.foreign_store:
        yield verdict.warning(
            "foreign URLs",
            "[location] foreign_store is set: images whose bytes are elsewhere count as active "
            "unverified, and may change or vanish; not set, they are fetched and checked",
        )


def schema(conf: cfg.ConfigOpts) -> Iterator[verdict.Verdict]:
    """Whether the database can be reached, and its schema is that of this release."""
    missing = _missing_file(conf)
    if missing:
        yield verdict.failed("database", f"there is no {missing}: run imagesvc-manage db upgrade")
        return
    try:
        current, head = migrate.current(conf.database.url), migrate.head()
        kind = engine.Database(conf.database.url).dialect
    except (sa.exc.SQLAlchemyError, errors.ImagesvcError) as exc:  # a finding
        yield verdict.failed("database", f"{_said(exc)}: correct [database] url or start it")
        return
    yield verdict.ok("database", f"{kind} answers")
    if current == head:
        yield verdict.ok("schema", f"version {head}")
    else:
        yield verdict.failed(
            "schema",
            f"version {current or 'none'}, this release needs {head}: "
            "run imagesvc-manage db upgrade",
        )


def _missing_file(conf: cfg.ConfigOpts) -> str:
    """The file of SQLite if it is not there: to open it would make it."""
    url = sa.make_url(conf.database.url)
    there = url.get_backend_name() != "sqlite" or Path(url.database or "").exists()
    return "" if there else f"file {url.database}"


def copies(conf: cfg.ConfigOpts, kept: Mapping[str, int]) -> Iterator[verdict.Verdict]:
    """How many good copies of their bytes images have; one is one fault away from none.

    `kept` says how many copies a store keeps of each object; one that it leaves out keeps one.
    """
    if _missing_file(conf):
        return
    database = engine.Database(conf.database.url)
    try:
        with database.read() as conn:
            found = image_disk.count_by_copies(conn, kept)
    except sa.exc.SQLAlchemyError:  # the check of the schema tells of it
        yield verdict.failed("copies", "cannot be counted: see database and schema")
        return
    finally:
        database.dispose()
    text = ", ".join(f"{number} with {good}" for good, number in sorted(found.items()))
    shown = f"disks of images by number of good copies: {text or 'no image yet'}"
    if found.get(0):
        yield verdict.failed("copies", f"{shown}: those with 0 are lost or damaged, restore them")
    elif found.get(1):
        yield verdict.warning(
            "copies",
            f"{shown}: those with one are lost with it; add a store or a mirror, or back it up",
        )
    else:
        yield verdict.ok("copies", shown)


def key_files(conf: cfg.ConfigOpts) -> Iterator[verdict.Verdict]:
    """The installation's key and the files of secrets: there, and for the service alone."""
    try:
        installation_key.read(conf)
    except (errors.ImagesvcError, OSError) as exc:  # a finding
        yield verdict.failed("key file", _said(exc))
    else:
        yield _mode("key file", Path(conf.service.key_file))
    for group in opts.groups(conf):
        for name in opts.twins(conf, group):
            if path := conf[group][name]:
                yield _mode(f"[{group}] {name}", Path(path))


def _mode(name: str, path: Path) -> verdict.Verdict:
    if not os.access(path, os.R_OK):
        return verdict.failed(name, f"{path} is not there or not readable: restore it")
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & ~_MODE_WANTED:
        return verdict.failed(name, f"{path} has mode {mode:04o}: chmod 0600 {path}")
    return verdict.ok(name, f"{path} has mode {mode:04o}")


def _said(exc: Exception) -> str:
    """The first line; what follows in errors of the database is SQL."""
    return str(getattr(exc, "orig", None) or exc).splitlines()[0].rstrip(".")
