"""What images do, as a small model, against two API processes that die now and then."""

import concurrent.futures
import dataclasses
import json
import random
import uuid

from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, precondition, rule

from tests.crash.station import until
from tests.model.pair import OCTETS, PATCH

API = st.integers(0, 1)
NAMES = st.text("abc", min_size=1, max_size=4)
PART = 200_000


@dataclasses.dataclass
class Image:
    """What the model believes of one image. `answer` is the other project's, None if not asked."""

    id: str
    name: str
    status: str = "queued"
    visibility: str = "shared"
    answer: str | None = None
    data: bytes = b""

    @property
    def gone(self):
        """Whether it was deleted."""
        return self.status == "deleted"

    @property
    def path(self):
        """Where it is."""
        return f"/v2/images/{self.id}"

    @property
    def offered(self):
        """Whether the other project may know of it."""
        return not self.gone and self.visibility == "shared" and self.answer is not None


class ImageMachine(RuleBasedStateMachine):
    """Every rule goes through one API process, and what it did is looked at through both."""

    images = Bundle("images")
    pair = None  # set by a subclass
    deaths_max = 1

    def __init__(self):
        super().__init__()
        projects = self.pair.begin()
        self.owner, self.other = projects["owner"][1], projects["other"][1]
        self.other_id = projects["other"][0]
        self.known = {}
        self.deaths = self.restarts = self.looks = 0

    def call(self, api, method, path, body=None, kind="application/json", *, token=None):
        """One request, by the owner if no token is given."""
        return self.pair.call(api, token or self.owner, method, path, body, kind)

    # ------------------------------------------------------------------ life

    @rule(target=images, api=API, name=NAMES)
    def create(self, api, name):
        """Make a record."""
        body = {"name": name, "disk_format": "raw", "container_format": "bare"}
        status, found = self.call(api, "POST", "/v2/images", body)
        assert status == 201, found
        self.known[found["id"]] = Image(found["id"], name)
        return found["id"]

    @rule(api=API, image=images, size=st.integers(1, 5000))
    def upload(self, api, image, size):
        """Send bytes: only to a queued image."""
        image, data = self.known[image], random.Random(size).randbytes(size)
        status, found = self.call(api, "PUT", f"{image.path}/file", data, OCTETS)
        assert status == (404 if image.gone else 204 if image.status == "queued" else 409), found
        if status == 204:
            image.status, image.data = "active", data

    def one_is_queued(self):
        """Whether two uploads may race for something."""
        return any(image.status == "queued" for image in self.known.values())

    @precondition(one_is_queued)
    @rule(image=images)
    def upload_twice_at_once(self, image):
        """Of two uploads through two processes one is taken."""
        image = self.known[image]
        sent = [bytes([n]) * 300_000 for n in (1, 2)]
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            found = list(
                pool.map(
                    lambda n: self.call(n, "PUT", f"{image.path}/file", sent[n], OCTETS)[0], (0, 1)
                )
            )
        if image.status != "queued":
            assert found == [404 if image.gone else 409] * 2
            return
        assert sorted(found) == [204, 409]
        image.status, image.data = "active", sent[found.index(204)]

    @rule(api=API, image=images, name=NAMES, visibility=st.sampled_from(["shared", "private"]))
    def patch(self, api, image, name, visibility):
        """Change the name and who sees it."""
        image = self.known[image]
        status, found = self.call(api, "PATCH", image.path, _changes(name, visibility), PATCH)
        assert status == (404 if image.gone else 200), found
        if status == 200:
            image.name, image.visibility = name, visibility

    @rule(api=API, image=images)
    def delete(self, api, image):
        """Once; after that it is not there."""
        image = self.known[image]
        status, found = self.call(api, "DELETE", image.path)
        assert status == (404 if image.gone else 204), found
        image.status, image.answer = "deleted", None

    # --------------------------------------------------------------- sharing

    def pick(self, number, wanted):
        """An image that is as wanted, or any if none is."""
        images = list(self.known.values())
        found = [image for image in images if wanted(image)] or images
        return found[number % len(found)]

    @precondition(lambda self: self.known)
    @rule(api=API, number=st.integers(0, 20))
    def share(self, api, number):
        """Offer it to the other project."""
        image = self.pick(number, lambda image: not image.gone)
        status, found = self.call(api, "POST", f"{image.path}/members", {"member": self.other_id})
        if image.gone:
            assert status == 404, found
        elif image.visibility != "shared":
            assert status == 403, found
        else:
            assert status == (200 if image.answer is None else 409), found
            image.answer = image.answer or "pending"

    @precondition(lambda self: self.known)
    @rule(
        api=API,
        number=st.integers(0, 20),
        answer=st.sampled_from(["accepted", "rejected", "pending"]),
    )
    def accept(self, api, number, answer):
        """Answer as the other project: only to what is offered."""
        image = self.pick(number, lambda image: image.offered)
        path = f"{image.path}/members/{self.other_id}"
        status, found = self.call(api, "PUT", path, {"status": answer}, token=self.other)
        assert status == (200 if image.offered else 404), found
        if status == 200:
            image.answer = answer

    # ----------------------------------------------------------------- death

    def may_die(self):
        """Starting processes costs seconds, so that an example has few deaths."""
        return self.deaths < self.deaths_max

    @precondition(lambda self: self.restarts < self.deaths)
    @rule(api=API)
    def restart(self, api):
        """A stop in peace; less often than a death, which tells more."""
        self.restarts += 1
        self.pair.restart(api)

    @precondition(may_die)
    @rule(api=API, image=images, name=NAMES)
    def kill_in_patch(self, api, image, name):
        """The change is whole or not there."""
        self.deaths += 1
        image = self.known[image]
        data = json.dumps(_changes(name, image.visibility)).encode()
        with self.pair.unanswered(api, self.owner, "PATCH", image.path, data, PATCH):
            self.pair.kill(api)
        if not image.gone:
            found = self.call(1 - api, "GET", image.path)[1]["name"]
            assert found in (image.name, name)
            image.name = found

    @precondition(may_die)
    @rule(api=API, image=images, whole=st.booleans())
    def kill_in_upload(self, api, image, whole):
        """All of the bytes or none of them; what was cut off is queued again by and by."""
        self.deaths += 1
        image, data = self.known[image], uuid.uuid4().bytes * (PART // 16)
        before, path = image.status, f"{image.path}/file"
        part = 1.0 if whole else 0.5
        with self.pair.unanswered(api, self.owner, "PUT", path, data, OCTETS, part):
            if before == "queued":  # else the next process might take what this one never read
                until(lambda: self._status(1 - api, image) != "queued")
            self.pair.kill_worker(api)
        if before == "queued":
            image.status = until(lambda: self._settled(1 - api, image))
            assert whole or image.status == "queued"
            image.data = data if image.status == "active" else b""

    def _status(self, api, image):
        return self.call(api, "GET", image.path)[1]["status"]

    def _settled(self, api, image):
        status = self._status(api, image)
        return status if status in ("queued", "active") else None

    # ------------------------------------------------------------- the truth

    @invariant()
    def both_processes_tell_what_the_model_believes(self):
        """Lists of both projects through both processes, and one image after another."""
        live = {image.id for image in self.known.values() if not image.gone}
        accepted = {
            image.id
            for image in self.known.values()
            if image.offered and image.answer == "accepted"
        }
        for api in (0, 1):
            assert self._listed(api, self.owner) == live
            assert self._listed(api, self.other) == accepted
        self.looks += 1
        if self.known:
            self._look(self.looks % 2, list(self.known.values())[self.looks % len(self.known)])

    def _listed(self, api, token):
        found = self.call(api, "GET", "/v2/images", token=token)[1]["images"]
        return {image["id"] for image in found}

    def _look(self, api, image):
        status, found = self.call(api, "GET", image.path)
        assert status == (404 if image.gone else 200)
        if status == 200:
            shown = (found["name"], found["status"], found["visibility"], found["size"])
            size = len(image.data) if image.status == "active" else None
            assert shown == (image.name, image.status, image.visibility, size)
        assert self.call(1 - api, "GET", image.path, token=self.other)[0] == (
            200 if image.offered else 404
        )

    def teardown(self):
        """The bytes are those that were sent; what was deleted has none."""
        for image in self.known.values():
            self._look(1, image)
            if image.status == "active":
                assert self.call(0, "GET", f"{image.path}/file")[1] == image.data
        active = {image.id for image in self.known.values() if image.status == "active"}
        until(lambda: self._stored() == active)

    def _stored(self):
        ids = {key.partition("/")[0] for key in self.pair.station.objects()}
        return ids & set(self.known)


def _changes(name, visibility):
    return [
        {"op": "replace", "path": "/name", "value": name},
        {"op": "replace", "path": "/visibility", "value": visibility},
    ]
