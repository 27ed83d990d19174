"""The list of images by brute force: what `list_page` has to give, told in plain Python."""

import functools

from imagesvc.domain.image_query import Operator

TAGS = ("t1", "t2")
PROJECTS = ("alpha", "beta", "gamma")


def listed(ctx, query, image, answers):
    """Does the list of the caller hold the image? `answers`: project -> answer to its offer."""
    community = image.visibility == "community"
    own = ctx.project_id is not None and image.owner == ctx.project_id
    if query.visibility not in (None, "all") and image.visibility != query.visibility:
        return False
    if ctx.is_admin:
        return own or not community or query.visibility is not None or query.hidden
    if ctx.project_id is None:
        return False
    if own or image.visibility == "public":
        return True
    if community:
        return query.visibility == "community" or (query.visibility == "all" and not query.hidden)
    answer = answers.get(ctx.project_id)
    return (
        image.visibility == "shared"
        and answer is not None
        and query.member_status in (None, answer)
    )


def _compare(wanted, image):
    value = getattr(image, wanted.field)
    if wanted.operator is Operator.NEQ:
        return value != wanted.value
    if value is None:
        return False
    return {
        Operator.EQ: lambda: value == wanted.value,
        Operator.GT: lambda: value > wanted.value,
        Operator.GTE: lambda: value >= wanted.value,
        Operator.LT: lambda: value < wanted.value,
        Operator.LTE: lambda: value <= wanted.value,
        Operator.IN: lambda: value in wanted.value,
    }[wanted.operator]()


def wanted(query, image):
    """Does the image meet the filters?"""
    return (
        not query.impossible
        and image.hidden == query.hidden
        and query.owner in (None, image.owner)
        and set(query.tags) <= set(image.tags)
        and all(image.properties.get(name) == value for name, value in query.properties)
        and all(_compare(field, image) for field in query.fields)
    )


def ordered(query, images):
    """In the order asked for: nulls last going up, first going down; ties as `list_page` says."""
    keys = [(key.field, key.descending) for key in query.sort]
    ties = keys[0][1] if len(keys) == 1 else True
    given = [field for field, _ in keys]
    keys += [(field, ties) for field in ("created_at", "id") if field not in given]

    def before(left, right):
        for field, descending in keys:
            one, two = getattr(left, field), getattr(right, field)
            if one == two:
                continue
            up = two is None if one is None or two is None else one < two
            return -1 if up != descending else 1
        return 0

    return sorted(images, key=functools.cmp_to_key(before))
