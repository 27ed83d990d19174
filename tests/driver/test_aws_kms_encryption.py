"""Keys of AWS KMS: the laws of the kind against moto, and what is odd about this driver."""

import uuid

import boto3
import pytest
from botocore.exceptions import ClientError

from imagesvc.interface import errors
from imagesvc.interface.base import HealthState
from imagesvc.interface.encryption import KeyState
from imagesvc.testing.conformance.encryption import CONTEXT, PROJECT, EncryptionConformance
from imagesvc.testing.conformance.encryption_key import PLAIN
from imagesvc_drivers.encryption import aws_kms_client
from imagesvc_drivers.encryption.aws_kms import AwsKmsEncryption
from tests import moto_server

pytestmark = pytest.mark.xdist_group("moto")


@pytest.fixture(scope="module")
def url():
    with moto_server.started() as found:
        yield found


@pytest.fixture(scope="module")
def client(url):
    """A plain client, to make what the driver did not."""
    made = boto3.client(
        "kms",
        endpoint_url=url,
        region_name="eu-central-1",
        aws_access_key_id="x",
        aws_secret_access_key="y",
    )
    yield made
    made.close()


class TestAwsKmsEncryption(EncryptionConformance):
    CREATE_CRASH_POINTS = ("encryption.aws_kms.created",)

    @pytest.fixture
    def options(self, url):
        return {
            "endpoint_url": url,
            "region": "eu-central-1",
            "access_key": "imagesvc",
            "secret_key": "kms-test-password",
        }

    @pytest.fixture
    def driver(self, options):
        return self.make(moto_server.AsKms, **options)

    def test_a_disabled_key_opens_and_wraps_nothing(self, driver, key_id):
        """Only that KMS is told so: moto goes on with a disabled key, which KMS does not."""
        for enabled, state in ((False, KeyState.DISABLED), (True, KeyState.ENABLED)):
            for _ in range(2):
                assert driver.set_key_enabled(key_id, enabled=enabled).state is state
                assert self.again(driver).describe_key(key_id).state is state

    @pytest.mark.parametrize(
        ("code", "kind"),
        [
            ("DisabledException", errors.KeyUnavailable),
            ("KMSInvalidStateException", errors.KeyUnavailable),
            ("NotFoundException", errors.NotFound),
            ("InvalidCiphertextException", errors.IntegrityError),
            ("IncorrectKeyException", errors.IntegrityError),
            ("AccessDeniedException", errors.AccessDenied),
            ("ExpiredTokenException", errors.AccessDenied),
            ("ThrottlingException", errors.Unavailable),
            ("KMSInternalException", errors.Unavailable),
            ("ValidationException", errors.InvalidArgument),
        ],
    )
    def test_what_kms_says_is_told_in_the_words_of_the_contract(self, code, kind):
        """By the API reference: moto says few of them."""
        answer = {"Error": {"Code": code, "Message": "why"}}
        found = aws_kms_client.translate(ClientError(answer, "Decrypt"), "decrypt")
        assert type(found) is kind

    def test_a_key_without_a_projects_tag_is_not_found(self, driver, client):
        key_id = client.create_key()["KeyMetadata"]["KeyId"]
        client.create_alias(AliasName=f"alias/imagesvc/{PROJECT}/strange", TargetKeyId=key_id)
        with pytest.raises(errors.NotFound):
            driver.describe_key(key_id)
        assert key_id not in [found.id for found in driver.list_keys(PROJECT)]

    def test_a_key_of_an_operator_is_found_by_its_alias_and_tag(self, driver, client):
        project_id = uuid.uuid4().hex
        tags = [{"TagKey": "imagesvc-project", "TagValue": project_id}]
        key_id = client.create_key(Tags=tags)["KeyMetadata"]["KeyId"]
        client.create_alias(AliasName=f"alias/imagesvc/{project_id}/own", TargetKeyId=key_id)
        (found,) = driver.list_keys(project_id)
        assert (found.id, found.project_id) == (key_id, project_id)

    def test_a_key_that_is_to_be_deleted_is_told(self, driver, client, key_id):
        client.schedule_key_deletion(KeyId=key_id, PendingWindowInDays=7)
        assert driver.describe_key(key_id).state is KeyState.PENDING_DELETION

    def test_a_key_that_lost_the_race_for_its_alias_is_deleted(self, driver, client, monkeypatch):
        """Another process makes the alias between the look for it and the making."""
        token, other = uuid.uuid4().hex, {}
        call = driver._client.call

        def late(operation, **arguments):
            if operation == "create_key" and not other:
                other["id"] = None
                other["id"] = self.again(driver).create_key(PROJECT, "x", request_token=token).id
            return call(operation, **arguments)

        monkeypatch.setattr(driver._client, "call", late)
        assert driver.create_key(PROJECT, "x", request_token=token).id == other["id"]
        states = [
            client.describe_key(KeyId=key["KeyId"])["KeyMetadata"]["KeyState"]
            for key in client.list_keys(Limit=1000)["Keys"]
        ]
        assert "PendingDeletion" in states

    def test_a_server_that_is_not_there_is_told_without_secrets(self, options):
        away = {**options, "endpoint_url": "http://127.0.0.1:9"}
        driver = self.construct(AwsKmsEncryption, **away)
        with pytest.raises(errors.Unavailable) as caught:
            driver.open()
        assert "127.0.0.1:9" in caught.value.operator_message
        assert "kms-test-password" not in caught.value.operator_message
        assert driver.health().state is HealthState.DOWN

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            ({"region": ""}, "region"),
            ({"access_key": None}, "neither"),
            ({"endpoint_url": "ftp://x"}, "endpoint_url"),
            ({"endpoint_url": "http://me:pass-word@x"}, "endpoint_url"),
        ],
    )
    def test_a_wrong_option_is_named(self, options, change, said):
        with pytest.raises(errors.InvalidConfiguration, match=said) as caught:
            self.construct(AwsKmsEncryption, **{**options, **change})
        assert "pass-word" not in str(caught.value)

    def test_what_a_tag_cannot_keep_is_refused(self, driver):
        for project_id, name in (("a.b", "x"), ("a", "x" * 257), ("a", "<x>")):
            with pytest.raises(errors.InvalidArgument):
                driver.create_key(project_id, name, request_token="x")

    def test_a_data_key_is_bound_in_the_words_of_the_context(self, driver, client, key_id):
        """Operators find them in CloudTrail."""
        wrapped = driver.wrap_data_key(key_id, PLAIN, context=CONTEXT).wrapped
        opened = client.decrypt(
            KeyId=key_id, CiphertextBlob=wrapped, EncryptionContext=dict(CONTEXT)
        )
        assert opened["Plaintext"] == PLAIN
