"""What of an import others are told."""

import pytest

from imagesvc.api.glance import task_view
from imagesvc.domain.job import Job, JobType
from imagesvc.domain.state import JobState
from tests.unit.db import make

URL = "https://user:word@bucket.example/a/path?X-Amz-Signature=secret"
ARGS = {
    JobType.IMPORT_URL: {"method": "web-download", "all_must_succeed": True, "stores": ["local"]},
    JobType.IMPORT_TASK: {"import_from_format": "raw", "image_properties": {}},
}


@pytest.mark.parametrize("kind", list(ARGS))
def test_a_stranger_sees_neither_path_nor_query_of_a_url_nor_who_asked(kind):
    job = Job(
        "j", kind, 1, {**ARGS[kind], "uri": URL}, "p", JobState.DONE, make.START,
        user_id="u", request_id="req-x",
    )  # fmt: skip
    assert URL in str(task_view.render(job))
    told = task_view.render(job, own=False)
    assert "https://bucket.example/" in str(told["input"])
    for word in ("secret", "path", "word"):
        assert word not in str(told)
    assert (told["user_id"], told["request_id"]) == (None, None)
