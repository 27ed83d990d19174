"""Query strings of lists of metadata definitions."""

import enum
from typing import TypeVar

from imagesvc import errors
from imagesvc.api import page
from imagesvc.domain import metadef

_DIRECTIONS = {"asc": False, "desc": True}
_SORT_KEYS = {"namespace" if key == "name" else str(key): key for key in metadef.SortKey}
_TAG_SORT_KEYS = {str(key): key for key in metadef.TagSortKey}

_Key = TypeVar("_Key", bound=enum.StrEnum)
_Given = dict[str, str]


def namespaces(pairs: list[tuple[str, str]]) -> metadef.NamespaceQuery:
    """The parameters of a list of namespaces; others are ignored. Raises InvalidRequest."""
    given = dict(pairs)
    return metadef.NamespaceQuery(
        visibility=_visibility(given),
        resource_types=tuple(filter(None, given.get("resource_types", "").split(","))),
        sort_key=_sort_key(given, _SORT_KEYS, metadef.SortKey.CREATED_AT),
        descending=_descending(given),
        marker=given.get("marker") or None,
        limit=page.limit(
            given.get("limit"), default=metadef.LIMIT_DEFAULT, maximum=metadef.LIMIT_MAX
        ),
    )


def tags(pairs: list[tuple[str, str]]) -> metadef.TagQuery:
    """The parameters of a list of tags, which has no limit unless one is asked for."""
    given = dict(pairs)
    limit = page.limit(given.get("limit"), default=-1, maximum=metadef.LIMIT_MAX)
    _visibility(given)
    return metadef.TagQuery(
        sort_key=_sort_key(given, _TAG_SORT_KEYS, metadef.TagSortKey.CREATED_AT),
        descending=_descending(given),
        marker=given.get("marker") or None,
        limit=None if limit < 0 else limit,
    )


def check_objects(pairs: list[tuple[str, str]]) -> None:
    """Objects are listed all at once; parameters are looked at and change nothing.

    Raises InvalidRequest.
    """
    given = dict(pairs)
    if page.limit(given.get("limit"), default=1, maximum=metadef.LIMIT_MAX) == 0:
        raise errors.InvalidRequest("limit must be above 0.")
    _visibility(given)
    _descending(given)


def _visibility(given: _Given) -> metadef.Visibility | None:
    text = given.get("visibility") or None
    if text is not None and text not in tuple(metadef.Visibility):
        raise errors.InvalidRequest("visibility must be public or private.")
    return None if text is None else metadef.Visibility(text)


def _sort_key(given: _Given, keys: dict[str, _Key], default: _Key) -> _Key:
    text = given.get("sort_key")
    if text is not None and text not in keys:
        raise errors.InvalidRequest(f"sort_key must be one of: {', '.join(keys)}.")
    return default if text is None else keys[text]


def _descending(given: _Given) -> bool:
    text = given.get("sort_dir", "desc")
    if text not in _DIRECTIONS:
        raise errors.InvalidRequest("sort_dir must be asc or desc.")
    return _DIRECTIONS[text]
