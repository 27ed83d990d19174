"""Installations to be killed, and the guest that they run."""

import subprocess
from pathlib import Path

import pytest

from tests.crash.paper_station import PaperStation
from tests.crash.station import Station

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
def station(tmp_path):
    """A fresh installation; what it started is ended."""
    made = Station(tmp_path)
    yield made
    made.stop()


@pytest.fixture(scope="session")
def guest(tmp_path_factory):
    """The smallest bootable guest, raw."""
    out = tmp_path_factory.mktemp("guest") / "spark.raw"
    subprocess.run(
        [ROOT / "tools" / "make-test-image", "spark", out], check=True, capture_output=True
    )
    return out


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request, tmp_path):
    """The URL of an empty database on each engine."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/imagesvc.sqlite"
    return request.getfixturevalue("postgresql_url")


@pytest.fixture
def paper(tmp_path, url):
    """Makes an installation with servers on paper; what it started is ended."""
    made = []

    def go(**options):
        made.append(PaperStation(tmp_path, url, **options))
        return made[-1]

    yield go
    for one in made:
        one.close()
