"""AWS Signature Version 4 for S3 ("Authenticating Requests" of the S3 API of 2006-03-01)."""

import dataclasses
import datetime
import hashlib
import hmac
import urllib.parse
from collections.abc import Iterable, Mapping

from imagesvc.stream import fetch_url

_ALGORITHM = "AWS4-HMAC-SHA256"
# The longest that a signed URL may live.
_EXPIRES_S = 7 * 24 * 3600


@dataclasses.dataclass(frozen=True, slots=True)
class Credentials:
    """The key of one user, and the region that it is used in."""

    region: str
    access_key: str = dataclasses.field(repr=False)
    secret_key: str = dataclasses.field(repr=False)


def encode(text: str, *, safe: str = "") -> str:
    """Percent-encode all but the unreserved characters of RFC 3986, section 2.3, and `safe`."""
    return urllib.parse.quote(text, safe=f"-_.~{safe}")


def query(pairs: Iterable[tuple[str, str]]) -> str:
    """A query string in the order that the signature wants."""
    return "&".join(f"{encode(name)}={encode(value)}" for name, value in sorted(pairs))


def headers(
    credentials: Credentials,
    method: str,
    url: fetch_url.Url,
    given: Mapping[str, str],
    body: bytes | memoryview,
    now: datetime.datetime,
) -> dict[str, str]:
    """The headers of a signed request: those given, and three more; its query comes from `query`."""
    digest = hashlib.sha256(body).hexdigest()
    stamp = _stamp(now)
    sent = {**given, "x-amz-content-sha256": digest, "x-amz-date": stamp}
    signed = {name.lower(): " ".join(value.split()) for name, value in sent.items()}
    signed["host"] = url.host_header
    names = ";".join(sorted(signed))
    signature = _sign(credentials, method, url.target, signed, digest, stamp)
    scope = f"{credentials.access_key}/{_scope(credentials, stamp)}"
    sent["Authorization"] = (
        f"{_ALGORITHM} Credential={scope},SignedHeaders={names},Signature={signature}"
    )
    return sent


def presigned(
    credentials: Credentials,
    url: fetch_url.Url,
    now: datetime.datetime,
    expires_s: int = _EXPIRES_S,
) -> str:
    """A URL by which anybody may read what `url` (without a query) names; a secret."""
    stamp = _stamp(now)
    pairs = (
        ("X-Amz-Algorithm", _ALGORITHM),
        ("X-Amz-Credential", f"{credentials.access_key}/{_scope(credentials, stamp)}"),
        ("X-Amz-Date", stamp),
        ("X-Amz-Expires", str(expires_s)),
        ("X-Amz-SignedHeaders", "host"),
    )
    target = f"{url.target}?{query(pairs)}"
    signed = {"host": url.host_header}
    signature = _sign(credentials, "GET", target, signed, "UNSIGNED-PAYLOAD", stamp)
    return f"{url.origin}{target}&X-Amz-Signature={signature}"


def _sign(
    credentials: Credentials,
    method: str,
    target: str,
    signed: Mapping[str, str],
    payload: str,
    stamp: str,
) -> str:
    path, _, pairs = target.partition("?")
    lines = [f"{name}:{signed[name]}" for name in sorted(signed)]
    names = ";".join(sorted(signed))
    request = "\n".join([method, path, pairs, *lines, "", names, payload])
    digest = hashlib.sha256(request.encode()).hexdigest()
    text = "\n".join([_ALGORITHM, stamp, _scope(credentials, stamp), digest])
    key = f"AWS4{credentials.secret_key}".encode()
    for part in (stamp[:8], credentials.region, "s3", "aws4_request", text):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return key.hex()


def _scope(credentials: Credentials, stamp: str) -> str:
    return f"{stamp[:8]}/{credentials.region}/s3/aws4_request"


def _stamp(now: datetime.datetime) -> str:
    return now.astimezone(datetime.UTC).strftime("%Y%m%dT%H%M%SZ")
