"""imagesvc-manage image: whether stored bytes are still what was stored."""

import argparse
import sys
import time
from collections.abc import Callable

from imagesvc import service
from imagesvc.cmd import command_line
from imagesvc.manager import copy_mark, disk_copy, image_copy, image_scrub

PROGRESS_S = 5.0
EXIT_BAD = 1
EXIT_UNKNOWN = 2


def scrub(parsed: argparse.Namespace) -> int:
    """Hash stored images anew, and mark what is bad; 1 if a bad copy stays, 2 if one was not read."""
    conf = command_line.load(parsed)
    built = service.build(conf, monitor=False)
    repair = disk_copy.CopyRepair(built.operation, built.backends, conf.worker.upload_stale_s)
    scrubber = image_scrub.ImageScrub(
        built.database,
        built.backends,
        copy_mark.CopyMarks(built.operation),
        _print,
        _progress(),
        repair if parsed.repair else None,
    )
    try:
        verdict = scrubber.run(store_id=parsed.store, image_id=parsed.image)
    finally:
        built.close()
    print(
        f"{_so_far(verdict)}; {verdict.bad} bad, {verdict.repaired} repaired, "
        f"{verdict.unknown} not judged"
    )
    if verdict.unknown:
        return EXIT_UNKNOWN
    return EXIT_BAD if verdict.bad else 0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `scrub`."""
    parser.add_argument("--store", metavar="ID", help="only the copies in this store")
    parser.add_argument("--image", metavar="ID", help="only this image")
    parser.add_argument("--repair", action="store_true", help="replace a bad copy by a good one")


def _print(one: image_scrub.Finding) -> None:
    remedy = f"; {one.remedy}" if one.remedy else ""
    place = f"{_named(one.copy)}: disk {one.disk_index} of image {one.image_id}"
    print(f"{one.fault:<10} {place}: {one.text}{remedy}", flush=True)


def _named(copy: image_copy.Copy) -> str:
    number = f" copy {copy.number}" if copy.number else ""
    return f"{copy.store_id} {copy.key}{number}"


def _progress() -> Callable[[image_scrub.Verdict], None]:
    told = time.monotonic()

    def tell(verdict: image_scrub.Verdict) -> None:
        nonlocal told
        if time.monotonic() - told >= PROGRESS_S:
            told = time.monotonic()
            print(_so_far(verdict), file=sys.stderr)

    return tell


def _so_far(verdict: image_scrub.Verdict) -> str:
    return f"{verdict.images} images, {verdict.copies} copies, {verdict.size_bytes} bytes read"
