"""What holds for every path: ids, paths, methods, tokens, versions, error bodies."""

from urllib import parse

import pytest

from tests.api.caller import Caller


def _fresh(path):
    return "/v2/images/00000000-0000-4000-8000-000000000000" + path


def test_versions_list_one_current_and_need_no_token(app):
    nobody = Caller(app, token="none")
    found = nobody.get("/versions", headers={"Host": "glance.example:9292"})
    versions = found.json["versions"]
    assert found.status_code == 200
    assert [v["id"] for v in versions if v["status"] == "CURRENT"] == ["v2.17"]
    assert {v["id"] for v in versions} >= {f"v2.{n}" for n in range(8)}
    assert all(v["links"][0]["href"] == "http://glance.example:9292/v2/" for v in versions)


@pytest.mark.parametrize("path", ["/", "/v1", "/foo", "/foo/bar", "/v2.99/images"])
def test_unknown_first_segments_give_the_choices(app, path):
    nobody = Caller(app, token="none")
    found = nobody.get(path)
    assert found.status_code == 300
    assert found.json == nobody.get("/versions").json
    assert found.headers["Vary"] == "Accept"


def test_a_minor_version_in_the_path_is_only_a_name(app):
    caller = Caller(app)
    assert caller.get("/v2.5/images").json["schema"] == "/v2/schemas/images"
    accept = {"Accept": "application/vnd.openstack.images-v2.0"}
    assert "images" in caller.get("/images", headers=accept).json


@pytest.mark.parametrize(
    "path", ["/v2", "/v2/", "/v2/images/", "/v2/nothing", "/imagesvc/v1/nothing"]
)
def test_unknown_paths_want_a_token_then_are_404(app, path):
    assert Caller(app, token="none").get(path).status_code == 401
    assert Caller(app).get(path).status_code == 404


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("HEAD", "/v2/images", "GET, POST"),
        ("HEAD", _fresh(""), "GET, DELETE"),
        ("PUT", "/v2/images", "GET, POST"),
        ("POST", _fresh("/file"), "GET, PUT"),
        ("GET", _fresh("/tags/t"), "PUT, DELETE"),
        ("DELETE", "/v2/schemas/image", "GET"),
    ],
)
def test_a_wrong_method_is_405_and_names_the_right_ones(app, method, path, allow):
    found = Caller(app).request(method, path)
    assert found.status_code == 405
    assert set(allow.split(", ")) <= set(found.headers["Allow"].split(", "))


@pytest.mark.parametrize(
    "path", ["/", "/v2/images", "/v2/nothing", "/v2/images/%00", "/v3/nothing"]
)
def test_every_answer_has_a_request_id(app, path):
    caller = Caller(app)
    ids = {caller.get(path).headers["X-Openstack-Request-Id"] for _ in range(2)}
    assert len(ids) == 2
    assert all(item.startswith("req-") for item in ids)


@pytest.mark.parametrize(
    "path",
    [
        "/v2/images/%00",
        "/v2/images/a%00b/file",
        "/v2/images/%ff%fe",
        "/v2/images/%c0%af",
        "/v2/images/%ed%a0%80",
        "//v2/images",
        "/v2//images",
        "/v2/images//file",
    ],
)
def test_a_path_that_would_arrive_as_another_is_400(app, path):
    raw = {"PATH_INFO": parse.unquote_to_bytes(path).decode("latin-1")}
    assert Caller(app).get("/", extras=raw).status_code == 400


@pytest.mark.parametrize("query", ["name=%00", "name=%ff", "a%00=b", "tag=%ed%a0%80"])
def test_a_query_that_cannot_be_kept_is_400(app, query):
    assert Caller(app).get("/v2/images", query_string=query).status_code == 400


def test_an_encoded_slash_does_not_split_a_segment(app):
    extras = {"RAW_URI": "/v2/images/a%2Ffile"}
    assert Caller(app).get("/v2/images/a/file", extras=extras).status_code == 400


def test_too_many_parameters_are_400(app):
    query = "&".join(f"p{n}=x" for n in range(300))
    assert Caller(app).get("/v2/images", query_string=query).status_code == 400


def test_errors_are_html_unless_json_is_named(app):
    caller = Caller(app)
    path = _fresh("")
    page = caller.get(path, headers={"Accept": "*/*"})
    assert page.headers["Content-Type"].startswith("text/html")
    assert "<h1>404 Not Found</h1>" in page.text
    body = caller.get(path, headers={"Accept": "application/json"}).json
    assert (body["code"], body["title"]) == ("404 Not Found", "Not Found")
    assert body["message"]


def test_an_error_page_escapes_what_the_caller_sent(app):
    assert "<script>" not in Caller(app).get("/v2/images/<script>").text


def test_claims_in_headers_are_not_believed(app):
    forged = {"X-Roles": "admin", "X-Identity-Status": "Confirmed", "X-Project-Id": "p"}
    assert Caller(app, token="none").get("/v2/images", headers=forged).status_code == 401
    found = Caller(app).request("POST", "/v2/images", {"visibility": "public"}, headers=forged)
    assert found.status_code == 403


def test_a_method_override_header_changes_nothing(app):
    owner = Caller(app)
    image_id = owner.create()["id"]
    headers = {"X-HTTP-Method-Override": "DELETE"}
    assert owner.request("GET", f"/v2/images/{image_id}", headers=headers).status_code == 200
    assert owner.get(f"/v2/images/{image_id}").status_code == 200


def test_a_body_in_a_coding_that_is_not_undone_is_refused(app):
    owner = Caller(app)
    image_id = owner.create()["id"]
    assert owner.upload(image_id, **{"Transfer-Encoding": "gzip, chunked"}).status_code == 415
    assert owner.upload(image_id, **{"Content-Encoding": "gzip"}).status_code == 415
    assert owner.get(f"/v2/images/{image_id}").json["status"] == "queued"
    assert owner.upload(image_id, **{"Content-Encoding": "identity"}).status_code == 204


@pytest.mark.parametrize("host", ["two words", 'a"b', "a/b", "<a>", "a@b"])
def test_a_host_that_is_none_is_refused(app, host):
    found = Caller(app).get("/v2/images", headers={"Host": host})
    assert found.status_code == 400


@pytest.mark.parametrize("host", ["example.org", "[::1]:9292", "127.0.0.1:80", "a_b-c.d"])
def test_a_host_with_or_without_port_is_taken(app, host):
    assert Caller(app).get("/v2/images", headers={"Host": host}).status_code == 200
