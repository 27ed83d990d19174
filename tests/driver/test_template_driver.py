"""A stranger's package: the wheel of the service and the template driver in a place of their own.

The commands are those of the driver authors' page, in its order, as they stand there.
"""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import textwrap
import zipfile
from pathlib import Path

import pytest

from tests.client.conftest import free_port

ROOT = Path(__file__).parents[2]
TEMPLATE = ROOT / "docs" / "driver" / "imagesvc-sqlite"
PAGE = ROOT / "docs" / "driver" / "index.rst"
PACKAGES = ("imagesvc", "imagesvc_drivers")
DATA = "etc"

# They share a wheel and an environment that take long to make.
pytestmark = pytest.mark.xdist_group("template")
FOLDER_ON_THE_PAGE, PORT_ON_THE_PAGE = "/srv/first-hour", "9292"
_BLOCK = re.compile(r"   :caption: (\S.*)\n\n((?:   .*\n|\n)+)")
LIMIT_S = 280


def call(*command, **options):
    """Run a command; it fails the test with its own words."""
    done = subprocess.run(
        [str(word) for word in command], capture_output=True, text=True, timeout=LIMIT_S, **options
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="session")
def wheel(tmp_path_factory):
    """Our wheel, built from a copy of the tree, so that nothing old of a build gets into it."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    source.mkdir()
    for name in ("setup.cfg", "setup.py", "README.rst"):
        shutil.copy(ROOT / name, source)
    for name in (*PACKAGES, DATA):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    call(
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "-q",
        "--no-deps",
        "--use-pep517",
        "-w",
        folder,
        source,
    )
    (made,) = folder.glob("*.whl")
    return made


@pytest.fixture(scope="session")
def place(tmp_path_factory, wheel):
    """A folder with a virtual environment that has our wheel, and the files of the page.

    The libraries that the wheel needs are those of the tests' own environment.
    """
    folder = tmp_path_factory.mktemp("first-hour")
    venv = folder / "venv"
    call(sys.executable, "-m", "venv", venv)
    site = Path(sysconfig.get_path("purelib", vars={"base": str(venv)}))
    call(venv / "bin" / "pip", "install", "-q", "--no-deps", "--no-compile", wheel)
    (site / "tests-own.pth").write_text(sysconfig.get_path("purelib") + "\n")
    for path in TEMPLATE.iterdir():
        if path.is_file():
            shutil.copy(path, folder)
    for name, text in blocks().items():
        if name in ("imagesvc.conf", "clouds.yaml"):
            (folder / name).write_text(text)
    replace = {FOLDER_ON_THE_PAGE: str(folder), PORT_ON_THE_PAGE: str(free_port())}
    for name in ("imagesvc.conf", "clouds.yaml"):
        text = (folder / name).read_text()
        for old, new in replace.items():
            text = text.replace(old, new)
        (folder / name).write_text(text)
    return folder


def blocks():
    """Caption -> text of the page's blocks."""
    return {name: textwrap.dedent(text) for name, text in _BLOCK.findall(PAGE.read_text("utf-8"))}


def first_hour(place, number):
    """Do the commands of a console block of the page; give what they print."""
    commands = re.findall(r"^\$ (.*)$", blocks()[f"first hour, {number}"], re.MULTILINE)
    assert commands
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment["PATH"] = f"{place / 'venv' / 'bin'}:{Path(sys.executable).parent}:/usr/bin:/bin"
    environment["HOME"] = str(place)
    environment["no_proxy"] = "127.0.0.1"
    commands.insert(0, "trap 'kill %1 2>/dev/null || true' EXIT")  # where one of them fails
    return call("bash", "-emc", "\n".join(commands), cwd=place, env=environment)


@pytest.fixture(scope="session")
def laws(place):
    """What the page's first commands print."""
    return first_hour(place, 1)


def test_the_wheel_holds_all_of_the_packages(wheel):
    with zipfile.ZipFile(wheel) as archive:
        found = set(archive.namelist())
    wanted = {
        str(path.relative_to(ROOT))
        for name in PACKAGES
        for path in (ROOT / name).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert {
        name for name in found if name.startswith(tuple(f"{one}/" for one in PACKAGES))
    } == wanted
    shared = {name.partition("/share/imagesvc/")[2] for name in found}
    assert {"catalog.d/debian.yaml", "catalog.d/keys/rocky-9.asc"} <= shared


def test_imagesvc_itself_comes_from_the_wheel(place):
    code = "import imagesvc, imagesvc_drivers as d; print(imagesvc.__file__, d.__file__)"
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    found = call(place / "venv" / "bin" / "python", "-c", code, cwd=place, env=environment).split()
    assert all(path.startswith(str(place / "venv")) for path in found), found


def test_the_template_driver_keeps_all_laws_outside_of_the_checkout(laws):
    assert re.search(r"^TestSqliteStorage: \d+ passed, 0 failed, 0 skipped$", laws, re.MULTILINE)
    assert "killed at 0 named points and" in laws
    assert "[flushed local files]" in laws
    assert "[local-file not promised]" in laws


def test_the_service_keeps_an_image_with_the_template_driver(place, laws):
    said = first_hour(place, 2)
    row = "storage     mine       sqlite     imagesvc-sqlite 1.0       1.0       ok"
    assert row in said
    assert "| status           | active" in said
    assert (place / "image.sqlite").stat().st_size > 3_000_000
