"""imagesvc-manage catalog check, keys and bundle: what the sources of public images say, and by whom."""

import argparse
import contextlib
from pathlib import Path
from urllib.parse import urlsplit

from imagesvc import context, errors, service
from imagesvc.cmd import command_line
from imagesvc.domain.catalog_plan import FamilyPlan
from imagesvc.manager.catalog import FamilyDetail

EXIT_FAULT, EXIT_UPDATES, EXIT_BROKEN = 1, 3, 4
_KEY = "{:<20} {:<42} {:<12} {}"


def check(parsed: argparse.Namespace) -> int:
    """Read and verify the lists alone, and write nothing; 3 if there are updates, 4 if a source is broken."""
    caller = context.service_context()
    with contextlib.closing(service.build(command_line.load(parsed), monitor=False)) as built:
        families = built.catalog.families
        found = families.list(caller)
        broken = [one for one in found if one.family.is_faulty and not parsed.family]
        names = parsed.family or [one.family.id for one in found if one.family.enabled]
        plans = []
        for name in names:
            plans.append(families.plan(caller, name))
            print(_said(plans[-1]), flush=True)
    for one in broken:
        print(_faulty(one))
    if broken or any(one.cause for one in plans):
        return EXIT_BROKEN
    return EXIT_UPDATES if any(one.steps for one in plans) else 0


def keys(parsed: argparse.Namespace) -> int:
    """Show the keys of publishers, when they expire and what is wrong; 1 with `check` if a needed one is."""
    with contextlib.closing(service.build(command_line.load(parsed), monitor=False)) as built:
        found = built.catalog.keys.list(context.service_context())
    is_check = parsed.what == "check"
    shown = [one for one in found if one.is_needed] if is_check else list(found)
    print(_KEY.format("KEY", "FINGERPRINT", "EXPIRES", "STATE"))
    for one in shown:
        until = f"{one.expires_at:%Y-%m-%d}" if one.expires_at else "-"
        state = one.fault or one.warning or "good"
        print(_KEY.format(one.id, one.fingerprint or "-", until, state))
    wrong = any(one.fault or one.warning for one in shown)
    return EXIT_FAULT if is_check and wrong else 0


def bundle(parsed: argparse.Namespace) -> int:
    """Fetch the newest builds into a folder that is a mirror for a site without network; 1 if one fails."""
    caller, folder = context.service_context(), Path(parsed.out)
    failed, hosts = False, set()
    with contextlib.closing(service.build(command_line.load(parsed), monitor=False)) as built:
        found = built.catalog.families.list(caller)
        for name in parsed.family or [one.family.id for one in found if one.family.enabled]:
            try:
                done = built.catalog.bundler.write(caller, name, folder)
            except (errors.CatalogRefused, errors.FetchFailed, errors.TooLarge) as exc:
                failed = True  # the others are bundled all the same
                print(f"{name}: failed: {getattr(exc, 'operator_message', '') or exc}", flush=True)
                continue
            except OSError as exc:  # the operator's folder, told to the operator
                raise errors.InvalidRequest(f"{folder} cannot be written: {exc.strerror}.") from exc
            if done is not None:
                hosts.add(urlsplit(done.release.url).netloc)
                print(f"{name}: build {done.release.build}, {done.fetched_bytes} bytes", flush=True)
    if hosts:
        mirrors = (f"https://{host}/ -> http://MIRROR/{host}/" for host in sorted(hosts))
        print(f"mirror_map = {', '.join(mirrors)}")
    return EXIT_FAULT if failed else 0


def _said(plan: FamilyPlan) -> str:
    if plan.cause is not None:
        return f"{plan.family}: broken: {plan.cause}"
    if not plan.steps:
        return f"{plan.family}: nothing new"
    first = plan.steps[0]
    return f"{plan.family}: {first.subject}: {first.reason}"


def _faulty(detail: FamilyDetail) -> str:
    return f"{detail.family.id}: broken: {detail.family.off}"
