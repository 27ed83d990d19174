"""Sections of backends."""

import pytest
from oslo_config import cfg

from imagesvc import errors
from imagesvc.backend import config, loader
from imagesvc.backend import kind as kinds
from imagesvc.interface import errors as driver_errors

KIND = kinds.find("storage")


def read(configure, text):
    conf = configure(text)
    config.register(conf)
    return conf


def options(configure, text):
    conf = read(configure, text)
    found = loader.load(KIND, ["stub"])["stub"]
    return config.options(conf, KIND, "fast", found.driver_class)


def test_backends_come_in_the_operators_order(configure):
    conf = read(configure, "[storage]\nenabled_backends = fast:s3, local:file ,b2:file\n")
    assert list(config.enabled(conf, KIND).items()) == [
        ("fast", "s3"),
        ("local", "file"),
        ("b2", "file"),
    ]


@pytest.mark.parametrize(
    "item", ["file", "Fast:file", "a-b:file", "1a:file", ":file", "a:", "a:file,a:s3", "a_b:file"]
)
def test_a_wrong_item_is_named(configure, item):
    conf = read(configure, f"[storage]\nenabled_backends = {item}\n")
    with pytest.raises(errors.ConfigurationError, match=r"\[storage\] enabled_backends"):
        config.enabled(conf, KIND)


@pytest.mark.parametrize(
    ("text", "ids", "expected"),
    [
        ("", ("a",), "a"),
        ("default_backend = b\n", ("a", "b"), "b"),
    ],
)
def test_the_default(configure, text, ids, expected):
    conf = read(configure, "[storage]\n" + text)
    assert config.default_id(conf, KIND, ids) == expected


@pytest.mark.parametrize(
    ("text", "ids"), [("", ("a", "b")), ("default_backend = c\n", ("a", "b")), ("", ())]
)
def test_no_usable_default_says_what_to_do(configure, text, ids):
    conf = read(configure, "[storage]\n" + text)
    with pytest.raises(errors.ConfigurationError, match=r"\[storage\]"):
        config.default_id(conf, KIND, ids)


def test_a_kind_that_is_not_essential_may_be_empty(configure):
    assert config.default_id(read(configure, ""), kinds.find("compute"), ()) is None


def test_an_unknown_kind_is_named():
    with pytest.raises(errors.ConfigurationError, match="nothing"):
        kinds.find("nothing")


def test_a_driver_gets_its_own_section(configure, stubs):
    found = options(
        configure, "[storage_fast]\nplace = there\nsize = 3\n[storage_local]\nplace = no\n"
    )
    assert (found.place, found.size, found.password) == ("there", 3, None)


def test_options_never_show_their_values(configure, stubs):
    found = options(configure, "[storage_fast]\npassword = hunter2\n")
    assert found.password == "hunter2"
    assert "hunter2" not in repr(found)


def test_a_secret_may_come_from_a_file(configure, stubs, tmp_path):
    path = tmp_path / "secret"
    path.write_text("hunter2\n")
    path.chmod(0o600)
    found = options(configure, f"[storage_fast]\npassword_file = {path}\n")
    assert found.password == "hunter2"
    assert not hasattr(found, "password_file")


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("password = a\npassword_file = /dev/null\n", "password_file"),
        ("password_file = /nonexistent/secret\n", "password_file"),
        ("size = 0\n", "size"),
        ("size = much\n", "size"),
    ],
)
def test_a_wrong_value_names_its_option(configure, stubs, text, named):
    with pytest.raises(driver_errors.InvalidConfiguration, match=named):
        options(configure, "[storage_fast]\n" + text)


def test_a_required_option_is_missed(configure, distribute, stubs):
    found = loader.load(KIND, ["stub"])["stub"].driver_class

    class Strict(found):
        OPTS = (cfg.StrOpt("bucket", required=True, help="Bucket."),)

    with pytest.raises(driver_errors.InvalidConfiguration, match="bucket is not set"):
        config.options(read(configure, ""), KIND, "fast", Strict)


def test_the_environment_reaches_a_section(configure, stubs, monkeypatch):
    monkeypatch.setenv("OS_STORAGE_FAST__PLACE", "environment")
    assert options(configure, "").place == "environment"


def test_every_listed_option_is_explained():
    groups = dict(config.list_opts())
    assert {kind.name for kind in kinds.KINDS} <= set(groups)
    assert "storage_local" in groups
    for group, listed in groups.items():
        for option in listed:
            assert option.help, f"[{group}] {option.name}"
