"""Images encrypted under keys of a real OpenBao: used, moved to other keys, and taken away."""

import random

import pytest

from imagesvc.db import image_key
from imagesvc.manager import data_key
from imagesvc.worker.step import rewrap_keys
from tests.api.caller import Caller
from tests.api.glance.conftest import Several
from tests.openbao_server import MOUNT

pytestmark = pytest.mark.xdist_group("openbao")

ROOT = "/imagesvc/v1"
DATA = random.Random(3).randbytes(2_500_000)
CONF = """
[worker]
retry_s = 0
[encryption]
enabled_backends = local:local, vault:vault
default_backend = vault
[encryption_vault]
url = {url}
token = {token}
"""


class Vaulted:
    """A service with both KMS, and a project; `transit` speaks as the operator of OpenBao."""

    def __init__(self, folder, server):
        self.server = server
        self.token = server.new_token()
        conf = CONF.format(url=server.url, token=self.token)
        self.several = Several(folder, f"sqlite:///{folder}/imagesvc.sqlite", conf)
        self.owner = Caller(self.several.app)

    def key(self, backend_id="vault"):
        """A new key of the project."""
        body = {"name": "a key", "backend_id": backend_id}
        return self.owner.request("POST", f"{ROOT}/key", body).json["key"]

    def image(self, key_id):
        """An image under a key; without one a plain image."""
        values = {"imagesvc_key_id": key_id} if key_id else {}
        image_id = self.owner.create(**values)["id"]
        assert self.owner.upload(image_id, DATA).status_code == 204
        return image_id

    def file(self, image_id):
        """The answer to a download."""
        return self.owner.get(f"/v2/images/{image_id}/file")

    def copy(self, image_id, key_id):
        """A copy under another key, or plain; its id."""
        body = {"name": "copy", **({"key_id": key_id} if key_id else {})}
        found = self.owner.request("POST", f"{ROOT}/images/{image_id}/copy", body)
        assert found.status_code == 202, found.text
        self.several.work()
        return found.json["image_id"]

    def transit(self, method, key_id, path="", body=None):
        """As the operator of OpenBao."""
        return self.server.call(method, f"{MOUNT}/keys/{key_id}{path}", body)


@pytest.fixture(scope="module")
def built_vaulted(tmp_path_factory, openbao_server):
    made = Vaulted(tmp_path_factory.mktemp("vault"), openbao_server)
    yield made
    made.several.close()


@pytest.fixture
def vaulted(built_vaulted, monkeypatch):
    """A project of the test's own, and no data key is kept for a second."""
    monkeypatch.setattr(data_key, "_KEPT_S", 0.0)
    monkeypatch.setattr(rewrap_keys, "_left_s", lambda ctx: 0.0)
    built_vaulted.owner = Caller(built_vaulted.several.app)
    return built_vaulted


@pytest.mark.parametrize("source", ["", "local", "vault"])
@pytest.mark.parametrize("target", ["", "local", "vault", "another"])
def test_an_image_moves_from_any_key_to_any_other(vaulted, source, target):
    keys = {name: vaulted.key(name)["id"] for name in ("local", "vault")}
    keys |= {"": None, "another": vaulted.key()["id"]}
    image_id = vaulted.image(keys[source])
    copy_id = vaulted.copy(image_id, keys[target])
    for one, name in ((image_id, source), (copy_id, target)):
        shown = vaulted.owner.get(f"/v2/images/{one}").json
        assert (shown["status"], shown.get("imagesvc_key_id")) == ("active", keys[name])
        assert vaulted.file(one).content == DATA


def test_a_key_disabled_by_the_operator_of_the_kms_stops_all_use(vaulted):
    key = vaulted.key()
    image_id = vaulted.image(key["id"])
    vaulted.transit("DELETE", key["id"], "/soft-delete")
    found = vaulted.file(image_id)
    assert (found.status_code, DATA[:100] in found.content) == (409, False)
    shown = vaulted.owner.get(f"{ROOT}/key/{key['id']}").json["key"]
    assert shown["state"] == "disabled"
    assert vaulted.owner.request(
        "POST", "/v2/images", {"imagesvc_key_id": key["id"]}
    ).status_code == 409  # fmt: skip
    change = {"enabled": True}
    found = vaulted.owner.request("PATCH", f"{ROOT}/key/{key['id']}", change)
    assert found.json["key"]["state"] == "enabled"
    assert vaulted.file(image_id).content == DATA


def test_a_deleted_key_opens_nothing_ever_again(vaulted):
    key = vaulted.key()
    image_id = vaulted.image(key["id"])
    vaulted.transit("POST", key["id"], "/config", {"deletion_allowed": True})
    vaulted.transit("DELETE", key["id"])
    found = vaulted.file(image_id)
    assert (found.status_code, DATA[:100] in found.content) == (409, False)
    assert vaulted.owner.get(f"{ROOT}/key/{key['id']}").status_code == 404
    assert vaulted.owner.request("DELETE", f"/v2/images/{image_id}").status_code == 204


def test_a_rotation_lets_the_operator_close_the_old_version(vaulted):
    key = vaulted.key()
    image_id = vaulted.image(key["id"])
    found = vaulted.owner.request("POST", f"{ROOT}/key/{key['id']}/rotate")
    assert (found.status_code, found.json["key"]["version"]) == (202, 2)
    vaulted.several.work()
    with vaulted.several.service.database.read() as conn:
        rows = image_key.page(conn, "vault", key["id"], ("", ""), 10)
    assert [row.version for row in rows] == [2]
    vaulted.transit("POST", key["id"], "/config", {"min_decryption_version": 2})
    assert vaulted.file(image_id).content == DATA


def test_without_the_kms_plain_images_work_and_others_say_that_it_is_away(vaulted):
    key = vaulted.key()
    plain, closed = vaulted.image(None), vaulted.image(key["id"])
    vaulted.server.seal()
    try:
        assert vaulted.file(plain).content == DATA
        assert vaulted.file(closed).status_code == 503
        found = vaulted.owner.get(f"{ROOT}/key/{key['id']}")
        assert found.status_code == 503
    finally:
        vaulted.server.unseal()
    assert vaulted.file(closed).content == DATA


def test_a_revoked_token_ends_all_use_at_once(tmp_path, openbao_server, monkeypatch):
    monkeypatch.setattr(data_key, "_KEPT_S", 0.0)
    own = Vaulted(tmp_path, openbao_server)
    image_id = own.image(own.key()["id"])
    openbao_server.revoke(own.token)
    found = own.file(image_id)
    assert (found.status_code, own.token in found.text) == (503, False)
    own.several.close()
