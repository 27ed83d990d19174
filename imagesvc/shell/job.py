"""Commands on jobs."""

import argparse
from typing import Any

from imagesvc.shell import command, job_wait

_LIST = (
    ("ID", "id"), ("Type", "type"), ("State", "state"), ("Phase", "phase"),
    ("Percent", "percent"), ("Image", "image_id"), ("Created", "created_at"),
)  # fmt: skip
STATES = ("ready", "running", "done", "failed", "cancelled", "dead")


class ListJobs(command.List):
    """List the project's jobs, newest first."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Filters."""
        parser = super().get_parser(prog_name)
        parser.add_argument("--state", choices=STATES)
        parser.add_argument("--type", help="type of job, for example create-servers")
        parser.add_argument("--limit", type=command.positive, help="at most this many")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """All pages up to the limit."""
        jobs = self.client.items(
            "/jobs", "jobs", parsed_args.limit, state=parsed_args.state, type=parsed_args.type
        )
        return command.table(_LIST, jobs)


class _OneJob(command.Show):
    """A command on one job that shows it."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """The job."""
        parser = super().get_parser(prog_name)
        parser.add_argument("job", help="job id")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Do it, then show the job."""
        return command.fields(self._job(parsed_args))

    def _job(self, parsed_args: argparse.Namespace) -> Any:
        raise NotImplementedError


class ShowJob(_OneJob):
    """Show one job with its steps."""

    def _job(self, parsed_args: argparse.Namespace) -> Any:
        return self.client.get(f"/jobs/{parsed_args.job}")["job"]


class CancelJob(_OneJob):
    """Ask a job to stop; what it made is undone."""

    def _job(self, parsed_args: argparse.Namespace) -> Any:
        return self.client.post(f"/jobs/{parsed_args.job}/cancel")["job"]


class RetryJob(_OneJob):
    """Run a job again that failed, died or was cancelled."""

    def _job(self, parsed_args: argparse.Namespace) -> Any:
        return self.client.post(f"/jobs/{parsed_args.job}/retry")["job"]


class WaitJob(_OneJob):
    """Wait until a job ends, with progress on stderr."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """The job and how long."""
        parser = super().get_parser(prog_name)
        parser.add_argument("--timeout", type=float, default=3600.0, metavar="SECONDS")
        return parser

    def _job(self, parsed_args: argparse.Namespace) -> Any:
        return job_wait.wait(self.client, parsed_args.job, timeout_s=parsed_args.timeout)
