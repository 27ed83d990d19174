"""imagesvc-manage store: rows against bytes."""

import argparse

from imagesvc.backend.registry import Backends
from imagesvc.cmd import command_line
from imagesvc.db import engine
from imagesvc.manager import data_key, store_verify


def verify(parsed: argparse.Namespace) -> int:
    """Compare rows and bytes both ways, a line for each difference; 1 if any remains."""
    conf = command_line.load(parsed)
    database = engine.Database(conf.database.url)
    engine.check_schema(database)
    backends = Backends(conf)
    backends.open(monitor=False)
    data_key.DataKeys.attached(database, backends)
    verdict = store_verify.verify(
        database, backends, older_than_s=conf.worker.upload_stale_s, repair=parsed.repair
    )
    backends.close()
    database.dispose()
    for one in verdict.findings:
        done = "; left to the reaper" if one.repaired else ""
        print(f"{one.fault:<11} {one.store_id or '-'} {one.key or '-'}: {one.text}{done}")
    print(f"{verdict.objects} objects, {verdict.rows} rows, {verdict.open_count} differences")
    return 1 if verdict.open_count else 0
