"""The driver on the page for authors runs and keeps the laws."""

import re
import subprocess
import sys
import textwrap
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "driver" / "index.rst"
_BLOCK = re.compile(r"   :caption: (\S+\.py)\n\n((?:   .*\n|\n)+)")


def test_the_template_driver_keeps_the_laws(tmp_path):
    blocks = dict(_BLOCK.findall(PAGE.read_text("utf-8")))
    assert sorted(blocks) == ["acme_sink.py", "test_acme_sink.py"]
    for name, text in blocks.items():
        (tmp_path / name).write_text(textwrap.dedent(text), "utf-8")
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-p", "imagesvc.testing.plugin"),
            *("-c", "/dev/null", "--rootdir", str(tmp_path)),
            str(tmp_path / "test_acme_sink.py"),
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"TestAcmeSink: \d+ passed, 0 failed, 0 skipped", done.stdout)
