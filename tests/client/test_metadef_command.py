"""Metadata definitions through the unmodified `openstack` and `glance` commands."""

import json

import pytest

from tests.client import conftest
from tests.unit.cmd.test_manage_metadef import KNOWN_TYPES

pytestmark = [pytest.mark.slow, pytest.mark.peer, pytest.mark.xdist_group("keystone")]

SCHEMA = json.dumps({"description": "A colour", "enum": ["red", "blue"], "default": "red"})


@pytest.fixture(scope="module")
def loaded(keystone_service):
    """A service with the definitions that ship: their names."""
    said = conftest.manage(keystone_service.folder, "metadef", "load")
    return {line.rpartition(": ")[0] for line in said.splitlines()}


@pytest.fixture
def openstack(keystone_service):
    """`openstack image metadef` as the administrator; JSON where there is any."""

    def run(*args, cloud="admin", **more):
        return keystone_service.openstack("image", "metadef", *args, cloud=cloud, **more)

    return run


@pytest.fixture
def glance(keystone_service):
    """`glance` as a cloud's user: what it prints, cells of a table as lists."""

    def run(*args, user="admin", code=0):
        done = keystone_service.glance(*args, cloud=user, check=False)
        assert done.returncode == code, (args, done.stdout, done.stderr)
        rows = [line for line in done.stdout.decode().splitlines() if line.startswith("|")]
        return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows[1:]]

    return run


def column(rows, position=0):
    return {row[position] for row in rows}


def test_what_ships_is_listed_by_both_commands(keystone_service, loaded, glance):
    for cloud in ("demo", "admin"):
        found = keystone_service.json("image", "metadef", "namespace", "list", cloud=cloud)
        assert loaded <= {one["namespace"] for one in found}
    assert loaded <= column(glance("md-namespace-list", user="demo"))
    assert loaded <= column(glance("md-namespace-list", "--page-size", "7"))
    kind = ("--resource-types", "OS::Trove::Instance")
    assert column(glance("md-namespace-list", *kind)) == {"OS::Software::DBMS"}
    found = keystone_service.json("image", "metadef", "namespace", "list", *kind)
    assert [one["namespace"] for one in found] == ["OS::Software::DBMS"]
    assert column(glance("md-resource-type-list")) >= KNOWN_TYPES
    found = keystone_service.json("image", "metadef", "resource", "type", "list")
    assert {one["Name"] for one in found} >= KNOWN_TYPES


@pytest.mark.usefixtures("loaded")
def test_what_ships_is_shown_by_both_commands(keystone_service, glance):
    name = "OS::Compute::CPUPinning"
    found = keystone_service.json("image", "metadef", "namespace", "show", name)
    assert (found["namespace"], found["visibility"]) == (name, "public")
    shown = dict(glance("md-namespace-show", name, "--resource-type", "OS::Nova::Flavor"))
    assert "hw:cpu_policy" in shown["properties"]
    assert column(glance("md-property-list", name)) == {"cpu_policy", "cpu_thread_policy"}
    rows = glance("md-namespace-resource-type-list", name)
    assert ["OS::Nova::Flavor", "hw:", ""] in rows
    name = "OS::Compute::Quota"
    assert column(glance("md-object-list", name)) >= {"CPU Limits", "Disk QoS"}
    shown = dict(glance("md-object-property-show", name, "CPU Limits", "quota:cpu_period"))
    assert shown["maximum"] == "1000000"
    found = keystone_service.json("image", "metadef", "object", "list", name)
    assert "CPU Limits" in {one["name"] for one in found}


def test_a_namespace_lives_through_the_openstack_command(openstack, keystone_service):
    shown = ("-f", "json")
    name, kind = "Own::OpenStack", "OS::Nova::Server"
    openstack("namespace", "create", name, "--description", "Mine", "--public")
    openstack("namespace", "set", name, "--display-name", "Own", "--public")
    found = json.loads(openstack("namespace", "show", name, *shown, cloud="demo"))
    assert found["display_name"] == "Own"
    openstack(
        "property", "create", "--name", "colour", "--title", "Colour", "--type", "string",
        "--schema", SCHEMA, name,
    )  # fmt: skip
    found = json.loads(openstack("property", "show", name, "colour", *shown))
    assert (found["enum"], found["default"]) == (["red", "blue"], "red")
    openstack("property", "set", "--title", "Hue", "--name", "hue", name, "colour")
    found = json.loads(openstack("property", "list", name, *shown))
    assert [(one["name"], one["title"]) for one in found] == [("hue", "Hue")]
    openstack("object", "create", "--namespace", name, "box")
    openstack("object", "update", "--name", "crate", name, "box")
    found = json.loads(openstack("object", "show", name, "crate", *shown))
    assert found["name"] == "crate"
    openstack("resource", "type", "association", "create", name, kind)
    found = json.loads(openstack("resource", "type", "association", "list", name, *shown))
    assert [one["Name"] for one in found] == [kind]
    refused = keystone_service.run(
        "openstack", "--os-cloud", "demo", "image", "metadef", "namespace", "delete", name,
        check=False,
    )  # fmt: skip
    assert refused.returncode != 0
    openstack("resource", "type", "association", "delete", name, kind)
    openstack("object", "delete", name, "crate")
    openstack("property", "delete", name)
    openstack("namespace", "delete", name)
    found = json.loads(openstack("namespace", "list", *shown))
    assert name not in {one["namespace"] for one in found}


def test_tags_are_set_and_unset_through_the_openstack_command(openstack):
    openstack("namespace", "create", "Own::Tags", "--public")
    openstack("namespace", "set", "Own::Tags", "--public", "--tag", "one", "--tag", "two")
    openstack("namespace", "unset", "Own::Tags", "--tag", "one")
    openstack("namespace", "delete", "Own::Tags")


def test_a_namespace_lives_through_the_glance_command(glance):
    name = "Own::Glance"
    shown = dict(glance("md-namespace-create", name, "--visibility", "public"))
    assert shown["namespace"] == name
    dict(glance("md-namespace-update", name, "--display-name", "Own", "--description", "Mine"))
    shown = dict(glance("md-namespace-show", name, user="demo"))
    assert (shown["display_name"], shown["visibility"]) == ("Own", "public")
    glance(
        "md-property-create", name, "--name", "colour", "--title", "Colour", "--type", "string",
        "--schema", SCHEMA,
    )  # fmt: skip
    glance("md-property-update", name, "colour", "--name", "hue", "--title", "Hue")
    assert dict(glance("md-property-show", name, "hue"))["title"] == "Hue"
    assert glance("md-property-list", name) == [["hue", "Hue", "string"]]
    schema = json.dumps(
        {"description": "A box", "properties": {"lid": {"title": "L", "type": "string"}}}
    )
    glance("md-object-create", name, "--name", "box", "--schema", schema)
    glance("md-object-update", name, "box", "--name", "crate")
    assert glance("md-object-list", name) == [["crate", "A box"]]
    assert dict(glance("md-object-show", name, "crate"))["name"] == "crate"
    glance("md-resource-type-associate", name, "--name", "OS::Nova::Server", "--prefix", "p:")
    assert glance("md-namespace-resource-type-list", name) == [["OS::Nova::Server", "p:", ""]]
    glance("md-namespace-update", name, "--display-name", "Again")
    glance("md-resource-type-deassociate", name, "OS::Nova::Server")
    glance("md-object-delete", name, "crate")
    glance("md-property-delete", name, "hue")
    glance("md-namespace-properties-delete", name)
    glance("md-namespace-objects-delete", name)
    glance("md-namespace-delete", name, user="demo", code=1)
    glance("md-namespace-delete", name)
    assert name not in column(glance("md-namespace-list"))


def test_tags_live_through_the_glance_command(glance):
    name = "Own::GlanceTags"
    glance("md-namespace-create", name)
    assert dict(glance("md-tag-create", name, "--name", "one"))["name"] == "one"
    # With --append this client fails before it sends anything: its header is no text.
    glance("md-tag-create-multiple", name, "--names", "a,b")
    assert column(glance("md-tag-list", name)) == {"a", "b"}
    glance("md-tag-update", name, "a", "--name", "c")
    assert dict(glance("md-tag-show", name, "c"))["name"] == "c"
    glance("md-tag-delete", name, "c")
    assert column(glance("md-tag-list", name)) == {"b"}
    glance("md-namespace-tags-delete", name)
    assert glance("md-tag-list", name) == []
    glance("md-namespace-delete", name)


def test_a_file_is_imported_by_the_glance_command(glance, tmp_path):
    file = tmp_path / "namespace.json"
    file.write_text(
        json.dumps(
            {
                "namespace": "Own::Imported",
                "visibility": "public",
                "resource_type_associations": [{"name": "OS::Glance::Image", "prefix": "x_"}],
                "properties": {"p": {"title": "P", "type": "integer", "minimum": 1}},
                "objects": [{"name": "o", "properties": {"q": {"title": "Q", "type": "string"}}}],
                "tags": [{"name": "t"}],
            }
        )
    )
    glance("md-namespace-import", "--file", str(file))
    assert glance("md-property-list", "Own::Imported") == [["p", "P", "integer"]]
    assert column(glance("md-tag-list", "Own::Imported")) == {"t"}
    glance("md-namespace-delete", "Own::Imported")
