"""Commands on the catalog of public images, for administrators."""

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from imagesvc.shell import command, job_wait
from imagesvc.shell.cloud import ShellError

_FAMILIES = (
    ("Family", "id"), ("Title", "title"), ("Build", "build"), ("Trust", "trust"),
    ("Image", "image_id"), ("Overdue", "overdue"), ("Off", "off"), ("Cause", "cause"),
)  # fmt: skip
_LINES = (("Family", "family"), ("Step", "text"))


class ListFamilies(command.List):
    """List the families, what is published of each, and why one is overdue."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """All of them, or those that matter."""
        parser = super().get_parser(prog_name)
        parser.add_argument(
            "--all", action="store_true", help="also those that are off and have no build"
        )
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """By id."""
        found = [
            one
            for one in self.client.get("/catalog/families")["families"]
            if parsed_args.all or one["enabled"] or one["build"] or one["overdue"]
        ]
        return command.table(_FAMILIES, found)


class ShowFamily(command.Show):
    """Show a family with its builds."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """The family."""
        parser = super().get_parser(prog_name)
        parser.add_argument("family", help="family, by id")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Builds newest first."""
        return command.fields(self.client.get(f"/catalog/families/{parsed_args.family}")["family"])


class _OfFamilies(command.List):
    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """The families."""
        parser = super().get_parser(prog_name)
        parser.add_argument("family", nargs="*", help="families, by id (default: all)")
        return parser


class PlanCatalog(_OfFamilies):
    """Say what a sync would do, a line a step; changes nothing."""

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Ask the source of each family."""
        names = parsed_args.family or [
            one["id"]
            for one in self.client.get("/catalog/families")["families"]
            if one["enabled"]
        ]  # fmt: skip
        plans = [self.client.get(f"/catalog/families/{name}/plan")["plan"] for name in names]
        return command.table(_LINES, _lines(plans))


class SyncCatalog(_OfFamilies):
    """Take what is new and publish it."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """The families, and what else may be taken."""
        parser = super().get_parser(prog_name)
        parser.add_argument("--locked", metavar="FILE", help="take exactly what a lock file names")
        parser.add_argument("--allow-downgrade", action="store_true", help="also an older build")
        parser.add_argument("--allow-weaker", action="store_true", help="also less trust")
        parser.add_argument(
            "--again", action="store_true", help="also a build that was rolled back"
        )
        command.add_wait(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Start a job a family; with --wait until the last ended."""
        names = ("allow_downgrade", "allow_weaker", "again")
        body: dict[str, Any] = {name: True for name in names if getattr(parsed_args, name)}
        if parsed_args.family:
            body["families"] = parsed_args.family
        if parsed_args.locked:
            body["lock"] = _read(parsed_args.locked)
        jobs = self.client.post("/catalog/sync", body)["jobs"]
        return _jobs(self.client, jobs, parsed_args)


class VerifyCatalog(command.List):
    """Read stored images of the catalog anew, and hold them against what their sources said."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """The images."""
        parser = super().get_parser(prog_name)
        parser.add_argument("image", nargs="*", help="images, by id (default: all of the catalog)")
        command.add_wait(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Start a job an image; with --wait until the last ended."""
        body = {"image_ids": parsed_args.image} if parsed_args.image else {}
        jobs = self.client.post("/catalog/verify", body)["jobs"]
        return _jobs(self.client, jobs, parsed_args)


class PruneCatalog(_OfFamilies):
    """Say which old images nothing needs any more, and delete them with --yes."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Whether to delete."""
        parser = super().get_parser(prog_name)
        parser.add_argument("--yes", action="store_true", help="delete them")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """A line an image."""
        wanted = parsed_args.family
        if parsed_args.yes:
            found = self.client.post("/catalog/prune", {"families": wanted} if wanted else {})
        else:
            found = self.client.get("/catalog/prune")
        rows = [row for row in _lines(found["plans"]) if row["text"] != "nothing new"]
        rows += [
            {"family": one["family"], "text": f"keep image {one['image_id']}: {one['reason']}"}
            for one in found["kept"]
        ]
        return command.table(_LINES, [row for row in rows if not wanted or row["family"] in wanted])


class RollBackFamily(command.Show):
    """Make the build before the newest of a family again; the other stays usable by id."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """The family."""
        parser = super().get_parser(prog_name)
        parser.add_argument("family", help="family, by id")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """The family as it is then."""
        found = self.client.post(f"/catalog/families/{parsed_args.family}/rollback", None)
        return command.fields(found["family"], ("id", "title", "build", "image_id"))


class LockCatalog(command.Command):
    """Print the lock file of what is published."""

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Sorted, for a git repository."""
        json.dump(self.client.get("/catalog/lock"), sys.stdout, indent=2, sort_keys=True)
        print()


def _lines(plans: list[dict[str, Any]]) -> list[dict[str, str]]:
    return [
        {"family": one["family"], "text": line.removeprefix(f"{one['family']}: ")}
        for one in plans
        for line in one["lines"]
    ]


def _jobs(client: Any, jobs: list[dict[str, Any]], parsed: argparse.Namespace) -> tuple[Any, Any]:
    """The jobs, ended if that is waited for; one that fails ends the command when all have ended."""
    ended, faults = [], []
    for job in jobs:
        try:
            if parsed.wait:
                job = job_wait.wait(client, job["id"], timeout_s=parsed.timeout)
        except ShellError as exc:  # the others are told too
            faults.append(str(exc))
        ended.append({**job, "result": _told(job.get("result"))})
    if faults:
        raise ShellError(" ".join(faults))
    columns = (("Job", "id"), ("State", "state"), ("Image", "image_id"), ("Result", "result"))
    return command.table(columns, ended)


def _told(result: Mapping[str, Any] | None) -> str:
    """What a sync did, or what a verification found, a line each."""
    if not result:
        return ""
    if "faults" in result:
        return "\n".join(map(str, result["faults"])) or "as it was published"
    done = [step["text"] for step in result.get("steps", ())] or ["nothing new"]
    return "\n".join([*done, *(f"pruned image {one}" for one in result.get("pruned", ()))])


def _read(path: str) -> Any:
    try:
        return json.loads(Path(path).read_bytes())
    except (OSError, ValueError) as exc:
        raise ShellError(f"{path} is no lock file: {exc}") from exc
