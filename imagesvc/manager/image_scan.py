"""All images of a list, a page after the other, in memory that does not grow with their number."""

import dataclasses
from collections.abc import Iterator

from imagesvc.context import RequestContext
from imagesvc.domain.image import Image
from imagesvc.domain.image_query import LIMIT_MAX, FieldFilter, ImageQuery, Operator, SortKey
from imagesvc.manager.image import ImageManager

_NEWEST_FIRST = (SortKey("created_at", True),)


def scan(
    images: ImageManager, ctx: RequestContext, query: ImageQuery, page_size: int = LIMIT_MAX
) -> Iterator[tuple[Image, ...]]:
    """Pages of what `query` asks for, newest first; its order, marker and limit are not looked at.

    A page goes on from the time at which the last one ended, not from an image, which may be
    deleted meanwhile. Images that are made meanwhile are not among them. Raises what
    `ImageManager.list` raises.
    """
    given: frozenset[str] = frozenset()
    bounds: tuple[FieldFilter, ...] = ()
    while True:
        page = images.list(ctx, _part(query, page_size, *bounds))
        yield tuple(image for image in page.images if image.id not in given)
        if not page.full:
            return
        last = page.images[-1]
        if page.images[0].created_at == last.created_at:
            yield from _instant(images, ctx, query, last, page_size)
            given = frozenset()
            bounds = (FieldFilter("created_at", Operator.LT, last.created_at),)
        else:
            same = (image.id for image in page.images if image.created_at == last.created_at)
            given = frozenset(same)
            bounds = (FieldFilter("created_at", Operator.LTE, last.created_at),)


def _instant(
    images: ImageManager, ctx: RequestContext, query: ImageQuery, last: Image, page_size: int
) -> Iterator[tuple[Image, ...]]:
    """Those of one instant that come after `last`, where they fill more than a page."""
    moment = FieldFilter("created_at", Operator.EQ, last.created_at)
    while True:
        after = FieldFilter("id", Operator.LT, last.id)
        page = images.list(ctx, _part(query, page_size, moment, after))
        yield page.images
        if not page.full:
            return
        last = page.images[-1]


def _part(query: ImageQuery, limit: int, *bounds: FieldFilter) -> ImageQuery:
    fields = (*query.fields, *bounds)
    return dataclasses.replace(query, sort=_NEWEST_FIRST, marker=None, limit=limit, fields=fields)
