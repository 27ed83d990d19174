"""The serial console of a server, byte for byte."""

import falcon

from imagesvc.api import media
from imagesvc.api.native import query
from imagesvc.manager import server as servers

WRITE_BYTES_MAX = 4096


class ServerConsoleResource:
    """Console log and keyboard."""

    body_bytes_max = WRITE_BYTES_MAX

    def __init__(self, manager: servers.ServerManager) -> None:
        self._servers = manager

    def on_get(self, req: falcon.Request, resp: falcon.Response, server_id: str) -> None:
        """Log from `offset`, at most 1 MiB; `X-Next-Offset` is where to go on."""
        query.known(req, {"offset", "compute_id"})
        offset = query.integer(req, "offset", 0, low=0)
        data = self._servers.console_log(
            req.context.caller, server_id, offset=offset, compute_id=query.text(req, "compute_id")
        )
        resp.content_type = "application/octet-stream"
        resp.data = data
        resp.set_header("X-Next-Offset", str(offset + len(data)))

    def on_post(self, req: falcon.Request, resp: falcon.Response, server_id: str) -> None:
        """Type the body, at most 4 KiB."""
        query.known(req, {"compute_id"})
        data = media.read(media.body(req), WRITE_BYTES_MAX)
        self._servers.console_write(
            req.context.caller, server_id, data, compute_id=query.text(req, "compute_id")
        )
        resp.status = falcon.HTTP_204
