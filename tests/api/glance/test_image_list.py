"""Lists: filters, sorting, paging, and what is listed for whom."""

import itertools

import pytest

from tests.api.caller import Caller


@pytest.fixture(scope="module")
def shelf(app):
    """One project's images: name -> id."""
    owner = Caller(app)
    made = {
        "a": owner.active(b"1", name="a", tags=["x"], color="red", min_ram=5),
        "b": owner.active(b"22", name="b", tags=["x", "y"], color="red", protected=True),
        "c,d": owner.create(name="c,d", disk_format="qcow2", color="blue")["id"],
        "h": owner.create(name="h", os_hidden=True)["id"],
        "null": owner.create()["id"],
    }
    return owner, made


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("", "a b c,d null"),
        ("name=a", "a"),
        ("name=in:a,%22c,d%22", "a c,d"),
        ("name=zzz", ""),
        ("name=%25", ""),
        ("name=_", ""),
        ("status=active", "a b"),
        ("status=in:active,queued", "a b c,d null"),
        ("disk_format=qcow2", "c,d"),
        ("container_format=bare&status=queued", "c,d null"),
        ("tag=x", "a b"),
        ("tag=x&tag=y", "b"),
        ("tag=z", ""),
        ("color=red", "a b"),
        ("color=red&color=blue", ""),
        ("nothing=here", ""),
        ("protected=true", "b"),
        ("protected=false", "a c,d null"),
        ("size_min=2", "b"),
        ("size_max=1", "a"),
        ("size_min=-5", "a b"),
        ("size=2", "b"),
        ("size=x", ""),
        ("min_ram=5", "a"),
        ("min_ram=x", ""),
        ("os_hidden=true", "h"),
        ("os_hidden=True", "h"),
        ("os_hidden=true&visibility=all", "h"),
        ("visibility=private", ""),
        ("visibility=shared", "a b c,d null"),
        ("checksum=c4ca4238a0b923820dcc509a6f75849b", "a"),
        ("created_at=gt:2000-01-01T00:00:00Z", "a b c,d null"),
        ("created_at=lt:2000-01-01T00:00:00Z", ""),
        ("limit=0", ""),
        ("id=nonsense", ""),
    ],
)
def test_filters(shelf, query, names):
    owner, made = shelf
    expected = {made[name] for name in names.split()}
    assert set(owner.listed(f"owner={owner.project}&{query}")) == expected


@pytest.mark.parametrize(
    "query",
    [
        "limit=-1",
        "limit=x",
        "marker=00000000-0000-4000-8000-000000000000",
        "marker=x",
        "visibility=x",
        "member_status=x",
        "os_hidden=x",
        "protected=True",
        "changes-since=2026-01-01",
        "name=gt:a",
        "name=in:%22a",
        "created_at=in:2026-01-01T00:00:00Z",
        "created_at=x",
        "size_min=x",
        "sort_key=owner",
        "sort_key=name&sort_dir=up",
        "sort=name&sort_key=name",
        "sort_key=name&sort_dir=asc&sort_dir=asc",
    ],
)
def test_wrong_parameters_are_400(shelf, query):
    owner, _ = shelf
    assert owner.get("/v2/images", query_string=query).status_code == 400


KEYS = [
    "name",
    "status",
    "container_format",
    "disk_format",
    "size",
    "id",
    "created_at",
    "updated_at",
]


@pytest.mark.parametrize(("key", "direction"), list(itertools.product(KEYS, ("asc", "desc"))))
def test_pages_of_every_sort_key_hold_each_image_once(shelf, key, direction):
    """Nulls are last in asc and first in desc, and a marker with a null pages on."""
    owner, made = shelf
    query = f"owner={owner.project}&sort_key={key}&sort_dir={direction}"
    whole = owner.get("/v2/images", query_string=query).json["images"]
    values = [image[key] for image in whole]
    known = [value for value in values if value is not None]
    nulls = [None] * (len(values) - len(known))
    ordered = sorted(known, reverse=direction == "desc")
    assert values == (ordered + nulls if direction == "asc" else nulls + ordered)
    for size in (1, 2, 3):
        assert _walk(owner, f"{query}&limit={size}") == [image["id"] for image in whole]
    assert len(whole) == len(made) - 1


def _walk(owner, query):
    found, link = [], f"/v2/images?{query}"
    while link:
        path, _, rest = link.partition("?")
        assert path == "/v2/images"
        page = owner.get(path, query_string=rest).json
        found += [image["id"] for image in page["images"]]
        link = page.get("next")
    return found


def test_links_keep_the_parameters(shelf):
    owner, made = shelf
    found = owner.get("/v2/images", query_string="tag=x&limit=1&sort=name%3Aasc").json
    assert found["first"] == "/v2/images?tag=x&limit=1&sort=name%3Aasc"
    assert found["next"] == f"/v2/images?tag=x&limit=1&sort=name%3Aasc&marker={made['a']}"
    assert "next" not in owner.get("/v2/images").json


def test_a_marker_of_another_project_answers_like_an_absent_one(app, shelf):
    _, made = shelf
    other = Caller(app)
    foreign = other.get("/v2/images", query_string=f"marker={made['a']}")
    absent = other.get("/v2/images", query_string="marker=00000000-0000-4000-8000-000000000000")
    assert foreign.status_code == absent.status_code == 400
    other_text = absent.text.replace("00000000-0000-4000-8000-000000000000", made["a"])
    assert foreign.text == other_text


def test_a_deleted_marker_is_400(app):
    owner = Caller(app)
    image_id = owner.create()["id"]
    owner.request("DELETE", f"/v2/images/{image_id}")
    assert owner.get("/v2/images", query_string=f"marker={image_id}").status_code == 400


@pytest.fixture(scope="module")
def town(app):
    """A member's surroundings: name -> id."""
    me, other, admin = Caller(app), Caller(app), Caller(app, None, "admin")
    made = {
        f"my-{visibility}": me.create(visibility=visibility)["id"]
        for visibility in ("private", "shared", "community")
    }
    made |= {
        f"their-{visibility}": other.create(visibility=visibility)["id"]
        for visibility in ("private", "shared", "community")
    }
    for status in ("pending", "accepted", "rejected"):
        made[status] = other.create()["id"]
        other.share(made[status], me.project, status if status != "pending" else None)
    made["public"] = admin.create(visibility="public")["id"]
    made["public-hidden"] = admin.create(visibility="public", os_hidden=True)["id"]
    made["my-hidden"] = me.create(os_hidden=True)["id"]
    made["their-hidden"] = other.create(os_hidden=True)["id"]
    return {"member": me, "other": other, "admin": admin}, made


MINE = "my-private my-shared my-community"
BOTH = "my-private my-shared their-private their-shared pending accepted rejected public"


@pytest.mark.parametrize(
    ("who", "query", "names"),
    [
        ("member", "", f"{MINE} public accepted"),
        ("admin", "", BOTH),
        ("member", "visibility=private", "my-private"),
        ("member", "visibility=shared", "my-shared accepted"),
        ("admin", "visibility=private", "my-private their-private"),
        ("admin", "visibility=shared", "my-shared their-shared pending accepted rejected"),
        ("member", "visibility=community", "my-community their-community"),
        ("admin", "visibility=community", "my-community their-community"),
        ("member", "visibility=all", f"{MINE} public accepted their-community"),
        ("admin", "visibility=all", f"{BOTH} my-community their-community"),
        ("member", "owner={other}", "accepted"),
        ("member", "owner={admin}", "public"),
        ("admin", "owner={other}", "their-private their-shared pending accepted rejected"),
        ("member", "owner={other}&visibility=all", "accepted their-community"),
        ("member", "owner={other}&visibility=community", "their-community"),
        ("admin", "owner={other}&visibility=community", "their-community"),
        ("member", "os_hidden=true", "my-hidden public-hidden"),
        ("member", "os_hidden=true&visibility=all", "my-hidden public-hidden"),
        ("admin", "os_hidden=true", "my-hidden their-hidden public-hidden"),
        ("member", "member_status=pending", f"{MINE} public pending"),
        ("member", "member_status=rejected", f"{MINE} public rejected"),
        ("member", "member_status=all", f"{MINE} public pending accepted rejected"),
        ("member", "visibility=shared&member_status=all", "my-shared pending accepted rejected"),
        ("admin", "member_status=pending", BOTH),
    ],
)
def test_who_is_shown_what(town, who, query, names):
    callers, made = town
    query = query.format(**{name: caller.project for name, caller in callers.items()})
    found = set(callers[who].listed(f"limit=1000&{query}")) & set(made.values())
    by_id = {image_id: name for name, image_id in made.items()}
    assert {by_id[image_id] for image_id in found} == set(names.split())
