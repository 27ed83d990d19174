"""What an import needs of the one function that reads URLs: a check, and a stream."""

import contextlib
from collections.abc import Mapping
from typing import Protocol


class Body(Protocol):
    """The bytes of a URL as they come; `size` in bytes is None if the server does not say."""

    size: int | None

    def read(self, size: int, /) -> bytes: ...


class UrlSource(Protocol):
    """Reads URLs that callers gave, within the operator's rules."""

    def check(self, url: str) -> None:
        """Judge a URL before any work. Raises InvalidRequest."""
        ...

    def open(
        self, url: str, *, headers: Mapping[str, str] | None = None
    ) -> contextlib.AbstractContextManager[Body]:
        """Open what is there. Raises ImagesvcError, `read` too."""
        ...
