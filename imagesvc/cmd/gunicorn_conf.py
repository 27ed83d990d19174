"""How gunicorn serves the API: threads for hour-long bodies, narrow limits on headers.

`imagesvc-api` names this module; the numbers that operators change come from imagesvc.conf.
"""

import signal
from typing import Any

from imagesvc import opts
from imagesvc.cmd import log

# gthread, and slow clients are cut off.
worker_class = "imagesvc.cmd.gunicorn_worker.Worker"
# A worker's main loop beats while its threads move bytes, so this does not bound transfers.
timeout = 60
graceful_timeout = 30
keepalive = 75
backlog = 1024
# `sendfile` stays unset: gunicorn 27 takes any value of it, True as well, for "off".
preload_app = False
reuse_port = False
control_socket_disable = True
errorlog = "-"
accesslog = None
proc_name = "imagesvc-api"

# Request smuggling: small lines, few headers, and no header whose underscores would make it
# another one's twin. Forwarded headers are believed of nobody; see [service] public_endpoint.
limit_request_line = 4094
limit_request_fields = 100
limit_request_field_size = 8190
header_map = "drop"
forwarder_headers = ""
forwarded_allow_ips = ""


def on_starting(server: Any) -> None:
    """Give the master's own lines the configured form."""
    log.set_up(opts.load())


def post_fork(server: Any, worker: Any) -> None:
    """Send the log of each process where the configuration says.

    Until gunicorn sets up a worker's signals it has those of the master, which would keep a SIGTERM
    for a loop that does not run here: a stop that meets a newborn worker took `graceful_timeout`.
    """
    for number in (signal.SIGTERM, signal.SIGQUIT):
        signal.signal(number, signal.SIG_DFL)
    log.set_up(opts.load())
