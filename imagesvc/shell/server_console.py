"""Commands on a server's serial console."""

import argparse
import sys

from imagesvc.shell import command


class ShowConsoleLog(command.Command):
    """Print what a server wrote on its serial console, byte for byte."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """The server and where to begin."""
        parser = super().get_parser(prog_name)
        parser.add_argument("server", help="server, by id or name")
        parser.add_argument(
            "--offset", type=int, default=0, metavar="BYTES", help="leave out this many bytes"
        )
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Read piece by piece to the present end."""
        server_id = self.client.find_server(parsed_args.server)
        offset = parsed_args.offset
        while True:
            answer = self.client.get_bytes(f"/servers/{server_id}/console", offset=offset)
            sys.stdout.buffer.write(answer.content)
            if not answer.content:
                break
            offset = int(answer.headers["X-Next-Offset"])
        sys.stdout.buffer.flush()


class WriteConsole(command.Command):
    """Type a line on a server's serial console."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """The server and the text."""
        parser = super().get_parser(prog_name)
        parser.add_argument("server", help="server, by id or name")
        parser.add_argument("text", help="what to type; - reads it from standard input as it is")
        parser.add_argument(
            "--no-newline", action="store_true", help="do not add a line end to the text"
        )
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Send it in one piece."""
        if parsed_args.text == "-":
            data = sys.stdin.buffer.read()
        else:
            data = parsed_args.text.encode() + (b"" if parsed_args.no_newline else b"\n")
        server_id = self.client.find_server(parsed_args.server)
        self.client.post_bytes(f"/servers/{server_id}/console", data)
