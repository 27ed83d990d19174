"""Tags of metadata definitions: words that a namespace offers."""

from collections.abc import Sequence

from imagesvc.context import RequestContext
from imagesvc.db import metadata
from imagesvc.db import metadef_tag as tag_rows
from imagesvc.domain.metadef import Tag, TagQuery
from imagesvc.manager.metadef_access import NamespaceAccess


class MetadefTagManager:
    """Every method raises MetadefNotFound for a namespace that the caller does not see."""

    def __init__(self, access: NamespaceAccess) -> None:
        self._access = access

    def list(self, ctx: RequestContext, namespace: str, query: TagQuery) -> tuple[Tag, ...]:
        """The tags that `query` asks for. Raises MetadefNotFound for the marker, Forbidden."""
        with self._access.read(ctx, "get_metadef_tags", namespace) as (conn, found):
            return tag_rows.list(conn, found.id, query)

    def get(self, ctx: RequestContext, namespace: str, name: str) -> Tag:
        """One tag. Raises MetadefNotFound, Forbidden."""
        with self._access.read(ctx, "get_metadef_tag", namespace) as (conn, found):
            return tag_rows.get(conn, found.id, name)

    def create(self, ctx: RequestContext, namespace: str, name: str) -> Tag:
        """Add a tag. Raises Forbidden, Conflict if it is there."""
        with self._access.write(ctx, "add_metadef_tag", namespace, {"tag": name}) as (conn, found):
            (tag,) = _born((name,))
            tag_rows.insert(conn, found.id, (tag,))
            return tag

    def put(
        self, ctx: RequestContext, namespace: str, names: Sequence[str], *, append: bool
    ) -> None:
        """Put these tags in the place of all, or beside those there; no names change nothing.

        To replace counts as a change, which protection does not bar. Raises Forbidden, Conflict if
        a tag is named twice, or one to be appended is there; then the old ones stay.
        """
        action, detail = "add_metadef_tags", {"tags": len(names), "append": append}
        with self._access.write(ctx, action, namespace, detail) as (conn, found):
            if names and not append:
                tag_rows.clear(conn, found.id)
            tag_rows.insert(conn, found.id, _born(names))

    def rename(self, ctx: RequestContext, namespace: str, name: str, new: str) -> Tag:
        """Give a tag another name. Raises MetadefNotFound, Forbidden, Conflict if it is taken."""
        action, detail = "modify_metadef_tag", {"tag": name, "name": new}
        with self._access.write(ctx, action, namespace, detail) as (conn, found):
            return tag_rows.rename(conn, found.id, name, new)

    def delete(self, ctx: RequestContext, namespace: str, name: str) -> None:
        """Delete a tag. Raises MetadefNotFound, Forbidden, also if it is protected."""
        action, detail = "delete_metadef_tag", {"tag": name}
        with self._access.write(ctx, action, namespace, detail, deletes=True) as (conn, found):
            tag_rows.delete(conn, found.id, name)

    def clear(self, ctx: RequestContext, namespace: str) -> None:
        """Delete all tags. Raises Forbidden, also if the namespace is protected."""
        action, detail = "delete_metadef_tags", {"all": "tags"}
        with self._access.write(ctx, action, namespace, detail, deletes=True) as (conn, found):
            tag_rows.clear(conn, found.id)


def _born(names: Sequence[str]) -> tuple[Tag, ...]:
    now = metadata.now()
    return tuple(Tag(name, now, now) for name in names)
