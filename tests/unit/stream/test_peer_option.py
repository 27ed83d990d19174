"""The sections of other regions: what is missing or wrong is said at the start."""

import pytest

from imagesvc import errors, opts
from imagesvc.stream import peer_option

GOOD = "endpoint = https://west.example.com:9292/\nusername = u\npassword = p\n"


def loaded(folder, regions, **sections):
    """The other regions of a configuration."""
    path = folder / "imagesvc.conf"
    text = f"[service]\nregion = East\nregions = {regions}\n"
    path.write_text(text + "".join(f"[region_{one}]\n{body}" for one, body in sections.items()))
    return peer_option.read(opts.load(path))


def test_a_region_is_called_as_its_id_and_gives_its_own_tokens_as_a_rule(tmp_path):
    [west] = loaded(tmp_path, "west", west=GOOD)
    assert (west.id, west.name, west.endpoint, west.auth_url) == (
        "west", "west", "https://west.example.com:9292", "https://west.example.com:9292/v3",
    )  # fmt: skip
    assert "p'" not in repr(west)


def test_a_password_may_lie_in_a_file(tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("from a file\n")
    secret.chmod(0o600)
    text = GOOD.replace("password = p", f"password_file = {secret}")
    [west] = loaded(tmp_path, "west", west=text + "auth_url = http://keystone/identity/v3\n")
    assert (west.password, west.auth_url) == ("from a file", "http://keystone/identity/v3")


@pytest.mark.parametrize(
    ("regions", "text", "said"),
    [
        ("West", GOOD, "no id of its own"),
        ("west, west", GOOD, "no id of its own"),
        ("west", "username = u\npassword = p\n", "endpoint is not set"),
        ("west", GOOD.replace("password = p", ""), "password is not set"),
        ("west", GOOD.replace("https", "ftp"), "no plain http or https URL"),
        ("west", GOOD.replace(":9292", ":99999"), "no plain http or https URL"),
        ("west", GOOD.replace("west.example", "u:p@west.example"), "no plain http or https URL"),
        ("west", GOOD + "name = East\n", "or of this one"),
    ],
)
def test_what_is_wrong_is_said(tmp_path, regions, text, said):
    with pytest.raises(errors.ConfigurationError, match=said):
        loaded(tmp_path, regions, west=text)
