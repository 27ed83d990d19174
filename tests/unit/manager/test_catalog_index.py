"""The newest build by the page of a folder, as several kinds of servers write it."""

import pytest

from imagesvc import errors
from imagesvc.manager import catalog_index

FOLDER = "https://images.example.org/cloud/"
FORM = "{date8}-{int}/"


class Page:
    """A folder whose page is this, asked for at a mirror if there is one."""

    def __init__(self, page, mirror=FOLDER):
        self._page = page
        self._mirror = mirror

    def read(self, family, url):
        assert url == FOLDER
        return self._page.encode()

    def mirrored(self, url):
        return self._mirror


@pytest.mark.parametrize(
    "link",
    [
        '<a href="20260101-10/">', "<A HREF='20260101-10/'>", "<a href=20260101-10/>",
        '<a href="./20260101-10/">', '<a href="/cloud/20260101-10/">',
        '<a class="x" href = "https://images.example.org/cloud/20260101-10/">',
    ],
)  # fmt: skip
def test_a_link_to_a_folder_is_a_build(link):
    page = Page(f'<html><a href="../">..</a><a href="20260101-9/">x</a>{link}x</a>')
    found = catalog_index.newest_folder(page, "acme", FOLDER, FORM)
    assert found == (f"{FOLDER}20260101-10/", "20260101-10")


def test_links_of_a_mirror_are_below_the_folder_that_was_asked():
    page = Page('<a href="/pub/cloud/20260101-1/">', "http://mirror.example/pub/cloud/")
    assert catalog_index.newest_folder(page, "acme", FOLDER, FORM)[0] == f"{FOLDER}20260101-1/"


@pytest.mark.parametrize(
    "link",
    [
        "../20260101-9/", "//other.example/cloud/20260101-9/", "https://[", "20260101-9",
        "x/20260101-9/", "..%2f20260101-9/", "20260101-9/../../x", "/20260101-9/", "latest/",
        "javascript:20260101-9/", "20260101-9/?x", "202601011-9/",
    ],
)  # fmt: skip
def test_what_is_elsewhere_or_of_another_form_is_no_build(link):
    page = Page(f'<html><a href="{link}">20260101-9/</a>')
    with pytest.raises(errors.CatalogRefused, match="names nothing of the form"):
        catalog_index.newest_folder(page, "acme", FOLDER, FORM)


def test_a_page_with_links_without_end_is_refused():
    page = Page('<a href="x/">' * (catalog_index.NAMES_MAX + 1))
    with pytest.raises(errors.CatalogRefused, match="more than 50000 links"):
        catalog_index.names(page, "acme", FOLDER)


def test_folders_below_a_build_come_after_its_name():
    page = Page('<a href="14.9-RELEASE/"><a href="14.10-RELEASE/"><a href="15.0-RELEASE/">')
    found = catalog_index.newest_folder(page, "acme", FOLDER, "14.{int}-RELEASE/amd64/")
    assert found == (f"{FOLDER}14.10-RELEASE/amd64/", "14.10")
