"""The samples hold every option and rule."""

from pathlib import Path

import pytest

from imagesvc import errors, opts
from imagesvc.backend import registry
from imagesvc.policy import rule

ETC = Path(__file__).parent.parent.parent / "etc" / "imagesvc"


def test_the_sample_configuration_names_every_option():
    sections = {}
    for block in (ETC / "imagesvc.conf.sample").read_text().split("\n["):
        group, _, text = block.lstrip("[").partition("]")
        sections[group] = text
    for group, options in opts.list_opts():
        for option in options:
            assert f"\n#{option.dest} =" in sections[group], f"{group}.{option.dest}"
            assert option.help, f"{group}.{option.dest} has no help"


def test_the_sample_policy_names_every_rule():
    text = (ETC / "policy.yaml.sample").read_text()
    for default in rule.list_rules():
        assert f'#"{default.name}": "{default.check_str}"' in text


def test_a_missing_configuration_file_is_named(tmp_path):
    with pytest.raises(errors.ConfigurationError, match="no configuration file"):
        opts.load(tmp_path / "absent.conf")


@pytest.fixture
def conf_file(tmp_path):
    """A configuration that says next to nothing."""
    path = tmp_path / "imagesvc.conf"
    path.write_text("[service]\nregion = FromFile\n")
    return path


def test_every_option_may_come_from_the_environment(conf_file, monkeypatch):
    monkeypatch.setenv("OS_SERVICE__REGION", "FromEnvironment")
    monkeypatch.setenv("OS_WORKER__THREADS", "7")
    monkeypatch.setenv("OS_DATABASE__URL", "sqlite:////elsewhere.sqlite")
    conf = opts.load(conf_file)
    assert conf.service.region == "FromEnvironment"
    assert conf.worker.threads == 7
    assert conf.database.url == "sqlite:////elsewhere.sqlite"


def test_an_option_of_a_backend_may_come_from_the_environment(conf_file, monkeypatch, tmp_path):
    monkeypatch.setenv("OS_STORAGE__ENABLED_BACKENDS", "fast:file")
    monkeypatch.setenv("OS_STORAGE_FAST__DIRECTORY", str(tmp_path / "fast"))
    made = registry.Backends(opts.load(conf_file))
    assert made.storage().options.directory == str(tmp_path / "fast")
    made.close()


@pytest.mark.parametrize("named_by", ["file", "environment"])
def test_a_secret_may_come_from_a_file(conf_file, monkeypatch, tmp_path, named_by):
    secret = tmp_path / "url"
    secret.write_text("postgresql://u:pa$$s${x}@h/n\n")
    secret.chmod(0o600)
    if named_by == "file":
        conf_file.write_text(f"[database]\nurl_file = {secret}\n")
    else:
        monkeypatch.setenv("OS_DATABASE__URL_FILE", str(secret))
    assert opts.load(conf_file).database.url == "postgresql://u:pa$$s${x}@h/n"


def test_a_secret_that_everybody_may_read_is_refused(conf_file, tmp_path):
    secret = tmp_path / "url"
    secret.write_text("sqlite:////secret.sqlite")
    secret.chmod(0o644)
    conf_file.write_text(f"[database]\nurl_file = {secret}\n")
    with pytest.raises(errors.ConfigurationError, match="readable by everybody: chmod o= it"):
        opts.load(conf_file)


def test_a_secret_is_not_given_twice(conf_file, tmp_path):
    conf_file.write_text("[database]\nurl = sqlite:////a\nurl_file = /absent\n")
    with pytest.raises(errors.ConfigurationError, match="url and url_file are both set"):
        opts.load(conf_file)
    conf_file.write_text("[database]\nurl_file = /absent\n")
    with pytest.raises(errors.ConfigurationError, match="names /absent"):
        opts.load(conf_file)


def test_a_wrong_value_in_the_environment_is_named(conf_file, monkeypatch):
    monkeypatch.setenv("OS_WORKER__THREADS", "many")
    with pytest.raises(errors.ConfigurationError, match=r"\[worker\] threads .*many"):
        opts.load(conf_file)
