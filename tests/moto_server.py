"""moto's server, which speaks the API of AWS KMS. A mock: no real one can be had here.

What it gets wrong, as measured with 5.2: a disabled key makes, wraps and opens data keys; what does not
open is AccessDenied, as if a policy forbade it; ReEncrypt does not look at the source key. `AsKms`
says what KMS would, but for disabled keys.
"""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator

import requests

from imagesvc.interface import errors
from imagesvc_drivers.encryption import aws_kms_client
from imagesvc_drivers.encryption.aws_kms import AwsKmsEncryption
from tests import poll
from tests.s3_server import free_ports

START_S = 60.0


class AsKms(AwsKmsEncryption):
    """The driver, with moto's answers put right."""

    def decrypt_data_key(self, key_id, wrapped, *, context):
        with _opening():
            return super().decrypt_data_key(key_id, wrapped, context=context)

    def reencrypt(self, key_id, wrapped, new_key_id, *, context, new_context):
        self.describe_key(key_id)
        with _opening():
            return super().reencrypt(
                key_id, wrapped, new_key_id, context=context, new_context=new_context
            )


@contextlib.contextmanager
def _opening():
    """KMS: InvalidCiphertextException, IncorrectKeyException."""
    try:
        yield
    except errors.AccessDenied:
        raise aws_kms_client.refusal() from None


@contextlib.contextmanager
def started() -> Iterator[str]:
    """A server without keys; gives its URL."""
    (port,) = free_ports(1)
    url = f"http://127.0.0.1:{port}"
    process = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONWARNINGS": "ignore"},
    )

    def answers():
        assert process.poll() is None, "moto ended while starting"
        with contextlib.suppress(requests.ConnectionError):
            return requests.get(f"{url}/moto-api/", timeout=10).ok
        return False

    try:
        poll.until(answers, START_S, 0.1)
        yield url
    finally:
        process.kill()
        process.wait()
