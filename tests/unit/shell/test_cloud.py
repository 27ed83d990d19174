"""Where clouds.yaml is found, and what is taken from it."""

import pytest
import yaml

from imagesvc.shell import cloud


@pytest.fixture
def home(tmp_path, monkeypatch):
    """An empty home and an empty working folder."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("OS_CLIENT_CONFIG_FILE", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def entry(**more):
    """A cloud as the quickstart writes it."""
    auth = {"auth_url": "http://h/v3/", "username": "u", "password": "secret", **more}
    return {"auth": auth, "region_name": "RegionOne"}


def write(path, **clouds):
    """Write clouds.yaml."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump({"clouds": clouds}))


def test_the_file_named_in_the_environment_wins(home, monkeypatch):
    write(home / "work/clouds.yaml", here=entry())
    write(home / "named.yaml", there=entry())
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(home / "named.yaml"))
    assert cloud.load(None).name == "there"


def test_the_home_folder_is_looked_at(home):
    write(home / ".config/openstack/clouds.yaml", mine=entry())
    assert cloud.load("mine").auth_url == "http://h/v3"


def test_several_clouds_need_a_choice(home):
    write(home / "work/clouds.yaml", one=entry(), two=entry())
    with pytest.raises(cloud.ShellError, match="choose one with --os-cloud"):
        cloud.load(None)
    assert cloud.load("two").name == "two"


def test_an_unknown_cloud_is_refused_by_name(home):
    write(home / "work/clouds.yaml", one=entry())
    with pytest.raises(cloud.ShellError, match=r"has no cloud x; it has: one\."):
        cloud.load("x")


@pytest.mark.parametrize("text", ["", "[", "- a", "clouds: 7"])
def test_what_is_no_clouds_file_is_refused(home, text):
    (home / "work/clouds.yaml").write_text(text)
    with pytest.raises(cloud.ShellError):
        cloud.load(None)


def test_no_file_at_all_is_said(home, monkeypatch):
    monkeypatch.setattr(cloud, "places", lambda: [home / "none.yaml"])
    with pytest.raises(cloud.ShellError, match=r"No clouds\.yaml was found"):
        cloud.load(None)


def test_missing_credentials_are_named(home):
    write(home / "work/clouds.yaml", one={"auth": {"auth_url": "http://h"}})
    with pytest.raises(cloud.ShellError, match=r"lacks auth\.username, auth\.password"):
        cloud.load("one")


def test_projects_are_named_with_their_domain(home):
    write(
        home / "work/clouds.yaml",
        named=entry(project_name="p", project_domain_name="D"),
        known=entry(project_id="7", project_name="p"),
        plain=entry(project_name="p"),
    )
    assert cloud.load("named").project == {"name": "p", "domain": {"name": "D"}}
    assert cloud.load("known").project == {"id": "7"}
    assert cloud.load("plain").project == {"name": "p", "domain": {"id": "default"}}


def test_the_password_is_not_shown(home):
    write(home / "work/clouds.yaml", one=entry())
    assert "secret" not in repr(cloud.load("one"))
