"""Signed notes: the published vectors, and that nothing but the exact form is one."""

from __future__ import annotations

import base64
import re
from contextlib import suppress
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aegis_audit.errors import ForgedSignature, MalformedNote
from aegis_audit.note import (
    MAX_NOTE,
    MAX_SIGNATURES,
    KeyKind,
    Note,
    Signature,
    SigningKey,
    VerifierKey,
    is_name,
    sign,
)

# The example of c2sp.org/signed-note v1.0.0.
SPEC_KEY: Final = VerifierKey.parse("example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k")
SPEC_NOTE: Final = (
    "This is an example message.\n\n— example.com/foo "
    "Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n"
).encode()

# The example of golang.org/x/mod/sumdb/note, whose private key is published with it.
PETER: Final = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"
PETER_KEY: Final = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
ENOCH_KEY: Final = "EnochRoot+af0cfe78+ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop"
GO_TEXT: Final = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
PETER_LINE: Final = (
    "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM="
)
ENOCH_LINE: Final = (
    "— EnochRoot rwz+eBzmZa0SO3NbfRGzPCpDckykFXSdeX+MNtCOXm2/5n2tiOHp+vAF1aGrQ5ovTG01oOTGwnWLox33WWd1RvMc+QQ="
)

KEY: Final = SigningKey("aegis.example/log", bytes(range(32)))
LINE: Final = str(KEY.sign("text\n"))


def test_the_example_of_the_specification_verifies() -> None:
    note = Note.parse(SPEC_NOTE)
    assert (note.text, note.encode()) == ("This is an example message.\n", SPEC_NOTE)
    assert list(note.signed_by([SPEC_KEY])) == [SPEC_KEY]
    assert (str(SPEC_KEY), SPEC_KEY.key_id.hex()) == (
        "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
        "530d903a",
    )


def test_the_example_of_go_is_signed_to_the_same_bytes() -> None:
    key = SigningKey.parse(PETER)
    assert (key.encode(), str(key.verifier)) == (PETER, PETER_KEY)
    assert sign(GO_TEXT, [key]).encode() == f"{GO_TEXT}\n{PETER_LINE}\n".encode()


def test_a_note_of_two_signers_verifies_by_either_and_by_both() -> None:
    note = Note.parse(f"{GO_TEXT}\n{PETER_LINE}\n{ENOCH_LINE}\n".encode())
    peter, enoch = VerifierKey.parse(PETER_KEY), VerifierKey.parse(ENOCH_KEY)
    assert list(note.signed_by([enoch, peter])) == [peter, enoch]
    assert list(note.signed_by([enoch])) == [enoch]
    assert list(note.signed_by([SPEC_KEY])) == []


def test_a_changed_text_is_a_forgery_and_not_malformed() -> None:
    note = Note.parse(SPEC_NOTE.replace(b"an example", b"no example"))
    with pytest.raises(ForgedSignature, match=r"'example\.com/foo' does not verify"):
        note.signed_by([SPEC_KEY])


def test_a_line_counts_by_name_and_id_together() -> None:
    """The same name with another id is another key, and the same id under another name too: both are left alone."""
    key = KEY.verifier
    same_name = SigningKey(KEY.name, bytes(32)).sign("text\n")
    same_id = Signature("aegis.example/other", key.key_id, bytes(64))
    assert Note("text\n", (same_name, same_id)).signed_by([key]) == {}
    assert list(Note("text\n", (same_name, same_id, KEY.sign("text\n"))).signed_by([key])) == [key]


def test_one_false_line_of_a_known_key_spoils_the_true_one_beside_it() -> None:
    true = KEY.sign("text\n")
    false = Signature(true.name, true.key_id, bytes(64))
    for lines in ((true, false), (false, true)):
        with pytest.raises(ForgedSignature):
            Note("text\n", lines).signed_by([KEY.verifier])


def test_a_line_that_comes_twice_counts_once() -> None:
    made = KEY.sign("text\n")
    assert Note("text\n", (made, made)).signed_by([KEY.verifier]) == {KEY.verifier: made}


@pytest.mark.parametrize(
    "raw",
    [
        *(b"", b"\n", b"\n\n", b"text\n", b"text\n\n", b"text\n\n\n"),
        f"text\n{LINE}\n".encode(),  # no empty line
        f"text\n\n{LINE}".encode(),  # no end
        f"text\n\n{LINE}\n\n".encode(),
        f"text\n\n{LINE}\njunk\n".encode(),
        f"text\n\n{LINE}\njunk".encode(),
        f"{LINE}\n".encode(),  # neither
        f"text\n\njunk\n{LINE}\n".encode(),
        f"text\n\n {LINE}\n".encode(),
        f"text\n\n{LINE} \n".encode(),
        f"text\r\n\r\n{LINE}\r\n".encode(),
        f"text\n\n{LINE}\r\n".encode(),
        f"te\txt\n\n{LINE}\n".encode(),
        f"te\0xt\n\n{LINE}\n".encode(),
        f"te\x1fxt\n\n{LINE}\n".encode(),
        b"te\xffxt\n\n" + f"{LINE}\n".encode(),
        b"te\xed\xa0\x80xt\n\n" + f"{LINE}\n".encode(),  # a lone surrogate
        f"\n{LINE}\n".encode(),  # no text
        f"\n\n{LINE}\n".encode(),
        *(
            f"text\n\n{LINE.replace('— ', dash)}\n".encode()
            for dash in ("- ", "– ", "― ", "−− ", "—", "—  ", "—\u00a0")
        ),
        *(f"text\n\n{LINE.replace(KEY.name, name)}\n".encode() for name in ("", "a b", "a+b", "a\u2003b", "a\u0085b")),
        f"text\n\n{LINE.replace(KEY.name, 'x' * 256)}\n".encode(),
        f"text\n\n{LINE[:-1]}\n".encode(),  # a missing pad
        f"text\n\n{LINE}=\n".encode(),
        f"text\n\n{LINE[:-2]}*=\n".encode(),
        b"text\n\n\xe2\x80\x94 name AAAAAA==\n",  # an id and no signature
        b"text\n\n\xe2\x80\x94 name AAAAAAB=\n",
        b"text\n\n\xe2\x80\x94 name\n",
        f"text\n\n{(LINE + chr(10)) * (MAX_SIGNATURES + 1)}".encode(),
        b"x" * MAX_NOTE + f"\n\n{LINE}\n".encode(),
    ],
)
def test_what_is_not_exactly_a_note_is_malformed(raw: bytes) -> None:
    with pytest.raises(MalformedNote):
        Note.parse(raw)


def test_a_name_has_1_to_255_bytes_and_no_space_or_plus() -> None:
    for name in ("x", "ü", "x" * 255, "ü" * 127 + "x", "\ud800"):
        assert is_name(name)
    for name in ("", "x" * 256, "ü" * 128, " ", "a b", "a+b", "a\n", "\x1f", "\u2003"):
        assert not is_name(name)


def test_base64_has_one_form_only() -> None:
    """The last digit of 68 bytes has two bits to spare, which a lenient decoder does not look at."""
    name, coded = LINE.removeprefix("— ").split(" ")
    digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    accepted = [
        digit
        for digit in digits
        if base64.b64decode(changed := coded[:-2] + digit + "=") == base64.b64decode(coded)
        and _is_note(f"text\n\n— {name} {changed}\n")
    ]
    assert accepted == [coded[-2]]
    assert not _is_note(f"text\n\n— {name} {coded[:40]} {coded[40:]}\n")
    assert not _is_note(f"text\n\n— {name} {coded.replace('+', '-').replace('/', '_')}\n")


def _is_note(text: str) -> bool:
    try:
        Note.parse(text.encode())
    except MalformedNote:
        return False
    return True


@pytest.mark.parametrize("count", [1, 16, 17, MAX_SIGNATURES])
def test_as_many_signatures_are_read_as_a_log_and_its_witnesses_need(count: int) -> None:
    others = [SigningKey(f"witness-{n}.example", bytes([n]) * 32) for n in range(1, count)]
    note = Note.parse(sign("text\n", [*others, KEY]).encode())
    assert len(note.signatures) == count
    assert list(note.signed_by([KEY.verifier])) == [KEY.verifier]


def test_the_text_ends_at_the_last_empty_line() -> None:
    text = f"one\n\ntwo\n\n{LINE}\n\n\n"
    note = Note.parse(sign(text, [KEY]).encode())
    assert note.text == text
    assert list(note.signed_by([KEY.verifier])) == [KEY.verifier]


@given(st.binary(max_size=300) | st.text(max_size=200).map(str.encode))
def test_bytes_are_refused_as_malformed_or_read_back_the_same(raw: bytes) -> None:
    for whole in (raw, raw + f"\n\n{LINE}\n".encode(), b"text\n\n" + raw):
        try:
            note = Note.parse(whole)
        except MalformedNote:
            continue
        assert note.encode() == whole


@given(st.integers(0, len(SPEC_NOTE) * 8 - 1))
def test_no_flipped_bit_leaves_the_example_signed(bit: int) -> None:
    raw = bytearray(SPEC_NOTE)
    raw[bit // 8] ^= 1 << bit % 8
    with suppress(MalformedNote, ForgedSignature):
        assert SPEC_KEY not in Note.parse(bytes(raw)).signed_by([SPEC_KEY])


@pytest.mark.parametrize(
    "text",
    [
        *("", "+", "++", "name", "name+530d903a", "name+530d903a+"),
        "example.com/foo+530D903A+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
        "example.com/foo+530d903b+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
        "example.com/bar+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
        "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2",
        "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2l",
        "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k\n",
        " example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
        "example.com/foo+530d903a+AukyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",  # type 0x02, ECDSA
        "example.com/foo+530d903a+" + base64.b64encode(b"\x01" + bytes(31)).decode(),
        "example.com/foo+530d903a+" + "A" * 10_000,
        *(str(VerifierKey(name, bytes(32))) for name in ("", "a b", "a\n", "x" * 256)),
    ],
)
def test_what_is_not_exactly_a_key_is_refused(text: str) -> None:
    with pytest.raises(MalformedNote):
        VerifierKey.parse(text)


@pytest.mark.parametrize(
    "text", [PETER[1:], PETER_KEY, PETER.replace("c74f20a3", "c74f20a4"), PETER + "\n", PETER[:-2]]
)
def test_a_private_key_that_is_refused_is_not_repeated(text: str) -> None:
    with pytest.raises(MalformedNote) as caught:
        SigningKey.parse(text)
    assert PETER[-40:-4] not in str(caught.value)


def test_a_private_key_does_not_show_itself() -> None:
    key = SigningKey.parse(PETER)
    assert repr(key) == "SigningKey(name='PeterNeumann')"


WITNESS: Final = SigningKey("witness.example/w1", bytes(reversed(range(32))))
WITNESS_KEY: Final = VerifierKey(WITNESS.name, WITNESS.verifier.public, KeyKind.COSIGNATURE)


def cosign(text: str, at: int) -> Signature:
    made = WITNESS.sign(f"cosignature/v1\ntime {at}\n{text}")
    return Signature(WITNESS.name, WITNESS_KEY.key_id, at.to_bytes(8) + made.blob)


def test_a_cosignature_says_when_it_was_made() -> None:
    for at in (0, 1_764_115_200, 2**63 - 1):
        note = Note.parse(Note("text\n", (KEY.sign("text\n"), cosign("text\n", at))).encode())
        assert note.signed_by([WITNESS_KEY])[WITNESS_KEY].timestamp == at
    assert re.fullmatch(r"witness\.example/w1\+[0-9a-f]{8}\+B[A-Za-z0-9+/]{43}", str(WITNESS_KEY))
    assert VerifierKey.parse(str(WITNESS_KEY)) == WITNESS_KEY


@pytest.mark.parametrize(
    "blob",
    [
        (1_764_115_201).to_bytes(8) + cosign("text\n", 1_764_115_200).blob[8:],  # another time
        cosign("text\n", 1_764_115_200).blob[:-1],
        cosign("text\n", 1_764_115_200).blob + b"\0",
        cosign("text\n", 1_764_115_200).blob[8:],  # no time
        WITNESS.sign("text\n").blob,
        b"1234",
        cosign("text\n", 2**63).blob,
        cosign("another\n", 1_764_115_200).blob,
    ],
)
def test_a_cosignature_of_anything_else_is_a_forgery(blob: bytes) -> None:
    note = Note("text\n", (Signature(WITNESS.name, WITNESS_KEY.key_id, blob),))
    with pytest.raises(ForgedSignature):
        note.signed_by([WITNESS_KEY])


def test_a_witness_key_does_not_verify_as_the_key_of_a_log() -> None:
    note = Note("text\n", (cosign("text\n", 1),))
    assert note.signed_by([WITNESS.verifier]) == {}
