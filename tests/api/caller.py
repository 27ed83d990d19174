"""One caller of the API under test."""

import json
import uuid

from falcon import testing

OCTETS = "application/octet-stream"
PATCH = "application/openstack-images-v2.1-json-patch"


class Caller:
    """Sends requests as one user of one project."""

    def __init__(self, app, project=None, *roles, token=None, service=None):
        self.client = testing.TestClient(app)
        self.service = {"X-Service-Token": service} if service else {}
        self.project = project if project is not None else uuid.uuid4().hex
        self.token = token or f"u{self.project}/{self.project}/{','.join(roles or ('member',))}"

    def request(self, method, path, body=None, *, kind=None, headers=None, **more):
        """Send one request; anything but bytes goes as JSON."""
        sent = {"X-Auth-Token": self.token, **self.service, **(headers or {})}
        if body is not None and not isinstance(body, bytes):
            body, kind = json.dumps(body).encode(), kind or "application/json"
        if kind:
            sent["Content-Type"] = kind
        return self.client.simulate_request(method, path, body=body, headers=sent, **more)

    def get(self, path, **more):
        """GET."""
        return self.request("GET", path, **more)

    def create(self, **values):
        """Make a raw image and return its JSON."""
        body = {"disk_format": "raw", "container_format": "bare", **values}
        found = self.request("POST", "/v2/images", body)
        assert found.status_code == 201, found.text
        return found.json

    def upload(self, image_id, data=b"x" * 1000, **headers):
        """PUT the bytes."""
        return self.request(
            "PUT", f"/v2/images/{image_id}/file", data, kind=OCTETS, headers=headers
        )

    def active(self, data=b"x" * 1000, **values):
        """Make an active image and return its id."""
        image_id = self.create(**values)["id"]
        found = self.upload(image_id, data)
        assert found.status_code == 204, found.text
        return image_id

    def patch(self, image_id, *operations, kind=PATCH):
        """PATCH with operations as (op, path, value)."""
        document = [
            {"op": op, "path": path, **({"value": value[0]} if value else {})}
            for op, path, *value in operations
        ]
        return self.request("PATCH", f"/v2/images/{image_id}", document, kind=kind)

    def share(self, image_id, project, status=None, app=None):
        """Offer an image; with a status, answer as the other project."""
        found = self.request("POST", f"/v2/images/{image_id}/members", {"member": project})
        assert found.status_code == 200, found.text
        if status:
            other = Caller(self.client.app, project)
            path = f"/v2/images/{image_id}/members/{project}"
            assert other.request("PUT", path, {"status": status}).status_code == 200

    def listed(self, query=""):
        """The ids of the first page."""
        found = self.get("/v2/images", query_string=query)
        assert found.status_code == 200, found.text
        return [image["id"] for image in found.json["images"]]
