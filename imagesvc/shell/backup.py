"""Commands on backups of servers."""

import argparse
from typing import Any

from imagesvc.shell import command, job_wait

_LIST = (
    ("ID", "id"), ("Name", "name"), ("Server", "server_id"), ("Bytes", "size_bytes"),
    ("Consistency", "consistency"), ("Created", "created_at"),
)  # fmt: skip
_JOB = (("Job", "id"), ("Type", "type"), ("State", "state"))
_SERVERS = (("Server", "server_id"), ("Error", "error"))


class CreateBackup(command.Show):
    """Back all disks of a server up, as they are at one instant."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """The server and the name."""
        parser = super().get_parser(prog_name)
        parser.add_argument("server", help="server, by id or name")
        parser.add_argument("--name", required=True, help="name of the backup")
        parser.add_argument(
            "--quiesce", action="store_true",
            help="freeze the file systems in the guest at that instant, if its agent answers",
        )  # fmt: skip
        command.add_wait(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Start the job; with --wait the backup that it made, else the job."""
        body: dict[str, Any] = {
            "name": parsed_args.name, "server_id": self.client.find_server(parsed_args.server)
        }  # fmt: skip
        if parsed_args.quiesce:
            body["quiesce"] = True
        job = self.client.post("/backups", body, idempotent=True)["job"]
        if not parsed_args.wait:
            return command.fields({"job_id": job["id"], "state": job["state"]})
        job = job_wait.wait(self.client, job["id"], timeout_s=parsed_args.timeout)
        found = self.client.get(f"/backups/{job['result']['backup_id']}")
        return command.fields(found["backup"])


class ListBackups(command.List):
    """List the project's backups."""

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """All pages."""
        return command.table(_LIST, self.client.items("/backups", "backups"))


class ShowBackup(command.Show):
    """Show one backup."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """The backup."""
        parser = super().get_parser(prog_name)
        parser.add_argument("backup", help="backup, by id or name")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Its fields."""
        backup_id = self.client.find("backup", parsed_args.backup)
        return command.fields(self.client.get(f"/backups/{backup_id}")["backup"])


class DeleteBackup(command.List):
    """Remove backups; one that a job reads is refused."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """The backups."""
        parser = super().get_parser(prog_name)
        parser.add_argument("backups", nargs="+", metavar="backup", help="backup, by id or name")
        command.add_wait(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Each in turn; the first failure ends the command. With --wait until they are gone."""
        jobs = []
        for name in parsed_args.backups:
            job = self.client.delete(f"/backups/{self.client.find('backup', name)}")["job"]
            if parsed_args.wait:
                job = job_wait.wait(self.client, job["id"], timeout_s=parsed_args.timeout)
            jobs.append(job)
        return command.table(_JOB, jobs)


class RestoreBackup(command.List):
    """Make a new server of a backup, with all its disks."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """The backup, and the server to make."""
        parser = super().get_parser(prog_name)
        parser.add_argument("backup", help="backup, by id or name")
        parser.add_argument("name", help="name of the new server")
        parser.add_argument("--memory", type=command.positive, metavar="MIB", help="memory in MiB")
        parser.add_argument("--vcpus", type=command.positive, help="processors")
        parser.add_argument(
            "--compute", metavar="ID", help="compute backend (default: the default)"
        )
        command.add_wait(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Start the job; with --wait the server that it made, else the job."""
        given = {
            "memory_mib": parsed_args.memory, "vcpus": parsed_args.vcpus,
            "compute_id": parsed_args.compute,
        }  # fmt: skip
        body = {key: value for key, value in given.items() if value is not None}
        backup_id = self.client.find("backup", parsed_args.backup)
        body["name"] = parsed_args.name
        job = self.client.post(f"/backups/{backup_id}/restore", body, idempotent=True)["job"]
        if not parsed_args.wait:
            return command.table(_JOB, [job])
        job = job_wait.wait(self.client, job["id"], timeout_s=parsed_args.timeout)
        return command.table(_SERVERS, job["result"]["servers"])
