"""imagesvc-manage catalog: public images, what is new, and what is not needed any more."""

import argparse
import contextlib
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from imagesvc import context, errors, service
from imagesvc.cmd import command_line, manage_catalog_source
from imagesvc.domain import catalog_lock
from imagesvc.domain.catalog import Allowance
from imagesvc.domain.catalog_lock import LockedFamily
from imagesvc.domain.catalog_plan import FamilyPlan
from imagesvc.domain.job import Job
from imagesvc.domain.state import JOB_ENDED, JobState

PAUSE_S = 0.5
UNCLAIMED_S = 30.0
EXIT_FAILED = 1
_ROW = "{:<28} {:<20} {:<8} {:<36} {}"


def list_all(parsed: argparse.Namespace) -> int:
    """Show each family, the build that is published, and whether it is overdue; 1 if one is.

    What is off and has no build is left out without --all.
    """
    with _service(parsed) as built:
        found = [
            one
            for one in built.catalog.families.list(_caller())
            if parsed.all or one.published or one.overdue or one.family.enabled
        ]
    print(_ROW.format("FAMILY", "BUILD", "TRUST", "IMAGE", "OVERDUE"))
    for one in found:
        release = one.published.release if one.published else None
        image_id = one.published.image_id if one.published else "-"
        words = (release.build, release.trust) if release else ("-", "-")
        late = one.overdue or (f"off: {one.family.off}" if one.family.off else "-")
        print(_ROW.format(one.family.id, *words, image_id, late))
    return EXIT_FAILED if any(one.overdue for one in found) else 0


def plan(parsed: argparse.Namespace) -> int:
    """Say what a sync would do, a line a step, and change nothing; 1 if a family is refused."""
    with _service(parsed) as built:
        locked, caller = _locked(parsed), _caller()
        plans = [
            built.catalog.families.plan(caller, name, _allowed(parsed), (locked or {}).get(name))
            for name in _names(parsed, built, locked)
        ]
    _print(plans)
    return EXIT_FAILED if any(one.cause for one in plans) else 0


def sync(parsed: argparse.Namespace) -> int:
    """Take what is new and publish it: jobs for the workers, which must run; 1 if one fails."""
    with _service(parsed) as built:
        locked = _locked(parsed)
        names = _names(parsed, built, locked)
        jobs = built.catalog.families.sync(_caller(), names, _allowed(parsed), locked)
        if parsed.no_wait:
            for job in jobs:
                print(f"{job.args['family']}: job {job.id}")
            return 0
        return _follow(built, jobs, _synced)


def verify(parsed: argparse.Namespace) -> int:
    """Read stored images and the kept lists anew, by jobs for the workers; 1 if one is not as it was."""
    with _service(parsed) as built:
        jobs = built.catalog.families.verify(_caller(), parsed.image)
        return _follow(built, jobs, _verified)


def prune(parsed: argparse.Namespace) -> int:
    """Say which old images nothing needs any more, and delete them with --yes."""
    with _service(parsed) as built:
        act = built.catalog.pruner.prune if parsed.yes else built.catalog.pruner.plan
        plans, kept = act(_caller(), parsed.family)
    _print(one for one in plans if one.steps)
    for one in kept:
        print(f"{one.family}: keep image {one.image_id}: {one.reason}")
    if not parsed.yes and any(one.steps for one in plans):
        print("nothing was deleted: give --yes")
    return 0


def rollback(parsed: argparse.Namespace) -> int:
    """Make the build before the newest of a family again; the other stays usable by id."""
    with _service(parsed) as built:
        before, after = built.catalog.families.rollback(_caller(), parsed.family)
    print(
        f"{parsed.family}: build {after.release.build} (image {after.image_id}) instead of "
        f"{before.release.build} (image {before.image_id})"
    )
    return 0


def lock(parsed: argparse.Namespace) -> int:
    """Print the lock file of what is published, for `plan` and `sync` with --locked elsewhere."""
    with _service(parsed) as built:
        print(built.catalog.families.lock(_caller()), end="")
    return 0


def add_parsers(
    add: Callable[..., Mapping[str, argparse.ArgumentParser]],
    nouns: "argparse._SubParsersAction[argparse.ArgumentParser]",
) -> None:
    """Add the noun `catalog` with its verbs."""
    acts = {
        "list": list_all, "plan": plan, "sync": sync, "verify": verify, "prune": prune,
        "rollback": rollback, "lock": lock, "check": manage_catalog_source.check,
        "keys": manage_catalog_source.keys, "bundle": manage_catalog_source.bundle,
    }  # fmt: skip
    verbs = add(nouns, "catalog", acts)
    for name in ("plan", "sync", "prune", "check", "bundle"):
        verbs[name].add_argument("family", nargs="*", help="default: every family that is enabled")
    for name in ("plan", "sync"):
        _add_choices(verbs[name])
    verbs["sync"].add_argument("--no-wait", action="store_true", help="only hand the jobs in")
    verbs["list"].add_argument("--all", action="store_true", help="also what is off, and why")
    verbs["verify"].add_argument("image", nargs="*", help="default: every image of the catalog")
    verbs["prune"].add_argument("--yes", action="store_true", help="delete them")
    verbs["rollback"].add_argument("family")
    verbs["bundle"].add_argument(
        "--out", required=True, metavar="DIR", help="folder of the mirror; it is made"
    )
    verbs["keys"].add_argument("what", choices=["list", "check"], help="list: all of them")


def _add_choices(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--locked",
        metavar="FILE",
        help="take exactly what this lock file names, whatever is newest",
    )
    parser.add_argument(
        "--allow-downgrade", action="store_true", help="also an older build, or an older list"
    )
    parser.add_argument(
        "--allow-weaker", action="store_true", help="also a build that is trusted less than before"
    )
    parser.add_argument("--again", action="store_true", help="also a build that was rolled back")


def _service(parsed: argparse.Namespace) -> contextlib.closing[service.Service]:
    return contextlib.closing(service.build(command_line.load(parsed), monitor=False))


def _caller() -> context.RequestContext:
    return context.service_context()


def _allowed(parsed: argparse.Namespace) -> Allowance:
    return Allowance(parsed.allow_downgrade, parsed.allow_weaker, parsed.again)


def _locked(parsed: argparse.Namespace) -> Mapping[str, LockedFamily] | None:
    if parsed.locked is None:
        return None
    try:
        with Path(parsed.locked).open("rb") as file:
            data = file.read(catalog_lock.FILE_BYTES_MAX + 1)
    except OSError as exc:  # the operator's file, told to the operator
        raise errors.InvalidRequest(f"{parsed.locked} cannot be read: {exc.strerror}.") from exc
    return catalog_lock.parse(data)


def _names(
    parsed: argparse.Namespace,
    built: service.Service,
    locked: Mapping[str, LockedFamily] | None,
) -> Sequence[str]:
    names: Sequence[str] = parsed.family
    if not names:
        found = built.catalog.families.list(_caller())
        names = [one.family.id for one in found if one.family.enabled]
    return names if locked is None else [name for name in names if name in locked]


def _print(plans: Iterable[FamilyPlan]) -> None:
    for one in plans:
        for line in one.lines:
            print(line)


def _follow(
    built: service.Service, jobs: Sequence[Job], told: Callable[[Job], Iterable[str]]
) -> int:
    """Wait until all ended; what became of each is told as soon as it did."""
    waiting, failed, begun = [job.id for job in jobs], 0, time.monotonic()
    warned = False
    while waiting:
        for job_id in tuple(waiting):
            job = built.jobs.get(_caller(), job_id)
            warned = warned or job.started_at is not None
            if job.state in JOB_ENDED:
                waiting.remove(job_id)
                failed += job.state != JobState.DONE
                for line in told(job):
                    print(line, flush=True)
        if not warned and time.monotonic() - begun > UNCLAIMED_S:
            print("no worker takes the jobs: is imagesvc-worker running?", file=sys.stderr)
            warned = True
        if waiting:
            time.sleep(PAUSE_S)
    return EXIT_FAILED if failed else 0


def _synced(job: Job) -> Iterator[str]:
    family = job.args["family"]
    if job.state != JobState.DONE:
        yield f"{family}: {job.state}: {job.error_text}"
        return
    if not job.result["steps"]:
        yield f"{family}: nothing new"
    yield from (f"{family}: {step['text']}" for step in job.result["steps"])
    yield from (f"{family}: pruned image {one}" for one in job.result.get("pruned", ()))


def _verified(job: Job) -> Iterator[str]:
    good = job.state == JobState.DONE
    yield f"image {job.image_id}: {'good' if good else job.error_text}"
