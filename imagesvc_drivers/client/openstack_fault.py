"""What openstacksdk and keystoneauth1 raise, as errors of drivers. Needs openstacksdk."""

import contextlib
from collections.abc import Iterator

import requests
import urllib3
from keystoneauth1 import exceptions as auth_errors
from openstack import exceptions as sdk_errors

from imagesvc.interface import errors

_WORDS_MAX = 300
NOT_IN_CATALOG = (
    sdk_errors.EndpointNotFound,
    sdk_errors.ServiceDisabledException,
    auth_errors.CatalogException,
)
_RAISED = (
    sdk_errors.SDKException,
    auth_errors.ClientException,
    auth_errors.RetriableConnectionFailure,
    requests.RequestException,
    urllib3.exceptions.HTTPError,
)


@contextlib.contextmanager
def translated(title: str) -> Iterator[None]:
    """Turn errors of the libraries into DriverError; `title` is what users call the service."""
    try:
        yield
    except _RAISED as exc:
        raise translate(exc, title) from exc


def translate(exc: Exception, title: str) -> errors.DriverError:
    """One error. What the service says of a wrong request is told to the user as it stands."""
    status = getattr(exc, "status_code", None) or getattr(exc, "http_status", None)
    if isinstance(exc, auth_errors.ConnectTimeout | requests.Timeout):
        return errors.Timeout(f"{title} did not answer in time.", str(exc))
    if isinstance(exc, NOT_IN_CATALOG):
        return errors.Unavailable(
            f"{title} is not to be found.",
            f"{exc}: look at region_name, interface and endpoint, and at the catalog",
        )
    if isinstance(exc, auth_errors.SSLError):
        return errors.Unavailable(
            f"{title} cannot be reached.", f"{exc}: look at ca_file and cert_file"
        )
    if isinstance(status, int) and status >= 400:
        return _refusal(status, _words(exc), title, str(exc))
    return errors.Unavailable(f"{title} cannot be reached.", f"{type(exc).__name__}: {exc}")


def _refusal(status: int, words: str, title: str, whole: str) -> errors.DriverError:
    """An answer of failure."""
    operator = f"{title} answered {status}: {whole}"
    if status == 401:
        return errors.AccessDenied(
            f"{title} does not serve this service; its operator has to look.",
            f"{operator}: correct the credentials, or the roles of the user",
        )
    if status in (403, 413) and "quota" in words.lower():  # Cinder says 413
        return errors.NoSpace(f"{title} refused: {words}", operator)
    if status == 403:
        return errors.AccessDenied(f"{title} does not allow this: {words}", operator)
    if status == 404:
        return errors.NotFound(f"{title} has no such thing: {words}", operator)
    if status == 409:
        return errors.Busy(f"{title} cannot do this just now: {words}", operator)
    if status == 413 or status == 429 or status >= 500:
        return errors.Unavailable(f"{title} answered {status}; try again later.", operator)
    return errors.InvalidArgument(f"{title} refused: {words}", operator)


def _words(exc: Exception) -> str:
    """What the service said, without URLs."""
    said = getattr(exc, "details", None) or getattr(exc, "message", None) or type(exc).__name__
    return str(said).strip()[:_WORDS_MAX]
