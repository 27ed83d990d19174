"""One visit to a server's QMP socket: open, act, close. The caller holds the folder's lock.

QMP as in the QEMU documentation, docs/interop/qmp-spec; commands as in the QMP reference.
"""

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from qemu import qmp

from imagesvc.interface import errors

Execute = Callable[..., Coroutine[Any, Any, Any]]
# What `execute` raises inside a visit when QEMU answers a command with an error.
Refused = qmp.ExecuteError


class CommandRefused(errors.DriverError):
    """QEMU answered a command with an error."""


def visit(
    socket: Path, act: Callable[[Execute], Coroutine[Any, Any, Any]], *, timeout_s: float = 20
) -> Any:
    """Run `act(execute)`, `execute(command, **arguments)`, and return what it returns.

    Raises Unavailable if nobody listens, Timeout, CommandRefused.
    """
    return asyncio.run(_visit(socket, act, timeout_s))


def command(socket: Path, name: str, *, timeout_s: float = 20, **arguments: Any) -> Any:
    """Run one command."""

    async def act(execute: Execute) -> Any:
        return await execute(name, **arguments)

    return visit(socket, act, timeout_s=timeout_s)


async def _visit(
    socket: Path, act: Callable[[Execute], Coroutine[Any, Any, Any]], timeout_s: float
) -> Any:
    client = qmp.QMPClient("imagesvc")
    client.logger.setLevel("CRITICAL")

    async def execute(name: str, **arguments: Any) -> Any:
        renamed = {key.replace("_", "-"): value for key, value in arguments.items()}
        return await client.execute(name, renamed or None)

    try:
        async with asyncio.timeout(timeout_s):
            await client.connect(str(socket))
            return await act(execute)
    except TimeoutError as exc:
        raise errors.Timeout("The server's process does not answer.", f"QMP {socket}") from exc
    except qmp.ExecuteError as exc:
        raise CommandRefused("The server's process refused the action.", str(exc)) from exc
    except (qmp.QMPError, OSError) as exc:
        raise errors.Unavailable(
            "The server's process cannot be reached.", f"QMP {socket}: {exc}"
        ) from exc
    finally:
        await _leave(client)


async def _leave(client: qmp.QMPClient) -> None:
    """Close the connection; that QEMU closed it first (after `quit`) is no error here."""
    try:
        await client.disconnect()
    except (qmp.QMPError, OSError, EOFError):
        return
