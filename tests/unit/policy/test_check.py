"""Permission: a question has one answer for a second, and policy files are read again then."""

import os
import sys
import threading

import pytest
from oslo_config import cfg

from imagesvc import context
from imagesvc.policy import check

READER = context.RequestContext("u", "p", frozenset({"reader"}))
MEMBER = context.RequestContext("u", "p", frozenset({"member"}))
OWN, FOREIGN = {"owner": "p"}, {"owner": "q"}


@pytest.fixture
def moment():
    return [0.0]


@pytest.fixture
def policy_file(tmp_path):
    return tmp_path / "policy.yaml"


@pytest.fixture
def enforcer(moment, policy_file):
    # A file, as a default that is set would be that of the whole process.
    path = policy_file.with_name("imagesvc.conf")
    path.write_text(f"[oslo_policy]\npolicy_file = {policy_file}\n")
    conf = cfg.ConfigOpts()
    conf(args=[], default_config_files=[str(path)])
    return check.Enforcer(conf, clock=lambda: moment[0])


def test_each_caller_action_and_target_has_an_answer_of_its_own(enforcer):
    for _ in range(2):
        assert enforcer.allows(MEMBER, "image:update", OWN)
        assert not enforcer.allows(MEMBER, "image:update", FOREIGN)
        assert not enforcer.allows(READER, "image:update", OWN)
        assert enforcer.allows(READER, "image:get", FOREIGN)


def test_a_question_is_put_to_the_rules_once_a_second(enforcer, moment, monkeypatch):
    asked = []
    ask = enforcer._ask
    monkeypatch.setattr(enforcer, "_ask", lambda *args: asked.append(args) or ask(*args))
    for moment[0] in (0.0, 0.5, 0.9, 1.0, 1.1):
        assert enforcer.allows(READER, "image:get", OWN)
    assert len(asked) == 2


def test_a_changed_policy_file_is_obeyed_after_a_second(enforcer, moment, policy_file):
    assert enforcer.allows(READER, "image:list")
    policy_file.write_text('"image:list": "!"\n')
    moment[0] = 1.0
    assert not enforcer.allows(READER, "image:list")


def test_nobody_is_denied_while_a_changed_file_is_read(enforcer, policy_file):
    denied, over = [], threading.Event()
    enforcer._clock = lambda: float("inf")  # no answer is kept

    def ask():
        while not over.is_set():
            if not enforcer.allows(READER, "image:list"):
                denied.append(True)

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)  # threads take turns within a reading of the file
    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for number in range(100):
        policy_file.write_text(f'"image:create": "role:member or role:{number}"\n')
        os.utime(policy_file, (0, 4_000_000_000 + number))  # newer each time
        enforcer.allows(MEMBER, "image:create", OWN)
    over.set()
    for thread in threads:
        thread.join()
    sys.setswitchinterval(before)
    assert denied == []


def test_answers_do_not_pile_up(enforcer):
    for number in range(check._ANSWERS_MAX + 10):
        enforcer.allows(READER, "image:get", {"owner": f"p{number}"})
    assert len(enforcer._answers) <= check._ANSWERS_MAX
