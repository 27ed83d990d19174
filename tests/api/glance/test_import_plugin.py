"""What the operator does to every import."""

import pytest

from imagesvc import errors
from tests.api.caller import Caller
from tests.api.glance.conftest import Several
from tests.api.glance.test_task import imported

INJECT = """
[import]
plugins = inject_metadata_properties
injected_properties = from:outside, os_type:linux, hw_x:operator
injection_spares_roles = admin, curator
"""


@pytest.fixture(params=["sqlite", "postgresql"])
def service(request, tmp_path):
    """A service that injects properties."""
    url = f"sqlite:///{tmp_path}/imagesvc.sqlite"
    if request.param == "postgresql":
        url = request.getfixturevalue("postgresql_url")
    made = Several(tmp_path, url, INJECT)
    yield made
    made.close()


def test_imports_give_the_operators_properties(service):
    owner = Caller(service.app)
    image_id = imported(service, owner)
    path = f"/v2/images/{image_id}"
    owner.patch(image_id, ("add", "/hw_x", "mine"), ("add", "/hw_y", "mine"))
    assert "from" not in owner.get(path).json
    service.work()
    image = owner.get(path).json
    assert image["status"] == "active"
    assert (image["from"], image["os_type"], image["hw_x"], image["hw_y"]) == (
        "outside", "linux", "operator", "mine",
    )  # fmt: skip
    uploaded = owner.get(f"/v2/images/{owner.active()}").json
    assert "from" not in uploaded


@pytest.mark.parametrize("roles", [("admin",), ("member", "curator")])
def test_some_roles_are_spared(service, roles):
    caller = Caller(service.app, None, *roles)
    image_id = imported(service, caller)
    service.work()
    image = caller.get(f"/v2/images/{image_id}").json
    assert (image["status"], "from" in image) == ("active", False)


def test_a_copy_into_a_store_injects_nothing(service):
    owner = Caller(service.app)
    admin = Caller(service.app, owner.project, "admin", "member")
    image_id = owner.active()
    body = {"method": {"name": "copy-image"}, "stores": ["fast"]}
    assert admin.request("POST", f"/v2/images/{image_id}/import", body).status_code == 202
    service.work()
    image = owner.get(f"/v2/images/{image_id}").json
    assert ("fast" in image["stores"], "from" in image) == (True, False)


def test_more_properties_than_an_image_may_have_are_a_failure(service):
    owner = Caller(service.app)
    image_id = imported(service, owner)
    owner.patch(image_id, *(("add", f"/p{n}", "x") for n in range(127)))
    service.work()
    image = owner.get(f"/v2/images/{image_id}").json
    assert (image["status"], "from" in image) == ("uploading", False)
    task = owner.get(f"/v2/images/{image_id}/tasks").json["tasks"][0]
    assert (task["status"], "properties" in task["message"]) == ("failure", True)


@pytest.mark.parametrize(
    "more",
    [
        "plugins = x", "plugins = inject_metadata_properties\ninjected_properties = os_glance_x:y",
        "plugins = inject_metadata_properties\ninjected_properties = deleted:y",
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_told_at_the_start(tmp_path, more):
    url = f"sqlite:///{tmp_path}/imagesvc.sqlite"
    with pytest.raises(errors.ConfigurationError, match="import"):
        Several(tmp_path, url, f"[import]\n{more}\n")
