"""HTTP for keystoneauth1 with one pause for the connection and one for the answer."""

from typing import Any

import requests


class PacedSession(requests.Session):
    """Seconds to connect and to answer; keystoneauth1 alone knows one number for both."""

    def __init__(self, connect_timeout_s: float, timeout_s: float) -> None:
        super().__init__()
        self._pauses = (connect_timeout_s, timeout_s)

    def request(self, *args: Any, **named: Any) -> requests.Response:
        """As of `requests`, with these pauses where the call names none."""
        named["timeout"] = named.get("timeout") or self._pauses
        return super().request(*args, **named)
