"""Log lines: two forms, facts, the request's id, and no secret."""

import json
import logging
import sys

import pytest

from imagesvc import context
from imagesvc.cmd import log

SECRET = "hunter2hunter2hunter2"


def write(formatter, message, *args, exc_info=None):
    """What the formatter makes of one line."""
    record = logging.LogRecord("imagesvc.test", 20, "f", 1, message, args, exc_info)
    return formatter.format(record)


@pytest.mark.parametrize("formatter", [log.TextFormatter(), log.JsonFormatter()])
@pytest.mark.parametrize(
    "line",
    [
        f"X-Auth-Token: {SECRET}",
        f"x-subject-token={SECRET}",
        f"{{'X-Auth-Token': '{SECRET}', 'Host': 'h'}}",
        f'{{"auth": {{"password": "{SECRET}", "user": "u"}}}}',
        f'{{\\"password\\": \\"{SECRET}\\"}}',
        f"password='{SECRET}'",
        f"Authorization: SDK-HMAC-SHA256 Access=AK, Signature={SECRET}",
        f"authorization=Bearer {SECRET}",
        f"Cookie: session={SECRET}; other={SECRET}",
        f"http://h/imagesvc/v1/signed/i/0?expires=1&signature={SECRET}",
        f"https://s3/b/k?X-Amz-Credential={SECRET}&X-Amz-Signature={SECRET}&x=1",
        f"postgresql://u:{SECRET}@h/n",
        f"gAAAAAB{SECRET}{SECRET}==",
        f"secret_key = {SECRET}",
    ],
)
def test_a_secret_is_masked_wherever_it_stands(formatter, line):
    assert SECRET not in write(formatter, line)
    assert SECRET not in write(formatter, "A step failed cause=%s job_id=%s", line, "j")
    assert log.MASK in write(formatter, line)
    try:
        raise RuntimeError(line)
    except RuntimeError:
        assert SECRET not in write(formatter, "Failed.", exc_info=sys.exc_info())


def test_what_is_no_secret_stays():
    line = "job claimed job_id=4f type=create-servers step=0 key=a/b/0-1 path=/v2/images/x"
    assert log.mask(line) == line


def test_json_has_the_facts_as_members_and_numbers_as_numbers():
    message = "request method=%s status=%s ms=%.1f token=%s 100%% user=%s: %s"
    line = write(log.JsonFormatter(), message, "GET", 200, 1.23456, SECRET, None, "done")
    found = json.loads(line)
    assert found["facts"] == {
        "method": "GET", "status": 200, "ms": 1.235, "token": log.MASK, "user": None,
    }  # fmt: skip
    assert found["level"] == "INFO"
    assert found["time"].endswith("Z")
    assert found["message"].startswith("request method=GET status=200")


@pytest.mark.parametrize("formatter", [log.TextFormatter(), log.JsonFormatter()])
def test_a_line_names_the_request_and_stays_one_line(formatter):
    token = context.current_request_id.set("req-own")
    try:
        line = write(formatter, "Something was seen id=%s", "i")
    finally:
        context.current_request_id.reset(token)
    assert "req-own" in line
    assert "\n" not in line
    assert "req-own" not in write(formatter, "Something was seen id=%s", "i")


@pytest.mark.parametrize("form", ["text", "json"])
def test_the_configured_form_goes_to_the_configured_file(installation, form):
    path = installation.folder / "service.log"
    installation.configure(f"[log]\nformat = {form}\nfile = {path}\n")
    installation.configure("[storage_local]\ndirectory = /proc/none\n")
    done = installation.run("worker")
    assert done.returncode == 2
    lines = path.read_text().splitlines()
    assert any("A backend changed state" in line for line in lines)
    if form == "json":
        assert {json.loads(line)["level"] for line in lines} == {"WARNING"}
