import base64
import io
import os

import pytest
import tink
from tink import secret_key_access, streaming_aead

from imagesvc.interface.errors import IntegrityError
from imagesvc.stream import envelope
from imagesvc.stream.envelope import Decryptor, Encryptor, Layout

KEY = bytes(range(32))
ASSOCIATED = b"imagesvc"
SMALL = Layout(64)
# Salt 202122..3f and prefix 40414243444546; what `tink` makes of them.
RANDOM = bytes(range(0x20, 0x47))
HEADER = b"\x28" + RANDOM
VECTORS = (
    (b"", 64, "6a9a823f4d581af7ec24e81aaf798a6a"),
    (b"", 1 << 20, "6a9a823f4d581af7ec24e81aaf798a6a"),
    (b"hello", 64, "35cda64c6d937a1ef4370d82da4c72265e49f36e4b"),
    (b"hello wor", 64, "8c236455e5ba6b81f37b10864820ab3fe565145f2eb4fde0"
                       "eaebfa0a7e2a4c5bd0e6083d69c270b441"),
    (b"hello wor", 1 << 20, "35cda64c6d3c4f510b780828dcffef3bf9aa00be1fc73bdc0e"),
)  # fmt: skip
SIZES = (0, 1, 7, 8, 9, 55, 56, 57, 103, 104, 105, 152, 153, 500)


def encrypted(data: bytes, layout: Layout = SMALL, step: int = 1 << 20) -> bytes:
    cipher = Encryptor(KEY, ASSOCIATED, layout)
    parts = [one for at in range(0, len(data), step) for one in cipher.feed(data[at : at + step])]
    return b"".join(parts + cipher.finish())


def decrypted(
    data: bytes, layout: Layout = SMALL, key: bytes = KEY, associated: bytes = ASSOCIATED
) -> bytes:
    cipher = Decryptor(key, associated, data[: envelope.HEADER_BYTES], len(data), layout)
    found = b""
    for number in range(cipher.last + 1):
        start = layout.sealed_start(number)
        found += cipher.open(number, data[start : start + cipher.sealed_size(number)])
    return found


@pytest.mark.parametrize(("plain", "segment_bytes", "sealed"), VECTORS)
def test_the_known_bytes_are_written_and_read(
    plain: bytes, segment_bytes: int, sealed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "urandom", lambda size: RANDOM[:size])
    made = encrypted(plain, Layout(segment_bytes))

    assert made == HEADER + bytes.fromhex(sealed)
    assert decrypted(made, Layout(segment_bytes)) == plain


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("step", [1, 48, 1000])
def test_what_is_read_is_what_was_written(size: int, step: int) -> None:
    data = os.urandom(size)
    made = encrypted(data, step=step)

    assert decrypted(made) == data
    assert len(made) == SMALL.sealed_bytes(size)
    assert SMALL.plain_bytes(len(made)) == size


@pytest.mark.parametrize("size", SIZES)
def test_each_plain_byte_lies_in_the_segment_that_is_told(size: int) -> None:
    for offset in range(size):
        number = SMALL.segment_of(offset)
        assert SMALL.plain_start(number) <= offset < SMALL.plain_start(number + 1)


def _tink(segment_bytes: int):  # the package that others read and write the format with
    streaming_aead.register()
    count = segment_bytes
    varint = bytearray()
    while count > 0x7F:
        varint.append(0x80 | count & 0x7F)
        count >>= 7
    varint.append(count)
    params = b"\x08" + bytes(varint) + b"\x10\x20\x18\x03"
    key = b"\x12" + bytes([len(params)]) + params + b"\x1a\x20" + KEY
    text = (
        '{"primaryKeyId":1,"key":[{"keyData":{"typeUrl":'
        '"type.googleapis.com/google.crypto.tink.AesGcmHkdfStreamingKey","value":"'
        + base64.b64encode(key).decode()
        + '","keyMaterialType":"SYMMETRIC"},"status":"ENABLED","keyId":1,'
        '"outputPrefixType":"RAW"}]}'
    )
    handle = tink.json_proto_keyset_format.parse(text, secret_key_access.TOKEN)
    return handle.primitive(streaming_aead.StreamingAead)


class _Sink(io.BytesIO):
    def close(self) -> None:  # the stream of tink closes what it writes to
        pass


@pytest.mark.parametrize("size", [*SIZES, 3 * 64 + 11])
def test_tink_reads_ours_and_we_read_tinks(size: int) -> None:
    data, primitive = os.urandom(size), _tink(64)
    with primitive.new_decrypting_stream(io.BytesIO(encrypted(data)), ASSOCIATED) as stream:
        assert stream.read() == data
    sink = _Sink()
    with primitive.new_encrypting_stream(sink, ASSOCIATED) as stream:
        stream.write(data)
    assert decrypted(sink.getvalue()) == data


def test_tink_reads_our_segments_of_a_mebibyte() -> None:
    data, primitive = os.urandom((2 << 20) + 5), _tink(1 << 20)
    made = encrypted(data, envelope.LAYOUT)
    with primitive.new_decrypting_stream(io.BytesIO(made), ASSOCIATED) as stream:
        assert stream.read() == data


@pytest.mark.parametrize("size", SIZES)
def test_cut_bytes_are_refused(size: int) -> None:
    made = encrypted(os.urandom(size))
    for end in range(len(made)):
        with pytest.raises(IntegrityError):
            decrypted(made[:end])


@pytest.mark.parametrize("more", [1, 16, 64, 65])
@pytest.mark.parametrize("size", [5, 8, 56, 104])
def test_bytes_after_the_end_are_refused(size: int, more: int) -> None:
    with pytest.raises(IntegrityError):
        decrypted(encrypted(os.urandom(size)) + os.urandom(more))


def test_any_changed_bit_is_refused() -> None:
    made = encrypted(os.urandom(120))
    for at in range(len(made)):
        wrong = bytearray(made)
        wrong[at] ^= 1 << at % 8
        with pytest.raises(IntegrityError):
            decrypted(bytes(wrong))


def test_segments_stay_in_their_place_and_object() -> None:
    first, other = encrypted(os.urandom(152)), encrypted(os.urandom(152))
    swapped = first[:64] + first[128:192] + first[64:128] + first[192:]
    repeated = first[:128] + first[64:128] + first[192:]
    foreign = first[:64] + other[64:128] + first[128:]
    for wrong in (swapped, repeated, foreign):
        with pytest.raises(IntegrityError):
            decrypted(wrong)


def test_another_key_or_place_opens_nothing() -> None:
    made = encrypted(b"some bytes that are secret")
    with pytest.raises(IntegrityError):
        decrypted(made, key=bytes(32))
    with pytest.raises(IntegrityError):
        decrypted(made, associated=b"elsewhere")


def test_no_two_objects_are_alike() -> None:
    assert encrypted(b"the same") != encrypted(b"the same")


def test_the_counter_of_segments_never_wraps() -> None:
    cipher = Encryptor(KEY, ASSOCIATED, SMALL)
    cipher._segment = envelope.SEGMENTS_MAX
    with pytest.raises(OverflowError):
        cipher.finish()
