"""One authenticated client for the drivers of OpenStack, through openstacksdk.

Identity API v3. The service's own user logs in to the project of whoever asks, so that the
services of the cloud themselves keep projects apart. Needs the extra `openstack`.
"""

import contextlib
import threading
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from keystoneauth1 import exceptions, session, token_endpoint
from keystoneauth1.identity import v3
from openstack import exceptions as sdk_errors
from openstack.connection import Connection

from imagesvc.interface import errors
from imagesvc_drivers.client import openstack_fault
from imagesvc_drivers.client.openstack_option import PROJECT_MARK
from imagesvc_drivers.client.paced_session import PacedSession

# Some 100 KiB each.
_CONNECTIONS_MAX = 128


def checked(answer: Any) -> Any:
    """The answer of a plain HTTP call of a connection, which openstacksdk does not look at."""
    sdk_errors.raise_from_response(answer)
    return answer


class Cloud:
    """Connections, one a project; safe for many threads.

    Use them inside `with cloud.calling():`, which turns the libraries' errors into DriverError.
    """

    def __init__(self, options: Any, title: str, endpoints: Mapping[str, str | None]) -> None:
        self._options = options
        self._title = title
        self._settings: dict[str, Any] = {
            f"{service}_endpoint_override": url for service, url in endpoints.items() if url
        }
        self._lock = threading.Lock()  # guards _known and _http
        self._known: OrderedDict[str | None, Connection] = OrderedDict()
        self._http = self._new_http()

    def close(self) -> None:
        """Let go of connections and tokens; the next call makes new ones."""
        with self._lock:
            self._known.clear()
            self._http.close()
            self._http = self._new_http()

    def calling(self) -> contextlib.AbstractContextManager[None]:
        """Around calls of a connection: raises DriverError alone."""
        return openstack_fault.translated(self._title)

    def ask(
        self, connection: Connection, service: str, method: str, path: str, **named: Any
    ) -> Any:
        """One request to a service, by its name in openstacksdk; its JSON, {} where it says nothing.

        It is not repeated but where `named` says so. Raises DriverError, for answers of failure too.
        """
        answer = self._answer(connection, service, method, path, named)
        return answer.json() if answer.content else {}

    def fetch(self, connection: Connection, service: str, path: str, media_type: str) -> bytes:
        """A small body that is no JSON, as `ask` does it; in no log."""
        named = {"headers": {"Accept": media_type}, "log": False}
        return bytes(self._answer(connection, service, "GET", path, named).content)

    def _answer(
        self,
        connection: Connection,
        service: str,
        method: str,
        path: str,
        named: dict[str, Any],
    ) -> Any:
        with self.calling():
            try:
                # Only here: to look at a service is to ask it for its versions.
                adapter = getattr(connection, service)
                again = {"status_code_retries": 0} | named
                answer = adapter.request(path, method, raise_exc=False, **again)
            except openstack_fault.NOT_IN_CATALOG:
                self._forget(connection)  # the next login brings the catalog as it is then
                raise
            sdk_errors.raise_from_response(answer)
            return answer

    def own(self) -> Connection:
        """The service's own user in its own project, or in the system where that is asked for."""
        return self._connection(None)

    def project(self, project_id: str) -> Connection:
        """The service's own user in the project `project_id`.

        Raises NotFound where it has no role in that project, or the credentials are of another.
        """
        with self.calling():
            connection = self._connection(project_id)
            if self._options.token:
                return connection
            try:
                found = connection.session.get_project_id()
            except exceptions.Unauthorized as exc:
                # The same answer as for a wrong password: does the login work as such?
                self._connection(None).session.get_token()
                raise self._stranger(project_id) from exc
        if found != project_id:
            raise self._stranger(project_id)
        return connection

    def _stranger(self, project_id: str) -> errors.NotFound:
        return errors.NotFound(
            f"{self._title} is not open to this service in project {project_id}.",
            f"the service's own user has no role in project {project_id}",
        )

    def _forget(self, connection: Connection) -> None:
        with self._lock:
            for project_id, known in list(self._known.items()):
                if known is connection:
                    del self._known[project_id]

    def _connection(self, project_id: str | None) -> Connection:
        with self._lock:
            if project_id not in self._known:
                self._known[project_id] = self._make(project_id)
            self._known.move_to_end(project_id)
            while len(self._known) > _CONNECTIONS_MAX:
                self._known.popitem(last=False)
            return self._known[project_id]

    def _make(self, project_id: str | None) -> Connection:
        options = self._options
        cert = options.cert_file
        made = session.Session(
            auth=_credentials(options, project_id),
            session=self._http,
            verify=options.ca_file or True,
            cert=(cert, options.key_file) if cert and options.key_file else cert,
            user_agent="imagesvc",
        )
        return Connection(
            session=made,
            name=self._title,
            region_name=options.region_name,
            interface=options.interface,
            **self._settings,
        )

    def _new_http(self) -> PacedSession:
        return PacedSession(self._options.connect_timeout_s, self._options.timeout_s)


def _credentials(options: Any, project_id: str | None) -> Any:
    """The login; None as `project_id` is the service's own project."""
    if options.token:
        token = options.token.replace(PROJECT_MARK, project_id or options.project_name)
        return token_endpoint.Token(options.endpoint, token)
    if options.application_credential_id:
        return v3.ApplicationCredential(
            options.auth_url,
            application_credential_id=options.application_credential_id,
            application_credential_secret=options.application_credential_secret,
        )
    named = {"user_domain_name": options.user_domain_name}
    if project_id is None and getattr(options, "system_scope", False):
        named["system_scope"] = "all"
    elif project_id is None:
        named["project_name"] = options.project_name
        named["project_domain_name"] = options.project_domain_name
    else:
        named["project_id"] = project_id
    return v3.Password(
        options.auth_url, username=options.username, password=options.password, **named
    )
