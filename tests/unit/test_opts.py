"""The samples hold every option and rule."""

from pathlib import Path

import pytest

from imagesvc import errors, opts
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
