"""What drivers make of an answer that is not the bytes of an image."""

import json

import pytest

from imagesvc.interface import errors
from imagesvc.interface.image_source import ImageSource
from imagesvc_drivers.client import image_fetch
from tests.web_server import answer, serving

DISABLED = json.dumps({"error": {"reason": "key-unavailable", "message": "The key is disabled."}})


def brought(folder, status, body=b""):
    """Fetch from a server that always answers so."""
    with serving(lambda _, connection: connection.sendall(answer(body, status=status))) as web:
        source = ImageSource(
            image_id="one", disk=0, disk_format="raw", size_bytes=9, virtual_size_bytes=9,
            digest="0" * 128, url=web.url("/secret"), local_path=None,
        )  # fmt: skip
        return image_fetch.bring(source, folder, 5.0)


def test_a_key_that_opens_nothing_is_told_as_that(tmp_path):
    with pytest.raises(errors.KeyUnavailable) as caught:
        brought(tmp_path, "409 Conflict", DISABLED.encode())
    assert "key" in caught.value.user_message
    assert "secret" not in caught.value.operator_message


@pytest.mark.parametrize(
    "body",
    [b"", b"no JSON", b"[1]", b'{"error": 1}', b'{"error": {"reason": "x"}}', b"\0" * 99_999],
)
def test_what_else_is_refused_is_away(tmp_path, body):
    with pytest.raises(errors.Unavailable) as caught:
        brought(tmp_path, "409 Conflict", body)
    assert "409" in caught.value.operator_message
