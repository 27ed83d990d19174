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
        target = parser.add_mutually_exclusive_group()
        target.add_argument("--target", metavar="ID", help="what was acted upon")
        target.add_argument("--image", metavar="IMAGE", help="the same, an image by name or id")
        parser.add_argument("--project", metavar="ID", help="who acted")
        parser.add_argument("--user", metavar="ID", help="who acted")
        parser.add_argument("--outcome", choices=("success", "denied", "failure"))
        parser.add_argument("--since", metavar="TIME", help="ISO 8601; UTC without a zone")
        parser.add_argument("--until", metavar="TIME", help="ISO 8601, not included")
        parser.add_argument("--limit", type=command.positive, default=100)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """All pages up to the limit."""
        image = parsed_args.image and self.client.find_image(parsed_args.image)
        events = self.client.items(
            "/audit",
            "events",
            parsed_args.limit,
            action=parsed_args.action,
            target_id=image or parsed_args.target,
            project_id=parsed_args.project,
            user_id=parsed_args.user,
            outcome=parsed_args.outcome,
            since=parsed_args.since,
            until=parsed_args.until,
        )
        return command.table(_LIST, events)
