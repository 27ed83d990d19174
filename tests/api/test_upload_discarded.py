"""An upload whose bytes somebody takes out of the store before it is whole."""

import io
import logging
from pathlib import Path

import pytest

from tests.api.caller import OCTETS, Caller

DATA = b"x" * 3_000_000


class Thief(io.BytesIO):
    """A body; once it was read the store has lost what was written."""

    def __init__(self, folder):
        super().__init__(DATA)
        self._folder = folder

    def read(self, size=-1):
        data = super().read(size)
        if not data:
            for part in (self._folder / ".part").iterdir():
                part.unlink()
        return data


@pytest.mark.parametrize("verb", ["file", "stage"])
def test_the_answer_says_what_to_do_and_the_log_has_no_traceback(app, conf, caplog, verb):
    owner = Caller(app)
    image_id = owner.create()["id"]
    folder = Path(conf.storage_local.directory)
    with caplog.at_level(logging.INFO):
        found = owner.request(
            "PUT",
            f"/v2/images/{image_id}/{verb}",
            kind=OCTETS,
            headers={"Transfer-Encoding": "chunked"},
            extras={"wsgi.input": Thief(folder), "wsgi.input_terminated": True},
        )
    assert found.status_code == 409
    assert "removed before it was whole" in found.text
    assert not [one for one in caplog.records if one.exc_info]
    assert owner.get(f"/v2/images/{image_id}").json["status"] == "queued"
    assert owner.upload(image_id, DATA).status_code == 204
    assert owner.get(f"/v2/images/{image_id}/file").content == DATA
