"""Who sees which namespace of metadata definitions, and with it all that is in it.

Public ones everybody, private ones the project that owns them, an administrator all. One without
an owner that is private is for administrators alone.
"""

import sqlalchemy as sa

from imagesvc.context import RequestContext
from imagesvc.db import metadef_namespace
from imagesvc.domain.metadef import Visibility

_namespace = metadef_namespace.TABLE.c


def predicate(ctx: RequestContext) -> sa.ColumnElement[bool]:
    """What the caller sees, as a condition on the table of namespaces."""
    if ctx.is_admin:
        return sa.true()
    public = _namespace.visibility == Visibility.PUBLIC
    if ctx.project_id is None:
        return public
    return sa.or_(public, _namespace.owner == ctx.project_id)
