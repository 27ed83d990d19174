"""A service that lets images stay at foreign URLs, and the server that these lead to."""

import re

from tests.api.caller import Caller
from tests.api.glance.conftest import DATA, Several
from tests.web_server import answer, serving

CONF = """
[location]
foreign_store = web
[image]
show_image_direct_url = true
show_multiple_locations = true
[limit]
image_locations = 3
[fetch]
allowed_ports = {port}
allowed_networks = 127.0.0.1/32
answer_timeout_s = 0.2
idle_timeout_s = 1
[service]
hashing_algorithm = sha512
"""
PATTERN = re.compile(rb"Range: bytes=(\d+)-")


class Far:
    """`pages` are what is served, by path: bytes, or a function of head and connection.

    Below /parts the server knows ranges.
    """

    def __init__(self, folder, url=""):
        self.pages = {"/image": DATA, "/parts/image": DATA}
        self._serving = serving(self._serve)
        self.web = self._serving.__enter__()
        url = url or f"sqlite:///{folder}/imagesvc.sqlite"
        self.several = Several(folder, url, CONF.format(port=self.web.port))
        self.owner = Caller(self.several.app)
        self.admin = Caller(self.several.app, None, "admin")

    def _serve(self, head, connection):
        path = head.split()[1].decode()
        page = self.pages.get(path)
        if page is None:
            connection.sendall(answer(status="404 Not Found"))
        elif callable(page):
            page(head, connection)
        elif path.startswith("/parts") and (asked := PATTERN.search(head)):
            begin = int(asked[1])
            place = f"Content-Range: bytes {begin}-{len(page) - 1}/{len(page)}"
            connection.sendall(answer(page[begin:], place, status="206 Partial Content"))
        else:
            connection.sendall(answer(page))

    def url(self, path="/image"):
        """The URL of a page."""
        return self.web.url(path)

    def value(self, path="/image", **given):
        """A location."""
        return {"url": self.url(path), "metadata": {}, **given}

    def linked(self, path="/image", validation=None, **values):
        """An image whose location was added by a patch; its id."""
        image_id = self.owner.create(**values)["id"]
        given = {"validation_data": validation} if validation else {}
        found = self.owner.patch(image_id, ("add", "/locations/-", self.value(path, **given)))
        assert (found.status_code, found.json.get("status")) == (200, "active"), found.text
        return image_id

    def post(self, image_id, path="/image", caller=None, **validation):
        """Add a location by the newer call."""
        body = {"url": self.url(path)}
        if validation:
            body["validation_data"] = validation
        caller = caller or self.owner
        return caller.request("POST", f"/v2/images/{image_id}/locations", body)

    def image(self, image_id):
        """It as its owner sees it."""
        return self.owner.get(f"/v2/images/{image_id}").json

    def done(self, image_id):
        """The same when the worker has worked."""
        self.several.work()
        return self.image(image_id)

    def close(self):
        """End both."""
        self.several.close()
        self._serving.__exit__(None, None, None)
