"""API, scheduler and volume service of Cinder in one process, run by the Python of Cinder.

One process, for the messages between them stay in its memory.
"""

import sys

from cinder import monkey_patch

monkey_patch.patch()

# Only after the line above, as Cinder's own entry points do.
import os_brick  # noqa: E402
from cinder import coordination, objects, rpc, service, utils, version  # noqa: E402
from cinder.common import config, constants  # noqa: E402
from oslo_config import cfg  # noqa: E402
from oslo_log import log as logging  # noqa: E402
from oslo_privsep import priv_context  # noqa: E402
from oslo_service import service as oslo_service  # noqa: E402

CONF = cfg.CONF


def main():
    """Start all of it and serve until killed."""
    objects.register_all()
    CONF(sys.argv[1:], project="cinder", version=version.version_string())
    config.set_middleware_defaults()
    logging.setup(CONF, "cinder")
    utils.monkey_patch()
    priv_context.init(root_helper=[])
    os_brick.setup(CONF)
    coordination.COORDINATOR.start()
    rpc.init(CONF)
    launcher = oslo_service.ServiceLauncher(CONF)
    launcher.launch_service(service.Service.create(binary="cinder-scheduler"))
    for backend in CONF.enabled_backends:
        CONF.register_opt(cfg.StrOpt("backend_host"), group=backend)
        volume = service.Service.create(
            host=f"{CONF.host}@{backend}",
            service_name=backend,
            binary=constants.VOLUME_BINARY,
            coordination=True,
        )
        launcher.launch_service(volume)
    launcher.launch_service(service.WSGIService("osapi_volume"))
    launcher.wait()


main()
