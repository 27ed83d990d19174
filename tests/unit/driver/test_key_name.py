"""Names of keys at a KMS that knows no projects: written, read back, and never mistaken."""

import re
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagesvc.interface import errors
from imagesvc.interface.encryption import KEY_ID_LENGTH_MAX
from imagesvc_drivers.client import key_name

PROJECT = st.from_regex(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,40}[A-Za-z0-9])?", fullmatch=True)
NAME = st.text(st.characters(exclude_categories=("Cs",)), max_size=20)
# What Vault takes as the name of a key.
VAULT = re.compile(r"\w(([\w-]|\.)*\w)?", re.ASCII)


@given(PROJECT, NAME, st.uuids())
def test_a_name_is_read_as_it_was_written(project_id, name, key_id):
    wanted = key_name.KeyName(project_id, str(key_id), name)
    assert key_name.parse(str(wanted)) == wanted
    assert VAULT.fullmatch(str(wanted))


def test_a_project_that_looks_like_a_key_takes_no_key_of_another():
    one, other = str(uuid.uuid4()), str(uuid.uuid4())
    odd = key_name.KeyName(f"mine-{one}", other, "abcdefabcdef")
    assert key_name.parse(str(odd)) == odd


@given(PROJECT, st.text(max_size=20))
def test_a_token_makes_one_id(project_id, token):
    found = key_name.id_of(project_id, token)
    assert found == key_name.id_of(project_id, token)
    assert uuid.UUID(found).version == 4
    assert found != key_name.id_of(f"{project_id}1", token)
    assert found != key_name.id_of(project_id, f"{token}1")


def test_ids_stay_as_they_are():
    """A token of before an upgrade still finds its key."""
    assert key_name.id_of("project", "token") == "cb8fbeb5-c02a-46cb-a03a-069b0c32a409"


@pytest.mark.parametrize(
    "text",
    [
        "", "imagesvc", "imagesvc-p", "other-p-3f2f4f0e-0000-4000-8000-000000000000",
        "imagesvc--3f2f4f0e-0000-4000-8000-000000000000",
        "imagesvc-p/q-3f2f4f0e-0000-4000-8000-000000000000",
        "imagesvc-p-3F2F4F0E-0000-4000-8000-000000000000",
        "imagesvc-p-3f2f4f0e-0000-4000-8000-000000000000\n",
        "imagesvc-p-3f2f4f0e-0000-4000-8000-000000000000-",
        "imagesvc-p-3f2f4f0e-0000-4000-8000-000000000000-_ff",
        "imagesvc-p-3f2f4f0e-0000-4000-8000-000000000000/config",
    ],
)  # fmt: skip
def test_the_names_of_others_are_none(text):
    assert key_name.parse(text) is None


@pytest.mark.parametrize("name", ["", "é" * 34, "x" * 207])
def test_what_is_written_is_an_id(name):
    assert len(str(key_name.make("a", "token", name))) <= KEY_ID_LENGTH_MAX


@pytest.mark.parametrize(
    ("project_id", "name"),
    [("", "x"), ("a/b", "x"), (".a", "x"), ("a" * 129, "x"), ("a", "é" * 35), ("a", "x" * 209)],
)
def test_what_cannot_be_written_is_refused(project_id, name):
    with pytest.raises(errors.InvalidArgument):
        key_name.make(project_id, "token", name)
