"""Lists of digests as publishers write them."""

import pytest

from imagesvc.stream import digest_list
from imagesvc.stream.digest_list import UnusableListError

ONE, TWO = "a" * 64, "b" * 64
LONG = "c" * 128


@pytest.mark.parametrize(
    ("grammar", "text"),
    [
        ("gnu", f"{TWO}  b.img\n{ONE}  a.img\n"),
        ("gnu", f"{ONE} *a.img\r\n"),
        ("bsd", f"# a.img: 12 bytes\nSHA256 (a.img) = {ONE}\nSHA512 (a.img) = {LONG}\n"),
        ("single", ONE),
        ("single", f"{ONE}  a.img\n"),
        ("digests", f"# SHA512 HASH\n{LONG}  a.img\n# SHA256 HASH\n{ONE}  a.img\n"),
    ],
)
def test_each_grammar_gives_the_digest_of_the_expected_file(grammar, text):
    found = digest_list.digest_of(text.encode(), "a.img", grammar=grammar)
    assert found == (("sha512", LONG) if LONG in text else ("sha256", ONE))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (f"{ONE}  b.img\n", "does not name"),
        (f"{ONE}  ../a.img\n", "does not name"),
        (f"{ONE}  x/a.img\n", "does not name"),
        (f"{ONE[:-1]}  a.img\n", "does not name"),
        (f"{ONE}  a.img\n{TWO}  a.img\n", "several digests"),
        ("<!DOCTYPE html>", "web page"),
        ("\n" * 50_001, "more than 50000 lines"),
        ("x" * ((4 << 20) + 1), "more than 4194304 bytes"),
    ],
)
def test_a_list_that_cannot_be_believed_is_refused_with_its_reason(text, told):
    with pytest.raises(UnusableListError, match=told):
        digest_list.digest_of(text.encode(), "a.img", grammar="gnu")


def test_names_that_lead_elsewhere_are_none_of_the_list():
    text = f"{ONE}  ../up\n{ONE}  /etc/x\n{ONE}  a\x01b\n{ONE}  ok-1.img\n".encode()
    assert digest_list.names(text, grammar="gnu") == {"ok-1.img"}
