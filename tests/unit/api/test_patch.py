"""JSON patch in both media types."""

import pytest

from imagesvc import errors
from imagesvc.api import patch
from imagesvc.domain.image_property import Change


def test_operations_become_changes():
    document = [
        {"op": "add", "path": "/a~1b", "value": "x"},
        {"op": "replace", "path": "/tags", "value": ["t"]},
        {"op": "remove", "path": "/c~0d"},
    ]
    assert patch.parse(document) == (
        Change("add", ("a/b",), "x"),
        Change("replace", ("tags",), ["t"]),
        Change("remove", ("c~d",)),
    )


def test_the_older_form_names_the_operation_as_the_key():
    document = [{"add": "/a", "value": "x"}, {"remove": "/b"}, {"replace": "/c", "value": None}]
    assert patch.parse(document, old=True) == (
        Change("add", ("a",), "x", must_be_new=True),
        Change("remove", ("b",)),
        Change("replace", ("c",), None),
    )


@pytest.mark.parametrize(
    "path", ["", "a", "/", "//", "/a/", "/a//b", "/a/b/c", "/~", "/a~2", 3, None]
)
def test_a_path_that_is_no_pointer_is_refused(path):
    with pytest.raises(errors.InvalidRequest):
        patch.parse([{"op": "add", "path": path, "value": "x"}])


@pytest.mark.parametrize(
    "document",
    [
        {},
        None,
        "x",
        [1],
        [[]],
        [{}],
        [{"op": "test", "path": "/a", "value": "x"}],
        [{"op": "move", "path": "/a", "from": "/b"}],
        [{"op": "copy", "path": "/a", "from": "/b"}],
        [{"op": ["add"], "path": "/a", "value": "x"}],
        [{"op": "add", "path": "/a"}],
        [{"op": "replace", "path": "/a"}],
        [{"op": "remove", "path": "/a"}] * (patch.OPERATIONS_MAX + 1),
    ],
)
def test_a_malformed_patch_is_refused(document):
    with pytest.raises(errors.InvalidRequest):
        patch.parse(document)


@pytest.mark.parametrize(
    "item", [{"add": "/a"}, {"add": "/a", "remove": "/b"}, {"value": 1}, {"x": "/a"}]
)
def test_a_malformed_older_patch_is_refused(item):
    with pytest.raises(errors.InvalidRequest):
        patch.parse([item], old=True)


def test_an_empty_patch_is_no_change():
    assert patch.parse([]) == ()
