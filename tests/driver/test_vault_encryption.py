"""Keys in transit of a real OpenBao: the laws of the kind, and what is odd about this driver."""

import concurrent.futures
import threading
import uuid

import pytest

from imagesvc.interface import errors
from imagesvc.interface.base import HealthState
from imagesvc.interface.encryption import EncryptionCapability
from imagesvc.testing.conformance.encryption import CONTEXT, PROJECT, EncryptionConformance
from imagesvc.testing.conformance.encryption_key import PLAIN
from imagesvc_drivers.client import key_name
from imagesvc_drivers.encryption.vault import VaultEncryption
from imagesvc_drivers.encryption.vault_client import VaultClient
from tests import poll, web_server
from tests.openbao_server import MOUNT

KNOWS = VaultClient.knows

pytestmark = pytest.mark.xdist_group("openbao")


class TestVaultEncryption(EncryptionConformance):
    CREATE_CRASH_POINTS = ("encryption.vault.created",)
    ROTATE_CRASH_POINTS = ("encryption.vault.rotated",)
    UNKNOWN_IDS = (
        *EncryptionConformance.UNKNOWN_IDS,
        "imagesvc-conformance-3f2f4f0e-0000-4000-8000-000000000000",
        "imagesvc-conformance-3f2f4f0e-0000-4000-8000-000000000000/config",
    )

    @pytest.fixture
    def driver(self, openbao_server):
        return self.make(VaultEncryption, **openbao_server.options())

    def test_a_key_of_an_operator_is_found_by_its_name(self, driver, openbao_server):
        key_id = str(key_name.KeyName("theirs", str(uuid.uuid4())))
        openbao_server.call("POST", f"{MOUNT}/keys/{key_id}", {"derived": True})
        assert [found.id for found in driver.list_keys("theirs")] == [key_id]
        made = driver.generate_data_key(key_id, context=CONTEXT)
        assert driver.decrypt_data_key(key_id, made.wrapped, context=CONTEXT).plain == made.plain

    def test_a_key_that_binds_no_context_is_refused(self, driver, openbao_server):
        key_id = str(key_name.KeyName(PROJECT, str(uuid.uuid4())))
        openbao_server.call("POST", f"{MOUNT}/keys/{key_id}", {"derived": False})
        with pytest.raises(errors.InvalidArgument) as caught:
            driver.wrap_data_key(key_id, PLAIN, context=CONTEXT)
        assert "derived=true" in caught.value.operator_message
        assert key_id not in [found.id for found in driver.list_keys(PROJECT)]
        openbao_server.call("POST", f"{MOUNT}/keys/{key_id}/config", {"deletion_allowed": True})
        openbao_server.call("DELETE", f"{MOUNT}/keys/{key_id}")

    def test_no_key_comes_of_wrapping_with_one_that_is_not_there(self, driver, openbao_server):
        key_id = str(key_name.KeyName(PROJECT, str(uuid.uuid4())))
        with pytest.raises(errors.NotFound):
            driver.wrap_data_key(key_id, PLAIN, context=CONTEXT)
        assert key_id not in openbao_server.call("LIST", f"{MOUNT}/keys")["data"]["keys"]

    def test_a_namespace_has_keys_of_its_own(self, driver, openbao_server, key_id):
        token = openbao_server.make_namespace("team")
        options = openbao_server.options(token=token, namespace="team")
        inside = self.make(VaultEncryption, **options)
        own = self.make_key(inside)
        made = inside.generate_data_key(own, context=CONTEXT)
        assert inside.decrypt_data_key(own, made.wrapped, context=CONTEXT).plain == made.plain
        assert [found.id for found in inside.list_keys(PROJECT)] == [own]
        with pytest.raises(errors.NotFound):
            inside.describe_key(key_id)
        with pytest.raises(errors.NotFound):
            driver.describe_key(own)

    def test_a_deleted_key_opens_nothing(self, driver, openbao_server):
        key_id = self.make_key(driver)
        wrapped = driver.wrap_data_key(key_id, PLAIN, context=CONTEXT).wrapped
        openbao_server.call("POST", f"{MOUNT}/keys/{key_id}/config", {"deletion_allowed": True})
        openbao_server.call("DELETE", f"{MOUNT}/keys/{key_id}")
        for call in self.calls(driver, key_id, key_id, wrapped):
            with pytest.raises(errors.NotFound):
                call()

    def test_a_version_that_its_operator_closed_opens_nothing(self, driver, openbao_server, key_id):
        old = driver.wrap_data_key(key_id, PLAIN, context=CONTEXT).wrapped
        driver.rotate_key(key_id)
        new = driver.wrap_data_key(key_id, PLAIN, context=CONTEXT).wrapped
        config = f"{MOUNT}/keys/{key_id}/config"
        openbao_server.call("POST", config, {"min_decryption_version": 2})
        with pytest.raises(errors.KeyUnavailable):
            driver.decrypt_data_key(key_id, old, context=CONTEXT)
        assert driver.decrypt_data_key(key_id, new, context=CONTEXT).plain == PLAIN
        openbao_server.call("POST", config, {"min_decryption_version": 1})
        assert driver.decrypt_data_key(key_id, old, context=CONTEXT).plain == PLAIN

    def test_another_version_in_the_wrapping_opens_nothing(self, driver, key_id):
        wrapped = driver.wrap_data_key(key_id, PLAIN, context=CONTEXT).wrapped
        driver.rotate_key(key_id)
        for version in (0, 2, 3, 2**31 - 1, 2**31, 2**32 - 1):
            forged = wrapped[:1] + version.to_bytes(4, "big") + wrapped[5:]
            with pytest.raises(errors.IntegrityError):
                driver.decrypt_data_key(key_id, forged, context=CONTEXT)

    def test_a_revoked_token_ends_at_once(self, openbao_server, key_id):
        token = openbao_server.new_token()
        driver = self.make(VaultEncryption, **openbao_server.options(token=token))
        wrapped = driver.wrap_data_key(key_id, PLAIN, context=CONTEXT).wrapped
        openbao_server.revoke(token)
        with pytest.raises(errors.AccessDenied) as caught:
            driver.decrypt_data_key(key_id, wrapped, context=CONTEXT)
        assert token not in caught.value.operator_message
        assert driver.health().state is HealthState.DOWN
        with pytest.raises(errors.AccessDenied):
            driver.open()

    def test_a_server_without_soft_deletion_disables_no_key(self, openbao_server, monkeypatch):
        """As Vault, which cannot be had here: the path is one that this server does not know."""
        monkeypatch.setattr(VaultClient, "knows", lambda self, path: KNOWS(self, f"{path}-not"))
        driver = self.make(VaultEncryption, **openbao_server.options())
        assert EncryptionCapability.DISABLE_KEY not in driver.info().capabilities
        with pytest.raises(errors.NotSupported):
            driver.set_key_enabled(self.make_key(driver), enabled=False)

    def test_a_token_is_renewed_before_it_ends(self, openbao_server):
        token = openbao_server.new_token(period="2s")
        driver = self.make(VaultEncryption, **openbao_server.options(token=token))
        end = threading.Event()
        threading.Timer(3, end.set).start()

        def check():
            assert driver.health().state is HealthState.OK
            return end.is_set()

        poll.until(check, pause_s=0.2)

    def test_a_sealed_server_is_away_until_it_is_unsealed(self, driver, openbao_server, key_id):
        wrapped = driver.wrap_data_key(key_id, PLAIN, context=CONTEXT).wrapped
        openbao_server.seal()
        try:
            with pytest.raises(errors.Unavailable) as caught:
                driver.decrypt_data_key(key_id, wrapped, context=CONTEXT)
            assert "unseal" in caught.value.operator_message
            assert driver.health().state is HealthState.DOWN
        finally:
            openbao_server.unseal()
        assert driver.decrypt_data_key(key_id, wrapped, context=CONTEXT).plain == PLAIN

    def test_a_server_that_is_killed_in_mid_work_loses_no_key(self, driver, openbao_server):
        """What it answered before kill -9 holds after its start; what it did not, may be asked again."""
        retryable: list[bool] = []
        kept, tokens, going = [], [uuid.uuid4().hex for _ in range(4)], threading.Event()

        def work(token):
            while True:
                try:
                    key_id = driver.create_key(PROJECT, "kill", request_token=token).id
                    while True:
                        made = driver.generate_data_key(key_id, context=CONTEXT)
                        kept.append((key_id, made.plain, made.wrapped))
                        going.set()
                        driver.rotate_key(key_id)
                except errors.DriverError as exc:
                    retryable.append(exc.retryable)
                    if going.is_set():
                        return

        with concurrent.futures.ThreadPoolExecutor(len(tokens)) as pool:
            ended = [pool.submit(work, token) for token in tokens]
            poll.until(lambda: len({key_id for key_id, _, _ in kept}) == len(tokens))
            openbao_server.kill()
            for each in ended:
                each.result()
        openbao_server.start()
        assert all(retryable)
        for key_id, plain, wrapped in kept:
            opened = driver.decrypt_data_key(key_id, wrapped, context=CONTEXT)
            assert opened.plain == plain
            assert driver.describe_key(key_id).version >= opened.version
        again = {driver.create_key(PROJECT, "kill", request_token=token).id for token in tokens}
        assert again == {key_id for key_id, _, _ in kept}

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            ({"token": "wrong-token"}, "look at token"),
            ({"url": "http://127.0.0.1:9"}, "127.0.0.1:9"),
            ({"mount": "elsewhere"}, "elsewhere"),
        ],
    )
    def test_what_is_wrong_is_told_without_secrets(self, openbao_server, change, said):
        driver = self.construct(VaultEncryption, **openbao_server.options(**change))
        with pytest.raises(errors.DriverError) as caught:
            driver.open()
        told = f"{caught.value.operator_message} {caught.value!r} {driver.health().detail}"
        assert said in told
        for secret in ("wrong-token", openbao_server.token):
            assert secret not in told

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            ({"token": None}, "token"),
            ({"url": "ftp://x"}, "url"),
            ({"url": "http://me:pass-word@x"}, "url"),
            ({"mount": ""}, "mount"),
        ],
    )
    def test_a_wrong_option_is_named(self, openbao_server, change, said):
        with pytest.raises(errors.InvalidConfiguration, match=said) as caught:
            self.construct(VaultEncryption, **openbao_server.options(**change))
        assert "pass-word" not in str(caught.value)

    @pytest.mark.parametrize("body", [b"{}", b"[]", b"<html>", b'{"data": {"ciphertext": "x"}}'])
    def test_a_server_that_is_no_vault_is_told(self, body):
        """Such as a web server that stands at a mistyped URL, and says 200 to everything."""

        def script(head, connection):
            connection.sendall(web_server.answer(body))

        with web_server.serving(script) as server:
            url = f"http://127.0.0.1:{server.port}"
            driver = self.construct(VaultEncryption, url=url, token="secret-token")
            key_id = str(key_name.KeyName(PROJECT, str(uuid.uuid4())))
            with pytest.raises((errors.Unavailable, errors.NotFound)):
                driver.generate_data_key(key_id, context=CONTEXT)
            with pytest.raises(errors.Unavailable):
                driver.decrypt_data_key(key_id, b"\1\0\0\0\1x", context=CONTEXT)

    def test_a_redirect_does_not_get_the_token(self):
        def script(head, connection):
            moved = f"Location: http://127.0.0.1:{other.port}/v1/x"
            connection.sendall(web_server.answer(b"", moved, status="307 Temporary Redirect"))

        with web_server.serving(script) as other, web_server.serving(script) as server:
            url = f"http://127.0.0.1:{server.port}"
            driver = self.construct(VaultEncryption, url=url, token="secret-token")
            with pytest.raises(errors.Unavailable):
                driver.open()
            assert len(server.requests) == 1
            assert other.requests == []

    def test_the_key_of_another_engine_cannot_be_reached(self, driver):
        for strange in ("../sys/seal-status", "imagesvc-a/../../sys", "%2e%2e"):
            with pytest.raises(errors.NotFound):
                driver.describe_key(strange)
