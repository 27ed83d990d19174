"""The command on the audit trail."""

import argparse
from typing import Any

from imagesvc.shell import command

_LIST = (
    ("Time", "created_at"), ("Action", "action"), ("Outcome", "outcome"),
    ("Target", "target_id"), ("Project", "project_id"), ("User", "user_id"),
    ("Request", "request_id"),
)  # fmt: skip


class ListAudit(command.List):
    """List recorded actions, newest first: one's own, and others' on one's images."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Filters."""
        parser = super().get_parser(prog_name)
        parser.add_argument("--action", help="for example image:create")
        parser.add_argument("--target", metavar="ID", help="what was acted upon")
        parser.add_argument("--limit", type=command.positive, default=100)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """All pages up to the limit."""
        events = self.client.items(
            "/audit",
            "events",
            parsed_args.limit,
            action=parsed_args.action,
            target_id=parsed_args.target,
        )
        return command.table(_LIST, events)
