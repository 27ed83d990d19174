"""The WSGI app on SQLite and a file store."""

import dataclasses

import pytest

from imagesvc import opts
from imagesvc import service as services
from imagesvc.api import app as door
from imagesvc.db import migrate
from tests.api.caller import Caller
from tests.api.identity_driver import TokenIdentity
