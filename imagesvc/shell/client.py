"""The service's own API over HTTP: sign-in, catalog, requests, errors as one sentence."""

import uuid
from collections.abc import Iterator, Mapping
from typing import Any
from urllib import parse

import requests

from imagesvc.shell import cloud as clouds
from imagesvc.shell.cloud import ShellError

TIMEOUT_S = (10.0, 120.0)


class Client:
    """Speaks as one user of one cloud; signs in at the first request."""

    def __init__(self, cloud: clouds.Cloud) -> None:
        self._cloud = cloud
        self._session = requests.Session()
        self._session.verify = cloud.verify
        self._root: str | None = None

    @property
    def cloud_name(self) -> str:
        """The cloud's name in clouds.yaml."""
        return self._cloud.name

    def close(self) -> None:
        """Let go of the connections."""
        self._session.close()

    def get(self, path: str, **query: Any) -> Any:
        """Read JSON; query values that are None are left out."""
        return self._call("GET", path, params=_given(query)).json()

    def get_bytes(self, path: str, **query: Any) -> requests.Response:
        """Read bytes, with the headers."""
        return self._call("GET", path, params=_given(query))

    def stream(self, path: str, **query: Any) -> Iterator[bytes]:
        """Read bytes as they come."""
        with self._call("GET", path, params=_given(query), stream=True) as answer:
            try:
                yield from answer.iter_content(1 << 16)
            except requests.RequestException as exc:
                raise ShellError(f"{path} broke off: {cause(exc)}.") from exc

    def post(self, path: str, body: Any = None, *, idempotent: bool = False) -> Any:
        """Send JSON; with `idempotent` under a new key, so that a repeat makes nothing new."""
        headers = {"Idempotency-Key": uuid.uuid4().hex} if idempotent else {}
        answer = self._call("POST", path, json=body, headers=headers)
        return answer.json() if answer.content else None

    def put(self, path: str, body: Any) -> Any:
        """Set what is at `path`."""
        return self._call("PUT", path, json=body).json()

    def patch(self, path: str, body: Any) -> Any:
        """Change what is at `path`."""
        return self._call("PATCH", path, json=body).json()

    def post_bytes(self, path: str, data: bytes) -> None:
        """Send raw bytes."""
        self._call("POST", path, data=data, headers={"Content-Type": "application/octet-stream"})

    def exchange(
        self, method: str, path: str, *, headers: Mapping[str, str], data: bytes | None = None
    ) -> requests.Response:
        """One request whose answer the caller judges. Raises what `requests` raises."""
        url = f"{self._endpoint()}/imagesvc/v1{path}"
        return self._session.request(method, url, timeout=TIMEOUT_S, headers=headers, data=data)

    def sign_in_again(self) -> None:
        """Get a new token: the one that there was has ended."""
        self._session.headers.pop("X-Auth-Token", None)
        self._root = self._sign_in()

    def create_image(self, body: dict[str, Any]) -> str:
        """Make an image without bytes; its id."""
        headers = {"Accept": "application/json"}  # Glance's errors are HTML without it
        answer = self._send("POST", f"{self._endpoint()}/v2/images", json=body, headers=headers)
        return str(answer.json()["id"])

    def delete(self, path: str) -> Any:
        """Delete what is at `path`; gives the answer if there is one."""
        answer = self._call("DELETE", path)
        return answer.json() if answer.content else None

    def items(self, path: str, key: str, limit: int | None = None, **query: Any) -> list[Any]:
        """Collect a list over its pages, at most `limit` items."""
        found: list[Any] = []
        marker = None
        while True:
            page_limit = None if limit is None else limit - len(found)
            page = self.get(path, marker=marker, limit=page_limit, **query)
            found += page[key]
            marker = page.get("next")
            if not marker or (limit is not None and len(found) >= limit):
                return found

    def find_server(self, name_or_id: str) -> str:
        """The id of a server named by id or by a name that one server alone has."""
        return self.find("server", name_or_id)

    def find(self, noun: str, name_or_id: str) -> str:
        """The id of a thing of our own API, by id or by a name that one alone has."""
        return _only(noun, name_or_id, self.items(f"/{noun}s", f"{noun}s"))

    def find_image(self, name_or_id: str) -> str:
        """The id of an image named by id, as `family/NAME`, or by a name that one visible image alone has."""
        if _is_id(name_or_id):
            return name_or_id
        if name_or_id.startswith("family/"):
            family = parse.quote(name_or_id.removeprefix("family/"), safe="")
            return str(self.get(f"/families/{family}")["family"]["image_id"])
        url = f"{self._endpoint()}/v2/images"
        answer = self._send("GET", url, params={"name": name_or_id})
        return _only("image", name_or_id, answer.json()["images"])

    def find_object_store(self, name_or_id: str) -> str:
        """The id of an object store of the project, named by id or name."""
        found = self.items("/object-stores", "object_stores")
        return _only("object store", name_or_id, found)

    def find_agency(self, name_or_id: str) -> str:
        """The id of an agency of the project, named by id or name."""
        return _only("agency", name_or_id, self.items("/agencies", "agencies"))

    def _call(self, method: str, path: str, **options: Any) -> requests.Response:
        return self._send(method, f"{self._endpoint()}/imagesvc/v1{path}", **options)

    def _send(self, method: str, url: str, **options: Any) -> requests.Response:
        try:
            answer = self._session.request(method, url, timeout=TIMEOUT_S, **options)
        except requests.RequestException as exc:
            raise ShellError(f"{url} does not answer: {cause(exc)}.") from exc
        if answer.status_code >= 400:
            raise ShellError(sentence(answer))
        return answer

    def _endpoint(self) -> str:
        if self._root is None:
            self._root = self._sign_in()
        return self._root

    def _sign_in(self) -> str:
        cloud = self._cloud
        user = {
            "name": cloud.username, "password": cloud.password, "domain": dict(cloud.user_domain)
        }  # fmt: skip
        auth: dict[str, Any] = {"identity": {"methods": ["password"], "password": {"user": user}}}
        if cloud.project:
            auth["scope"] = {"project": dict(cloud.project)}
        base = cloud.auth_url if cloud.auth_url.endswith("/v3") else f"{cloud.auth_url}/v3"
        answer = self._send("POST", f"{base}/auth/tokens", json={"auth": auth})
        self._session.headers["X-Auth-Token"] = answer.headers["X-Subject-Token"]
        return self._image_endpoint(answer.json()["token"].get("catalog", []))

    def _image_endpoint(self, catalog: list[dict[str, Any]]) -> str:
        for service in catalog:
            if service.get("type") != "image":
                continue
            for endpoint in service.get("endpoints", []):
                region = endpoint.get("region_id") or endpoint.get("region")
                if endpoint.get("interface") == self._cloud.interface and (
                    self._cloud.region in (None, region)
                ):
                    return str(endpoint["url"]).rstrip("/").removesuffix("/v2")
        raise ShellError(
            f"The catalog of cloud {self._cloud.name} has no image endpoint for "
            f"{self._cloud.interface} in {self._cloud.region or 'any region'}."
        )


def _given(query: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in query.items() if value is not None}


def _is_id(text: str) -> bool:
    try:
        uuid.UUID(text)
    except ValueError:
        return False
    return True


def _only(noun: str, name_or_id: str, found: list[dict[str, Any]]) -> str:
    matches = [one["id"] for one in found if name_or_id in (one["id"], one["name"])]
    if not matches:
        raise ShellError(f"No {noun} {name_or_id} was found.")
    if len(matches) > 1:
        raise ShellError(f"Several {noun}s are called {name_or_id}; name one by its id.")
    return str(matches[0])


def cause(exc: requests.RequestException) -> str:
    """A failed connection in two words."""
    if isinstance(exc, requests.Timeout):
        return "timed out"
    if isinstance(exc, requests.ConnectionError):
        return "no connection"
    return type(exc).__name__


def sentence(answer: requests.Response) -> str:
    """The server's own words, and the request id with which an operator finds the log."""
    request_id = answer.headers.get("X-Openstack-Request-Id", "")
    text = answer.reason or "refused"
    # The answer to a HEAD says what its body would be, and has none.
    if answer.content and "json" in answer.headers.get("Content-Type", ""):
        body = answer.json()
        error = body.get("error", body) if isinstance(body, dict) else {}
        if isinstance(error, dict):
            text = str(error.get("message") or text)
            request_id = str(error.get("request_id") or request_id)
    return f"{text} (HTTP {answer.status_code}{f', {request_id}' if request_id else ''})"
