"""Secrets that rows keep."""

from imagesvc.manager.seal import Sealer

ONE, OTHER = Sealer(b"1" * 32), Sealer(b"2" * 32)


def test_a_sealed_text_opens_where_it_belongs_and_nowhere_else():
    sealed = ONE.seal("secret ü", "row")
    assert ONE.open(sealed, "row") == "secret ü"
    assert ONE.open(sealed, "another row") is None
    assert OTHER.open(sealed, "row") is None
    assert "secret" not in sealed
    assert ONE.seal("secret ü", "row") != sealed


def test_what_is_broken_or_absent_does_not_open():
    sealed = ONE.seal("secret", "row")
    for broken in ("", "AAAA", sealed[:-4], "A" + sealed[1:], "no base64!"):
        assert ONE.open(broken, "row") is None
