"""One boto3 client of AWS KMS, and what its errors mean. Needs the extra `aws_kms` (boto3)."""

import logging
import os
import threading
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from oslo_config import cfg

from imagesvc.interface import errors

try:
    import botocore.config
    import botocore.exceptions

    from imagesvc_drivers.client import boto
except ImportError as exc:  # the loader shows this text
    raise ImportError("the aws_kms driver needs boto3: pip install 'imagesvc[aws_kms]'") from exc

_POOL_CONNECTIONS = 64
_AWAY = "The key service does not answer just now."
# What a call of boto3 raises where KMS, or the way to it, is at fault.
_RAISED = (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError, OSError)
_TIMEOUT = (botocore.exceptions.ReadTimeoutError, botocore.exceptions.ConnectTimeoutError)
_NO_CREDENTIALS = (
    botocore.exceptions.NoCredentialsError,
    botocore.exceptions.PartialCredentialsError,
)
_GONE = frozenset({"NotFoundException", "InvalidArnException"})
_CLOSED = frozenset({"DisabledException", "KMSInvalidStateException"})
_FORGED = frozenset({"InvalidCiphertextException", "IncorrectKeyException"})
_PASSING = frozenset(
    {"KMSInternalException", "DependencyTimeoutException", "KeyUnavailableException",
     "ThrottlingException", "Throttling", "RequestLimitExceeded", "ServiceUnavailable"}
)  # fmt: skip
_DENIED = frozenset(
    {"AccessDeniedException", "UnrecognizedClientException", "InvalidClientTokenId",
     "InvalidSignatureException", "SignatureDoesNotMatch", "ExpiredTokenException",
     "IncompleteSignature", "MissingAuthenticationToken", "OptInRequired"}
)  # fmt: skip

OPTS = (
    cfg.StrOpt("region", required=True, help="Region of the keys, for example eu-central-1."),
    cfg.StrOpt(
        "endpoint_url",
        help="URL of KMS, if it is not Amazon's for the region: an interface endpoint of a VPC.",
    ),
    cfg.StrOpt(
        "access_key",
        secret=True,
        help="Access key of the service. Without it boto3 searches for keys by itself: in AWS_* "
        "variables, its own files, the role of the machine.",
    ),
    cfg.StrOpt("secret_key", secret=True, help="Secret that belongs to access_key."),
    cfg.StrOpt(
        "ca_file",
        help="File with the certificates that may sign the endpoint's; empty: those that are "
        "built in.",
    ),
    cfg.FloatOpt(
        "connect_timeout_s",
        default=3.0,
        min=0.1,
        max=60.0,
        help="Seconds that KMS may take to accept a connection.",
    ),
    cfg.FloatOpt(
        "timeout_s",
        default=10.0,
        min=0.1,
        max=600.0,
        help="Seconds that KMS may take to answer; requests for encrypted images wait for it that "
        "long, and as long again where boto3 asks twice.",
    ),
)


class KmsClient:
    """Safe for many threads; the client is made at first use in each process."""

    def __init__(self, options: Any) -> None:
        if not options.region:
            raise errors.InvalidConfiguration("option region is not set")
        if bool(options.access_key) != bool(options.secret_key):
            raise errors.InvalidConfiguration(
                "set both options access_key and secret_key, or neither"
            )
        parts = urlsplit(options.endpoint_url or "https://kms")
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username:
            raise errors.InvalidConfiguration("option endpoint_url is no http or https URL")
        # At DEBUG it writes whole answers, which hold plain data keys.
        logging.getLogger("botocore").setLevel(logging.INFO)
        self._options = options
        self._lock = threading.Lock()  # guards _clients
        self._clients: dict[int, Any] = {}

    def call(self, operation: str, **arguments: Any) -> dict[str, Any]:
        """One operation of boto3's client; its answer. Raises the errors of the contract."""
        try:
            answer: dict[str, Any] = getattr(self._client(), operation)(**arguments)
        except _RAISED as exc:
            raise translate(exc, operation) from None
        return answer

    def pages(self, operation: str, noun: str, **arguments: Any) -> Iterator[dict[str, Any]]:
        """All of a list, page after page."""
        more: dict[str, Any] = {}
        while True:
            answer = self.call(operation, **arguments, **more)
            yield from answer[noun]
            if not answer.get("Truncated") or not answer.get("NextMarker"):
                return
            more = {"Marker": answer["NextMarker"]}

    def close(self) -> None:
        """Close all connections; the next call opens new ones."""
        with self._lock:
            clients, self._clients = list(self._clients.values()), {}
        for client in clients:
            client.close()

    def _client(self) -> Any:
        options, process = self._options, os.getpid()
        with self._lock:
            if process not in self._clients:
                self._clients[process] = boto.client(
                    "kms",
                    endpoint_url=options.endpoint_url,
                    region_name=options.region,
                    aws_access_key_id=options.access_key,
                    aws_secret_access_key=options.secret_key,
                    verify=options.ca_file or True,
                    config=botocore.config.Config(
                        retries={"total_max_attempts": 2, "mode": "standard"},
                        connect_timeout=options.connect_timeout_s,
                        read_timeout=options.timeout_s,
                        max_pool_connections=_POOL_CONNECTIONS,
                    ),
                )
            return self._clients[process]


def refusal() -> errors.IntegrityError:
    """What is said of a wrapped key that does not open."""
    return errors.IntegrityError(
        "The wrapped key does not open: it, its context or its key is another."
    )


def translate(exc: Exception, operation: str) -> errors.DriverError:
    """One error of boto3, in the errors of the contract; none of its texts holds a key."""
    if isinstance(exc, _TIMEOUT):
        return errors.Timeout(_AWAY, f"KMS {operation}: {type(exc).__name__}")
    if isinstance(exc, botocore.exceptions.ParamValidationError):
        return errors.InvalidArgument(
            "The key service cannot take this.", f"KMS {operation}: {type(exc).__name__}"
        )
    if isinstance(exc, _NO_CREDENTIALS):
        return _denied(f"KMS {operation}: {exc}")
    if not isinstance(exc, botocore.exceptions.ClientError):
        return errors.Unavailable(_AWAY, f"KMS {operation}: {type(exc).__name__}: {exc}")
    return _answered(exc, operation)


def _answered(exc: Any, operation: str) -> errors.DriverError:
    facts = exc.response.get("Error", {})
    code = str(facts.get("Code", ""))
    status = int(exc.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    told = f"KMS {operation}: {code}: {facts.get('Message', '')}"
    if code in _FORGED:
        return refusal()
    if code in _GONE:
        return errors.NotFound("There is no such key.", told)
    if code in _CLOSED:
        return errors.KeyUnavailable("The key is disabled or about to be deleted.", told)
    if code == "AlreadyExistsException":
        return errors.AlreadyExists("The alias is taken.", told)
    if code in _DENIED or status == 403:
        return _denied(told)
    if code in _PASSING or status == 429 or status >= 500:
        return errors.Unavailable(_AWAY, told)
    return errors.InvalidArgument("The key service refused the request.", told)


def _denied(told: str) -> errors.AccessDenied:
    return errors.AccessDenied(
        "The key service refuses this service; its operator has to look.",
        f"{told}: look at access_key, at its policies and at that of the key",
    )
