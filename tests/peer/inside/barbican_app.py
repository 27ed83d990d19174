"""Barbican's API as a WSGI application; gunicorn's own arguments are hidden from it.

BARBICAN_FOLDER holds `barbican.conf` and `paste.ini`.
"""

import os
import sys

folder = os.environ["BARBICAN_FOLDER"]
sys.argv = ["barbican", "--config-file", f"{folder}/barbican.conf"]

from barbican.common import config  # noqa: E402
from paste import deploy  # noqa: E402

config.CONF(sys.argv[1:], project="barbican")
application = deploy.loadapp(f"config:{folder}/paste.ini", name="main")
