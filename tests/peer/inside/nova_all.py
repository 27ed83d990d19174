"""All of Nova, Placement and an empty Neutron in one process, run by the Python of Nova.

Arguments: the ports of Nova, Placement and Neutron, then Nova's own. Writes `up` when it serves.
Placement finds its configuration by OS_PLACEMENT_CONFIG_DIR.
"""

import json
import sys
import threading
import time
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from nova import monkey_patch

monkey_patch.patch(backend="threading")

# Only after the line above, as Nova's own entry points do.
import file_virt  # noqa: E402
import nova.conf  # noqa: E402
import os_brick  # noqa: E402
import os_vif  # noqa: E402
from nova import config, context, objects, service  # noqa: E402
from nova.api.openstack import wsgi_app  # noqa: E402
from nova.compute import rpcapi as compute  # noqa: E402
from nova.conductor import rpcapi as conductor  # noqa: E402
from nova.objects import host_mapping  # noqa: E402
from nova.scheduler import rpcapi as scheduler  # noqa: E402
from oslo_log import log as logging  # noqa: E402
from oslo_privsep import priv_context  # noqa: E402
from oslo_service import opts as service_opts  # noqa: E402
from paste import deploy  # noqa: E402
from placement.wsgi import api as placement_api  # noqa: E402
from sqlalchemy import event  # noqa: E402
from sqlalchemy.engine import Engine  # noqa: E402

CONF = nova.conf.CONF
MAPPING_TRIES = 30


class Server(ThreadingMixIn, WSGIServer):
    """A thread a connection."""

    daemon_threads = True


class Handler(WSGIRequestHandler):
    """Silent: Nova has a log of its own."""

    def log_message(self, *words):
        """Nothing."""


def serve(port, app):
    """An application on a port of 127.0.0.1, in threads."""
    server = make_server("127.0.0.1", int(port), app, Server, Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()


def one_at_a_time(app):
    """An application that answers one request after the other.

    Placement, where two claims meet, reads what the other wrote beside its own open transaction:
    on SQLite it would wait for itself, and Nova would find no valid host.
    """
    lock = threading.Lock()

    def answer(environ, start_response):
        with lock:
            return list(app(environ, start_response))

    return answer


def neutron(environ, start_response):
    """A Neutron with nothing in it: the servers of the tests have no networks."""
    start_response("200 OK", [("Content-Type", "application/json")])
    noun = environ["PATH_INFO"].rstrip("/").rpartition("/")[2].replace("-", "_")
    return [json.dumps({noun: []}).encode()]


@event.listens_for(Engine, "before_cursor_execute", retval=True)
def immediate(conn, cursor, statement, parameters, execution, many):
    """Take SQLite's write lock at the start of a transaction.

    oslo.db begins them deferred: one that reads and then writes beside another fails at once with
    "database is locked", whatever the time-out, as servers of one request do.
    """
    return ("BEGIN IMMEDIATE" if statement == "BEGIN" else statement), parameters


def start_services():
    """Conductor, scheduler and compute; the last needs the first."""
    started = [
        service.Service.create(binary="nova-conductor", topic=conductor.RPC_TOPIC),
        service.Service.create(binary="nova-scheduler", topic=scheduler.RPC_TOPIC),
        service.Service.create(
            binary="nova-compute", topic=compute.RPC_TOPIC, topic_alt=compute.RPC_TOPIC_ALT
        ),
    ]
    for one in started:
        one.start()
    return started


def map_host():
    """Let the scheduler know the one host."""
    for left in reversed(range(MAPPING_TRIES)):
        if host_mapping.discover_hosts(context.get_admin_context()):
            return
        if left:
            time.sleep(1)
    raise SystemExit("Nova did not see its own host")


def main():
    """Start all of it and serve until killed."""
    nova_port, placement_port, neutron_port = sys.argv[1:4]
    sys.argv[1:4] = []
    serve(neutron_port, neutron)
    serve(placement_port, one_at_a_time(placement_api.application))
    sys.modules["nova.virt.file_virt"] = file_virt
    config.parse_args(sys.argv)
    logging.setup(CONF, "nova")
    objects.register_all()
    service_opts.register_service_opts(CONF)
    priv_context.init(root_helper=["sudo"])
    os_brick.setup(CONF)
    os_vif.initialize()
    started = start_services()
    wsgi_app._setup_service(CONF.host, "osapi_compute")
    serve(nova_port, deploy.loadapp(f"config:{CONF.wsgi.api_paste_config}", name="osapi_compute"))
    map_host()
    print("up", len(started), flush=True)
    threading.Event().wait()


main()
