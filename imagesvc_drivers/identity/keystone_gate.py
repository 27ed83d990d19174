"""The rules by which a token admits a request, as keystonemiddleware has them.

From it come: when a token has ended, that the user's token may have ended while a service with a
token of its own still works on the request, and the access rules of application credentials.
"""

import urllib.parse
from collections.abc import Callable
from typing import Any

from keystonemiddleware import auth_token

from imagesvc.interface import identity

_CONFIRMED = "Confirmed"


class Gate(auth_token.BaseAuthProtocol):  # type: ignore[misc]
    """`fetch(token, allow_expired)` gives Keystone's answer about a token, None if it has none."""

    def __init__(
        self,
        fetch: Callable[[str, bool], dict[str, Any] | None],
        *,
        service_roles: list[str],
        service_type: str,
    ) -> None:
        super().__init__(
            _inside,
            service_token_roles=service_roles,
            service_token_roles_required=True,
            service_type=service_type,
        )
        self._fetch = fetch

    def fetch_token(self, token: str, allow_expired: bool = False, **_: Any) -> dict[str, Any]:
        """Called by the middleware for each token of a request."""
        found = self._fetch(token, allow_expired)
        if found is None:
            raise auth_token.InvalidToken("The token is not valid.")
        return found

    def admits(self, request: identity.AuthRequest) -> bool:
        """Whether user's token and service's token, if there is one, admit this request."""
        environ = {
            "REQUEST_METHOD": request.method,
            "SCRIPT_NAME": "",
            "PATH_INFO": urllib.parse.unquote(
                urllib.parse.urlsplit(request.raw_target).path, "latin-1"
            ),
            "SERVER_NAME": "localhost",
            "SERVER_PORT": "80",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "wsgi.url_scheme": "http",
            "HTTP_X_AUTH_TOKEN": request.headers["x-auth-token"],
        }
        service_token = request.headers.get("x-service-token")
        if service_token is not None:
            environ["HTTP_X_SERVICE_TOKEN"] = service_token
        self(environ, _start_response)
        service = environ.get("HTTP_X_SERVICE_IDENTITY_STATUS", _CONFIRMED)
        return environ.get("HTTP_X_IDENTITY_STATUS") == service == _CONFIRMED


def _inside(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    """The application behind the middleware: its findings stand in `environ`."""
    start_response("204 No Content", [])
    return []


def _start_response(status: str, headers: list[Any], exc_info: Any = None) -> Callable[..., Any]:
    return _inside
