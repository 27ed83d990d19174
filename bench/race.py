"""All rows in one run, peers by turns with the service, and a table at the end.

    python bench/race.py [ROW ...] [--quick] [--mib N] [--pairs N] [--seconds S]

ROW is U1, U2, U3, U5, D1, D2, D3, D4, S1, S2, M1, M2, M3, M4, M5, C1, C2, C3, E1, E2, E3, E4 or R1;
all without. S1 and S2 are U1 and a download by 8 clients with the bytes of both in one S3 server. Exit status
1 if a row is below its floor, 2 if one is inconclusive.
"""

import argparse
import contextlib
import functools
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import download
import encrypted
import hello
import job
import list_page
import metadata
import peer_glance
import peer_nginx
import population
import ratio
import region
import running
import stalled
import transfer

from imagesvc.db import engine, migrate
from tests import s3_server
from tests.postgresql_server import PostgresqlServer

# 64 clients read at a time, and one process may get most of them.
WIDE = "threads = 80"


class Track:
    """The parties of one run, each started when a row first needs it."""

    def __init__(self, asked: argparse.Namespace) -> None:
        self.pairs = asked.pairs
        self.mib = asked.mib
        self.images = asked.images
        self.ranges = asked.ranges
        self.calls = asked.calls
        self.keys = asked.keys
        self.pace = metadata.Pace(asked.pairs, asked.seconds)
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> "Track":
        self.folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory()))
        self.server = PostgresqlServer()
        self._stack.callback(self.server.stop)
        self.server.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stack.close()

    @functools.cached_property
    def file(self) -> Path:
        """Random bytes, in the page cache."""
        return transfer.make_file(self.folder, self.mib)

    @functools.cached_property
    def part(self) -> Path:
        """A smaller file, for many clients."""
        return transfer.make_file(self.folder, max(16, self.mib // 4))

    @functools.cached_property
    def ours(self) -> running.Party:
        """The service in its default form."""
        return self._stack.enter_context(running.service(self.server.create()))

    @functools.cached_property
    def glance(self) -> running.Party:
        """Glance likewise."""
        return self._glance("")

    @functools.cached_property
    def wide(self) -> running.Party:
        """The service with a thread for each of many readers."""
        return self._stack.enter_context(running.service(self.server.create(), WIDE))

    @functools.cached_property
    def nginx(self) -> running.Party:
        """Static files."""
        return self._stack.enter_context(peer_nginx.nginx())

    @functools.cached_property
    def sha256(self) -> tuple[running.Party, running.Party]:
        """Both with SHA-256; Glance keeps its MD5 besides."""
        settings = "hashing_algorithm = sha256\n"
        url = self.server.create()
        ours = self._stack.enter_context(running.service(url, f"{settings}legacy_md5 = false"))
        return ours, self._glance(settings)

    @functools.cached_property
    def crowded(self) -> tuple[running.Party, running.Party, str]:
        """Both with many images, and the URL of our database."""
        url, other = self.server.create(), self.server.create()
        ours = self._stack.enter_context(running.service(url))
        project_id = ours.project_id
        peer = self._stack.enter_context(peer_glance.glance(other, project_id))
        population.fill_ours(url, self.images, project_id)
        population.fill_glance(other, self.images, project_id)
        return ours, peer, url

    @functools.cached_property
    def hello(self) -> running.Party:
        """A bare falcon."""
        return self._stack.enter_context(hello.hello(self.crowded[0]))

    @functools.cached_property
    def working(self) -> running.Party:
        """The service with a worker, which fetches from nginx."""
        port = self.nginx.port
        return self._stack.enter_context(running.service(self.server.create(), fetch_port=port))

    @functools.cached_property
    def sealed(self) -> running.Party:
        """The service with a worker and nothing else."""
        return self._stack.enter_context(running.service(self.server.create(), fetch_port=80))

    @functools.cached_property
    def regions(self) -> tuple[running.Party, running.Party]:
        """Two of it, of which the first puts images into the second."""
        urls = (self.server.create(), self.server.create())
        return self._stack.enter_context(region.pair(urls))

    @functools.cached_property
    def s3(self) -> tuple[running.Party, running.Party]:
        """Both with their bytes in one S3 server."""
        place = self._stack.enter_context(s3_server.shared(self.folder))
        ours = self._stack.enter_context(running.service(self.server.create(), place=place))
        peer = peer_glance.glance(self.server.create(), "b" * 32, place=place)
        return ours, self._stack.enter_context(peer)

    def _glance(self, settings: str) -> running.Party:
        url, project_id = self.server.create(), "b" * 32
        return self._stack.enter_context(peer_glance.glance(url, project_id, settings))

    def source(self, party: running.Party, file: Path) -> download.Source:
        """The file as served by a party."""
        if party is self.nginx:
            path = peer_nginx.put(party, file)
        else:
            path = f"{transfer.upload(party, file)}/file"
        return download.Source(party, path, file.stat().st_size)


def _u1(track: Track) -> list[ratio.Outcome]:
    goals = {"cpu_goal": ratio.Goal(1.2, 1.1), "wall_goal": ratio.Goal(2.2, 1.6)}
    return transfer.against_glance("U1", track.ours, track.glance, track.file, track.pairs, **goals)


def _u3(track: Track) -> list[ratio.Outcome]:
    goal = ratio.Goal(2.2, 1.7)
    return transfer.against_glance("U3", *track.sha256, track.file, track.pairs, cpu_goal=goal)


def _d1(track: Track) -> list[ratio.Outcome]:
    sources = [track.source(party, track.file) for party in (track.ours, track.nginx)]
    return download.one(*sources, track.pairs)


def _d2(track: Track) -> list[ratio.Outcome]:
    parties = (track.wide, track.nginx, track.glance)
    return download.many(*(track.source(party, track.part) for party in parties), track.pairs)


def _d3(track: Track) -> list[ratio.Outcome]:
    sources = [track.source(party, track.part) for party in (track.ours, track.nginx)]
    return download.ranges(*sources, track.pairs, track.ranges)


def _d4(track: Track) -> list[ratio.Outcome]:
    path = track.source(track.ours, track.part).path
    return stalled.stalled(track.ours, path, track.pairs, track.calls)


def _s1(track: Track) -> list[ratio.Outcome]:
    goals = {"cpu_goal": ratio.Goal(1.2, 1.1), "wall_goal": ratio.Goal(2.2, 1.6)}
    return transfer.against_glance("S1", *track.s3, track.file, track.pairs, **goals)


def _s2(track: Track) -> list[ratio.Outcome]:
    sources = [track.source(party, track.part) for party in track.s3]
    return download.from_store(*sources, track.pairs)


def _c1(track: Track) -> list[ratio.Outcome]:
    path = job.make_qcow2(track.folder, track.mib)
    return job.conversion(track.working, track.nginx, path, track.pairs)


def _m4(track: Track) -> list[ratio.Outcome]:
    small_url = track.server.create()
    migrate.upgrade(small_url)
    ours, _, large_url = track.crowded
    population.fill_ours(small_url, list_page.SMALL, ours.project_id)
    small, large = engine.Database(small_url), engine.Database(large_url)
    found = list_page.measure("postgresql", small, large, track.pairs, 20)
    small.dispose()
    large.dispose()
    return found


ROWS: dict[str, Callable[[Track], list[ratio.Outcome]]] = {
    "U1": _u1,
    "U2": lambda track: transfer.against_hashlib(track.ours, track.file, track.pairs),
    "U3": _u3,
    "U5": lambda track: transfer.zeros(track.ours, track.folder, track.mib),
    "D1": _d1,
    "D2": _d2,
    "D3": _d3,
    "D4": _d4,
    "S1": _s1,
    "S2": _s2,
    "M1": lambda track: metadata.show(*track.crowded[:2], track.hello, track.pace),
    "M2": lambda track: metadata.pages(*track.crowded[:2], track.pace),
    "M3": lambda track: metadata.changes(*track.crowded[:2], track.pace),
    "M4": _m4,
    "M5": lambda track: metadata.memory(*track.crowded[:2]),
    "C1": _c1,
    "C2": lambda track: job.fetching(track.working, track.nginx, track.file, track.pairs),
    "C3": lambda track: job.copying(track.working, track.file, track.pairs),
    "E1": lambda track: encrypted.uploads(track.sealed, track.file, track.pairs),
    "E2": lambda track: encrypted.downloads(track.sealed, track.file, track.pairs),
    "E3": lambda track: encrypted.ranges(track.sealed, track.file, track.calls),
    "E4": lambda track: encrypted.rewrap(track.sealed, track.part, track.keys),
    "R1": lambda track: region.copies(*track.regions, track.file, track.pairs),
}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("rows", nargs="*", metavar="ROW", type=str.upper)
    parser.add_argument("--quick", action="store_true", help="small files, short samples")
    parser.add_argument("--mib", type=int, help="size of the file in MiB (1024; 128)")
    parser.add_argument("--pairs", type=int, help="pairs of samples of each row (5; 3)")
    parser.add_argument("--seconds", type=float, help="seconds of a sample of M rows (3; 1)")
    parser.add_argument("--images", type=int, default=100_000, help="images of the M rows")
    asked = parser.parse_args()
    if unknown := set(asked.rows) - set(ROWS):
        parser.error(f"unknown row {', '.join(sorted(unknown))}")
    asked.mib = asked.mib or (128 if asked.quick else 1024)
    asked.pairs = asked.pairs or (3 if asked.quick else 5)
    asked.seconds = asked.seconds or (1.0 if asked.quick else 3.0)
    asked.ranges = 1_000 if asked.quick else 10_000
    asked.keys = 1_000 if asked.quick else 10_000
    asked.calls = 100 if asked.quick else 500
    return asked


def main() -> int:
    """Run the rows that were asked for."""
    asked = _arguments()
    outcomes: list[ratio.Outcome] = []
    try:
        with Track(asked) as track:
            for row in asked.rows or ROWS:
                outcomes += ROWS[row](track)
    finally:  # what was found stands, whatever ended the run
        print("\n" + ratio.table(outcomes))
    verdicts = {outcome.verdict() for outcome in outcomes}
    return 1 if "below floor" in verdicts else 2 if "inconclusive" in verdicts else 0


if __name__ == "__main__":
    sys.exit(main())
