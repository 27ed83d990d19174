"""Row M4: a page of 25 images at 1,000 and at many images, on SQLite and PostgreSQL.

    python bench/list_page.py [sqlite] [postgresql] [--rows N] [--pairs N] [--calls N]

The list is called as the manager calls it, without HTTP. Samples of the two sizes alternate.
"""

import argparse
import contextlib
import datetime
import random
import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import ratio
import sqlalchemy as sa

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from imagesvc.context import RequestContext
from imagesvc.db import engine, image_list, image_property, image_table, member, migrate, tag
from imagesvc.domain.image_query import ImageQuery
from imagesvc.policy import visibility
from tests.postgresql_server import PostgresqlServer

SMALL = 1_000
PROJECTS = 20
CHUNK = 5_000
START = datetime.datetime(2025, 1, 1, tzinfo=datetime.UTC)
CALLER = RequestContext(user_id="user", project_id="p3")
ADMINISTRATOR = RequestContext(user_id="admin", project_id="p0", is_admin=True)


def fill(database: engine.Database, count: int) -> None:
    """Images of 20 projects: 60 % private, 30 % shared and offered once, the rest open."""
    chance = random.Random(count)
    for first in range(0, count, CHUNK):
        with database.write() as conn:
            add(conn, range(first, min(first + CHUNK, count)), chance)
    with database.write() as conn:
        conn.exec_driver_sql("ANALYZE")


def add(conn: sa.Connection, numbers: range, chance: random.Random) -> None:
    """These images with a tag and a property each."""
    images, members, tags, properties = [], [], [], []
    for n in numbers:
        (kind,) = chance.choices(("private", "shared", "public", "community"), (60, 30, 5, 5))
        moment = START + datetime.timedelta(seconds=n)
        image_id = str(uuid.UUID(int=chance.getrandbits(128), version=4))
        images.append(
            {
                "id": image_id, "owner": f"p{n % PROJECTS}", "name": f"image {n}",
                "status": "active", "visibility": kind, "created_at": moment,
                "updated_at": moment, "protected": False, "hidden": False,
                "disk_format": "qcow2", "container_format": "bare", "min_disk_gib": 0,
                "min_ram_mib": 0, "size_bytes": n, "kind": "system-disk", "revision": 0,
            }
        )  # fmt: skip
        tags.append({"image_id": image_id, "tag": f"t{n % 100}"})
        properties.append({"image_id": image_id, "name": "serial", "value": str(n)})
        if kind == "shared":
            members.append(
                {
                    "image_id": image_id, "member_id": f"p{(n + 1) % PROJECTS}",
                    "status": "accepted", "image_created_at": moment,
                    "created_at": moment, "updated_at": moment,
                }
            )  # fmt: skip
    conn.execute(sa.insert(image_table.TABLE), images)
    conn.execute(sa.insert(tag.TABLE), tags)
    conn.execute(sa.insert(image_property.TABLE), properties)
    conn.execute(sa.insert(member.TABLE), members)


def page_ms(database: engine.Database, ctx: RequestContext, query: ImageQuery, calls: int) -> float:
    """Milliseconds of one page, as the median of `calls`."""
    taken = []
    for _ in range(calls):
        begun = time.perf_counter()
        with database.read() as conn:
            image_list.list_page(conn, query, visibility.scope(ctx, query))
        taken.append((time.perf_counter() - begun) * 1000)
    return statistics.median(taken)


def behind(database: engine.Database, ctx: RequestContext, pages: int) -> ImageQuery:
    """The query of a page that many pages stand before."""
    query = ImageQuery()
    with database.read() as conn:
        for _ in range(pages):
            page = image_list.list_page(conn, query, visibility.scope(ctx, query))
            if not page.full:
                break
            query = ImageQuery(marker=page.images[-1].id)
    return query


def measure(
    name: str, small: engine.Database, large: engine.Database, pairs: int, calls: int
) -> list[ratio.Outcome]:
    """M4: one outcome for each caller and place in the list."""
    found = []
    cases = (
        ("project, first page", CALLER, 0),
        ("project, second page", CALLER, 1),
        ("administrator, first page", ADMINISTRATOR, 0),
    )
    for what, ctx, pages in cases:
        queries = {database: behind(database, ctx, pages) for database in (small, large)}
        for database, query in queries.items():
            page_ms(database, ctx, query, calls)  # warm
        ours, peer = [], []
        for n in range(pairs):
            for database in (large, small) if n % 2 else (small, large):
                taken = page_ms(database, ctx, queries[database], calls)
                (ours if database is large else peer).append(taken)
        goal = ratio.Goal(1.3, 1.6, less=True)
        text = f"{name}, {what}, many / {SMALL}"
        found.append(ratio.report("M4", text, ours, peer, goal, "ms a page"))
    return found


@contextlib.contextmanager
def sqlite(folder: str) -> Iterator[tuple[str, str]]:
    """URLs of two empty SQLite databases."""
    yield f"sqlite:///{folder}/small.sqlite", f"sqlite:///{folder}/large.sqlite"


@contextlib.contextmanager
def postgresql(folder: str) -> Iterator[tuple[str, str]]:
    """URLs of two empty databases of a temporary PostgreSQL."""
    server = PostgresqlServer()
    try:
        server.start()
        yield server.create(), server.create()
    finally:
        server.stop()


ENGINES = {"sqlite": sqlite, "postgresql": postgresql}


def main() -> None:
    """Fill both sizes on each engine, then measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("engines", nargs="*", default=[], help=f"of {', '.join(ENGINES)}")
    parser.add_argument("--rows", type=int, default=100_000, help="images of the large database")
    parser.add_argument("--pairs", type=int, default=15, help="pairs of samples")
    parser.add_argument("--calls", type=int, default=20, help="pages a sample")
    options = parser.parse_args()
    for name in options.engines or ENGINES:
        with tempfile.TemporaryDirectory() as folder, ENGINES[name](folder) as urls:
            for url in urls:
                migrate.upgrade(url)
            small, large = (engine.Database(url) for url in urls)
            fill(small, SMALL)
            fill(large, options.rows)
            measure(name, small, large, options.pairs, options.calls)
            small.dispose()
            large.dispose()


if __name__ == "__main__":
    main()
