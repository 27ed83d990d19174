"""Keys in a real Barbican: the laws of the kind, and what is odd about this driver."""

import pytest

from imagesvc.interface import errors
from imagesvc.testing.conformance.encryption import CONTEXT, PROJECT, EncryptionConformance
from imagesvc.testing.conformance.encryption_key import PLAIN
from imagesvc_drivers.encryption.barbican import BarbicanEncryption
from tests.keystone_server import PASSWORD
from tests.peer import barbican_server

pytestmark = [
    pytest.mark.peer,
    pytest.mark.xdist_group("keystone"),
    pytest.mark.timeout(900),
    # openstacksdk leaves connections to the garbage collector.
    pytest.mark.filterwarnings("ignore::PendingDeprecationWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]


@pytest.fixture(scope="module")
def login(tmp_path_factory, keystone_server):
    """Options of the driver: a member of the project of services."""
    (service,) = keystone_server.call("GET", "/projects?name=service").json()["projects"]
    user = keystone_server.user(service["id"], "service", "member")
    folder = tmp_path_factory.mktemp("barbican")
    with barbican_server.started(folder, keystone_server, user):
        yield {
            "auth_url": keystone_server.url, "username": user, "password": PASSWORD,
            "region_name": "RegionOne", "timeout_s": 120.0,
        }  # fmt: skip


class TestBarbicanEncryption(EncryptionConformance):
    CREATE_CRASH_POINTS = ("encryption.barbican.created",)
    ROTATE_CRASH_POINTS = ("encryption.barbican.rotated",)
    UNKNOWN_IDS = (
        *EncryptionConformance.UNKNOWN_IDS,
        "imagesvc-conformance-3f2f4f0e-0000-4000-8000-000000000000",
    )

    @pytest.fixture
    def driver(self, login):
        made = self.make(BarbicanEncryption, **login)
        made.health()  # a login costs Keystone more than the law of health allows a busy machine
        return made

    def test_a_deleted_secret_opens_nothing(self, driver, key_id):
        wrapped = driver.wrap_data_key(key_id, PLAIN, context=CONTEXT).wrapped
        (secret,) = driver._secrets.named(key_id)
        driver._cloud.ask(driver._cloud.own(), "key_manager", "DELETE", f"/secrets/{secret.id}")
        for call in self.calls(driver, key_id, key_id, wrapped):
            with pytest.raises(errors.NotFound):
                call()

    def test_two_secrets_of_one_version_both_open(self, driver, key_id):
        """As two rotations at once make them."""
        first = driver.wrap_data_key(key_id, PLAIN, context=CONTEXT).wrapped
        driver.rotate_key(key_id)
        kept = [first, driver.wrap_data_key(key_id, PLAIN, context=CONTEXT).wrapped]
        driver._secrets.store(key_id, 2)
        kept.append(driver.wrap_data_key(key_id, PLAIN, context=CONTEXT).wrapped)
        for wrapped in kept:
            assert driver.decrypt_data_key(key_id, wrapped, context=CONTEXT).plain == PLAIN
        assert driver.describe_key(key_id).version == 2

    def test_secrets_of_others_are_left_out(self, driver):
        body = {"name": "somebody's", "payload": "x", "payload_content_type": "text/plain"}
        driver._cloud.ask(driver._cloud.own(), "key_manager", "POST", "/secrets", json=body)
        made = self.make_key(driver)
        assert made in [found.id for found in driver.list_keys(PROJECT)]

    def test_a_wrong_password_is_told(self, login):
        driver = self.construct(BarbicanEncryption, **{**login, "password": "wrong-password"})
        with pytest.raises(errors.AccessDenied) as caught:
            driver.list_keys(PROJECT)
        assert "wrong-password" not in caught.value.operator_message
