"""imagesvc-manage metadef load, on both engines: what ships, what an operator adds."""

import json
import secrets

import pytest
import yaml

from imagesvc import context, opts
from imagesvc import service as services
from imagesvc.cmd import manage, manage_metadef
from imagesvc.domain.metadef import NamespaceFields, NamespaceQuery
from tests import migrated

CONF = """
[service]
state_dir = {folder}
[database]
url = {url}
[storage_local]
directory = {folder}/images
[identity_local]
path = {folder}/identity.sqlite
[compute_local]
state_dir = {folder}/servers
accelerator = tcg
[audit_sink_local]
path = {folder}/audit.log
"""
ADMIN = context.RequestContext("u", "p", frozenset({"admin"}), is_admin=True)
READER = context.RequestContext("v", "q", frozenset({"reader"}))
KNOWN_TYPES = {
    "OS::Glance::Image", "OS::Cinder::Volume", "OS::Nova::Server", "OS::Nova::Flavor",
    "OS::Nova::Aggregate", "OS::Trove::Instance",
}  # fmt: skip


@pytest.fixture(params=["sqlite", "postgresql"])
def conf_file(request, tmp_path, monkeypatch):
    """The configuration of an installation of its own."""
    monkeypatch.setenv(opts.CONF_VARIABLE, "")
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path}/imagesvc.sqlite"
        migrated.make(url)
    else:
        url = request.getfixturevalue("postgresql_url")
    key = tmp_path / "installation.key"
    key.write_text(secrets.token_hex(32))
    key.chmod(0o600)
    path = tmp_path / "imagesvc.conf"
    path.write_text(CONF.format(folder=tmp_path, url=url))
    return path


@pytest.fixture
def load(conf_file, capsys):
    """Run the command: code, what became of each namespace, complaint."""

    def go(*args):
        code = manage.main(["--config-file", str(conf_file), "metadef", "load", *map(str, args)])
        said = capsys.readouterr()
        return code, dict(line.rsplit(": ", 1) for line in said.out.splitlines()), said.err

    return go


@pytest.fixture
def service(conf_file):
    """The service of that installation."""
    built = services.build(opts.load(conf_file), monitor=False)
    yield built
    built.close()


@pytest.fixture
def own(tmp_path):
    """A folder of an operator's own definitions."""
    folder = tmp_path / "own"
    folder.mkdir()
    return folder


def test_what_ships_is_loaded_once_and_seen_by_everybody(load, service):
    code, first, _ = load()
    assert code == 0
    assert len(first) >= 30
    assert set(first.values()) == {"added"}
    assert {"OS::Compute::Hypervisor", "OS::Glance::CommonImageProperties"} <= set(first)
    again = load()[1]
    assert again == dict.fromkeys(first, "kept")
    page = service.metadef_namespaces.list(READER, NamespaceQuery(limit=1000))
    assert {one.name for one, _ in page.namespaces} == set(first)
    assert {str(one.visibility) for one, _ in page.namespaces} == {"public"}
    assert {one.name for one in service.metadef_resource_types.list(READER)} == KNOWN_TYPES
    flavor = service.metadef_namespaces.get(
        READER, "OS::Compute::CPUPinning", resource_type="OS::Nova::Flavor"
    )[1]
    assert {one.name for one in flavor.properties} == {"hw:cpu_policy", "hw:cpu_thread_policy"}


def test_what_an_operator_changed_stays_unless_replaced(load, service):
    load()
    name = "OS::Compute::Watchdog"
    service.metadef_namespaces.replace(ADMIN, name, NamespaceFields(name, display_name="Mine"))
    service.metadef_properties.clear(ADMIN, name)
    assert load()[1][name] == "kept"
    found, content = service.metadef_namespaces.get(ADMIN, name)
    assert (found.display_name, content.properties) == ("Mine", ())
    assert set(load("--replace")[1].values()) == {"replaced"}
    found, content = service.metadef_namespaces.get(ADMIN, name)
    assert found.display_name != "Mine"
    assert [one.name for one in content.properties] == ["watchdog_action"]


def test_loading_is_in_the_trail(load, service, own):
    (own / "a.yaml").write_text("namespace: Own")
    for words in ((own,), (own,), (own, "--replace")):
        load(*words)
    events = service.audits.query(ADMIN, target_id="Own", limit=10, marker=None)
    assert [(one.action, one.detail) for one in events][::-1] == [
        ("add_metadef_namespace", {}),
        ("add_metadef_namespace", {"replaced": True}),
    ]


def test_an_operators_own_files_are_yaml_or_json(load, service, own):
    body = {"namespace": "Own::Json", "properties": {"p": {"title": "P", "type": "integer"}}}
    (own / "a.json").write_text(json.dumps(body))
    (own / "b.yml").write_text(
        "namespace: Own::Yaml\nvisibility: private\nowner: q\n"
        "properties: {since: {title: S, type: string, default: 2026-01-02}}"
    )
    (own / "readme.txt").write_text("not looked at")
    assert load(own)[1] == {"Own::Json": "added", "Own::Yaml": "added"}
    assert load(own / "a.json", "--replace")[1] == {"Own::Json": "replaced"}
    assert service.metadef_namespaces.get(READER, "Own::Json")[0].visibility == "public"
    found = service.metadef_namespaces.get(READER, "Own::Yaml")[1]
    assert found.properties[0].definition["default"] == "2026-01-02"


@pytest.mark.parametrize(
    "text",
    ["", "[]", "a: [", "namespace: a/b", "namespace: N\ncolour: red",
     "namespace: N\nproperties: {p: {title: T, type: number, minimum: .nan}}"],
)  # fmt: skip
def test_a_file_that_is_wrong_is_named_and_nothing_is_loaded(load, service, own, text):
    (own / "a.yaml").write_text("namespace: Good")
    (own / "b.yaml").write_text(text)
    code, loaded, said = load(own)
    assert (code, loaded) == (2, {})
    assert f"{own}/b.yaml" in said
    assert len(said.splitlines()) == 1
    assert service.metadef_namespaces.list(ADMIN, NamespaceQuery()).namespaces == ()


def test_a_folder_without_definitions_is_named(load, own):
    for path in (own, own / "absent"):
        code, _, said = load(path)
        assert code == 2
        assert str(path) in said


def test_each_file_that_ships_says_what_everything_means():
    for path in sorted(manage_metadef.shipped().glob("*.yaml")):
        body = yaml.safe_load(path.read_text("utf-8"))
        assert path.stem == body["namespace"].lower().replace("::", "-")
        assert (body["visibility"], body["protected"]) == ("public", True)
        groups = [body, *body.get("objects", ())]
        for group in groups:
            assert group["description"]
            for name, one in group.get("properties", {}).items():
                assert one["title"], name
                assert one["description"], name
                allowed = one.get("enum")
                assert allowed is None or one.get("default", allowed[0]) in allowed, name
