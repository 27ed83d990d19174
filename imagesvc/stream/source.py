"""The URLs of callers, within the operator's rules, as an import reads them."""

import contextlib
import dataclasses
from collections.abc import Mapping

from imagesvc.stream import fetch, fetch_rule, fetch_url


class UrlSource:
    """One a process; the rules do not change."""

    def __init__(self, rules: fetch_rule.FetchRules) -> None:
        self._rules = rules

    def trusting(self, url: str) -> "UrlSource":
        """The same for a URL of the operator's: its host and port are allowed, no redirects are.

        Networks that are denied stay so. Raises InvalidRequest (URL_REFUSED) for what is no URL.
        """
        return UrlSource(self._rules.trusting(fetch_url.parse(url)))

    def hasty(self, most_s: float) -> "UrlSource":
        """The same with at most so many seconds for each fetch, for requests that wait for one."""
        total_s = min(most_s, self._rules.total_timeout_s)
        return UrlSource(dataclasses.replace(self._rules, total_timeout_s=total_s))

    def published(self, max_bytes: int) -> "UrlSource":
        """The same for what publishers offer over https, at most so many bytes a fetch.

        The operator wrote the URL, so that failures are told at once.
        """
        rules = dataclasses.replace(
            self._rules,
            allowed_schemes=frozenset({"https"}),
            max_bytes=min(max_bytes, self._rules.max_bytes),
            hides_failures=False,
        )
        return UrlSource(rules)

    def check(self, url: str) -> None:
        """Judge a URL before any work. Raises InvalidRequest (URL_REFUSED)."""
        fetch.check_url(url, self._rules)

    def open(
        self, url: str, *, headers: Mapping[str, str] | None = None, begin: int = 0
    ) -> contextlib.AbstractContextManager[fetch.FetchedBody]:
        """Open what is there, see `fetch.open_url`. Raises InvalidRequest, FetchFailed, TooLarge,
        `read` too."""
        return fetch.open_url(url, self._rules, headers=headers, begin=begin)


def shown(url: str) -> str:
    """Scheme, host and port: what logs and audit may say, for the rest may be a secret.

    Raises InvalidRequest (URL_REFUSED) for what is no URL.
    """
    return fetch_url.parse(url).origin
