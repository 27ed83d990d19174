"""The object that gunicorn loads: `imagesvc.wsgi:application()`, after the fork."""

from typing import Any

from imagesvc import opts, service
from imagesvc.api import app


def application() -> Any:
    """Build the service of this process and its WSGI application."""
    return app.create_app(service.build(opts.load()))
