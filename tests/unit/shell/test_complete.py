"""`imagesvc complete` gives a script with which bash completes our commands."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

IMAGESVC = Path(sys.executable).with_name("imagesvc")
# What the script takes from the package bash-completion.
STUB = """
_get_comp_words_by_ref() { words=("${COMP_WORDS[@]}"); cur=${words[COMP_CWORD]}; prev=x; }
"""


@pytest.fixture
def script(tmp_path):
    """The script, made without any cloud or service."""
    done = subprocess.run(
        [IMAGESVC, "complete"],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=tmp_path,
        env=os.environ | {"HOME": str(tmp_path), "OS_CLIENT_CONFIG_FILE": "/nonexistent"},
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.mark.skipif(not shutil.which("bash"), reason="bash is not installed")
@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (("imagesvc", "ser"), "server"),
        (("imagesvc", "server", "ca"), "capture"),
        (("imagesvc", "job", "show", "--for"), "--format"),
    ],
)
def test_bash_completes_with_it(script, words, wanted):
    assert script.endswith("complete -F _imagesvc imagesvc\n")
    typed = " ".join(words)
    text = f"{script}\n{STUB}\nCOMP_WORDS=({typed}); COMP_CWORD={len(words) - 1}\n"
    text += '_imagesvc; printf "%s\\n" "${COMPREPLY[@]}"\n'
    done = subprocess.run(["bash"], input=text, capture_output=True, text=True, timeout=30)
    assert wanted in done.stdout.split(), done.stderr
