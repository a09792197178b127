"""Signed notes, and the keys that sign them (c2sp.org/signed-note v1.0.0, c2sp.org/tlog-cosignature v1.0.1).

A `Note` that parses encodes back to the same bytes; anything else is refused. A line counts only for the key whose name
*and* id it bears; a line of a known key that does not verify makes the whole note a forgery.
"""

from __future__ import annotations

import base64
import binascii
import re
import struct
from collections.abc import Iterable
from enum import Enum
from hashlib import sha256
from typing import Final

from aegis_audit import signature
from aegis_audit.errors import ForgedSignature, MalformedNote
from aegis_audit.value import Value, field

MAX_NOTE: Final = 262_144
"""Bytes of the longest note that is read; one in a log is shorter than its line."""

MAX_SIGNATURES: Final = 64
"""Lines that are looked at; at least 16 must be (signed-note, "Format")."""

MAX_NAME: Final = 255
"""Bytes of the longest name of a key (tlog-cosignature)."""

_ID_SIZE: Final = 4
_TIMESTAMP: Final = struct.Struct(">Q")
_MAX_TIME: Final = 2**63 - 1
_DASH: Final = "\u2014 "
_CONTROL: Final = re.compile("[\x00-\x09\x0b-\x1f]")
_NO_NAME: Final = re.compile(r"\A\ufeff|[\s+\x00-\x1f]")  # \s is every space of Unicode; \ufeff is an editor's
_PRIVATE: Final = "PRIVATE+KEY+"


class KeyKind(Enum):
    """What a key signs with; its value is the type byte of signed-note."""

    ED25519 = 0x01
    COSIGNATURE = 0x04
    """Ed25519 over the note and a time: how a witness signs (cosignature/v1)."""


class Signature(Value):
    """One line below a note: the name and the 4-byte id of a key, and what it made."""

    name: str
    key_id: bytes
    blob: bytes

    def __str__(self) -> str:
        """Return the line, without its LF."""
        return f"{_DASH}{self.name} {encode64(self.key_id + self.blob)}"

    @classmethod
    def parse(cls, line: str) -> Signature:
        """Read a line, without its LF.

        Raises:
            MalformedNote: it is not exactly in the form of a signature line.
        """
        name, _, coded = line.removeprefix(_DASH).partition(" ")
        if not line.startswith(_DASH) or not is_name(name):
            raise MalformedNote(f"no signature line: {line!r:.200}")
        raw = decode64(coded)
        if len(raw) <= _ID_SIZE:
            raise MalformedNote(f"a signature of {name!r} without content")
        return cls(name, raw[:_ID_SIZE], raw[_ID_SIZE:])

    @property
    def timestamp(self) -> int:
        """Return when a witness says that it saw the note, in seconds since 1970; only of a verified cosignature."""
        return int(_TIMESTAMP.unpack_from(self.blob)[0])


class VerifierKey(Value):
    """The public half of a key, 32 bytes, with the name that it signs by."""

    name: str
    public: bytes
    kind: KeyKind = KeyKind.ED25519
    key_id: bytes = field(init=False)

    def __post_init__(self) -> None:
        digest = sha256(self.name.encode("utf-8") + b"\n" + bytes([self.kind.value]) + self.public).digest()
        object.__setattr__(self, "key_id", digest[:_ID_SIZE])

    def __str__(self) -> str:
        """Return the key as it is handed around: `name+hex8(id)+base64(type || key)`."""
        return f"{self.name}+{self.key_id.hex()}+{encode64(bytes([self.kind.value]) + self.public)}"

    @classmethod
    def parse(cls, text: str) -> VerifierKey:
        """Read a key as it is handed around.

        Raises:
            MalformedNote: it is not in that form, not of a kind that is known here, or not of its own id. If it is a
                private key, the message has nothing of what stands there.
        """
        if _PRIVATE in text:
            raise MalformedNote("expected a public key, found a private one; `aegis-audit keygen --public` shows those")
        name, key_id, raw = _split_key(text, text)
        try:
            key = cls(name, raw[1:], KeyKind(raw[0]))
        except ValueError as exc:
            raise MalformedNote(f"key {name!r} is of type {raw[0]:#04x}, which is not known here") from exc
        if key_id != key.key_id.hex():
            raise MalformedNote(f"key {name!r} has the id {key.key_id.hex()}, not {key_id!r:.20}")
        return key

    def has_signed(self, text: str, made: Signature) -> bool:
        """Tell whether the signature is that of the text by this key."""
        message, blob = text.encode("utf-8"), made.blob
        if self.kind is KeyKind.COSIGNATURE:
            if len(blob) != _TIMESTAMP.size + signature.SIGNATURE_SIZE or made.timestamp > _MAX_TIME:
                return False
            message = f"cosignature/v1\ntime {made.timestamp}\n".encode() + message
            blob = blob[_TIMESTAMP.size :]
        return signature.is_signed_by(self.public, blob, message)


class SigningKey(Value):
    """A private key and its public half: the 32-byte seed never shows in a message or a traceback."""

    name: str
    seed: bytes = field(repr=False)
    verifier: VerifierKey = field(init=False)
    _private: signature.PrivateKey = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_private", signature.private_key(self.seed))
        object.__setattr__(self, "verifier", VerifierKey(self.name, signature.public_key(self._private)))

    @classmethod
    def generate(cls, name: str) -> SigningKey:
        """Return a new key of this name."""
        return cls(name, signature.generate())

    @classmethod
    def parse(cls, text: str) -> SigningKey:
        """Read a private key as Go's note package writes it: `PRIVATE+KEY+name+hex8(id)+base64(type || seed)`.

        Raises:
            MalformedNote: it is not in that form; the message has nothing of what stands there.
        """
        if not text.startswith(_PRIVATE):
            raise MalformedNote("not a private key: it does not begin with 'PRIVATE+KEY+'")
        name, key_id, raw = _split_key(text.removeprefix(_PRIVATE), "a private key")
        key = cls(name, raw[1:])
        if raw[0] != KeyKind.ED25519.value or key_id != key.verifier.key_id.hex():
            raise MalformedNote(f"the private key {name!r} is not of type 0x01, or not of its own id")
        return key

    def encode(self) -> str:
        """Return the key as `parse` reads it: a secret."""
        coded = encode64(bytes([KeyKind.ED25519.value]) + self.seed)
        return f"{_PRIVATE}{self.name}+{self.verifier.key_id.hex()}+{coded}"

    def sign(self, text: str) -> Signature:
        """Return the signature of a text that ends in LF."""
        return Signature(self.name, self.verifier.key_id, signature.sign(self._private, text.encode("utf-8")))


class Note(Value):
    """A text that ends in LF, and the signatures below it, at least one."""

    text: str
    signatures: tuple[Signature, ...]

    @classmethod
    def parse(cls, raw: bytes) -> Note:
        """Read a note: the text is what stands before the last empty line.

        Raises:
            MalformedNote: it is not exactly in the form of signed-note.
        """
        if len(raw) > MAX_NOTE:
            raise MalformedNote(f"a note of {len(raw)} bytes, at most {MAX_NOTE} are read")
        try:
            whole = raw.decode("utf-8")
        except UnicodeDecodeError as exc:
            raise MalformedNote("a note that is not UTF-8") from exc
        if _CONTROL.search(whole):
            raise MalformedNote("a note with a control character")
        text, gap, below = whole.rpartition("\n\n")
        lines = below.split("\n")
        if not gap or not text or lines.pop():
            raise MalformedNote("a note is a text, an empty line, and signature lines to the end")
        if not 0 < len(lines) <= MAX_SIGNATURES:
            raise MalformedNote(f"a note with {len(lines)} signatures, 1 to {MAX_SIGNATURES} are accepted")
        return cls(text + "\n", tuple(map(Signature.parse, lines)))

    def __str__(self) -> str:
        """Return the note as text."""
        return self.text + "\n" + "".join(f"{made}\n" for made in self.signatures)

    def encode(self) -> bytes:
        """Return the bytes that `parse` reads."""
        return str(self).encode("utf-8")

    def signed_by(self, keys: Iterable[VerifierKey]) -> dict[VerifierKey, Signature]:
        """Return the signature of each of these keys that has signed; lines of other keys are left alone.

        Raises:
            ForgedSignature: a line has the name and id of one of the keys, and does not verify.
        """
        known = {(key.name, key.key_id): key for key in keys}
        signed: dict[VerifierKey, Signature] = {}
        for made in self.signatures:
            key = known.get((made.name, made.key_id))
            if key is None:
                continue
            if not key.has_signed(self.text, made):
                raise ForgedSignature(made.name)
            signed.setdefault(key, made)
        return signed


def sign(text: str, keys: Iterable[SigningKey]) -> Note:
    """Return the note of a text that ends in LF, signed by these keys in their order."""
    return Note(text, tuple(key.sign(text) for key in keys))


def is_name(name: str) -> bool:
    """Tell whether a key may have this name: not empty, without spaces and `+`, at most 255 bytes.

    What begins with a byte order mark is no name of another log: an editor has put it in front of the file.
    """
    return 0 < len(name.encode("utf-8", "surrogatepass")) <= MAX_NAME and not _NO_NAME.search(name)


def encode64(raw: bytes) -> str:
    """Encode bytes in base64, with padding (RFC 4648 §4)."""
    return base64.b64encode(raw).decode("ascii")


def decode64(text: str) -> bytes:
    """Decode base64 in its only canonical form (RFC 4648 §4), padding included.

    Raises:
        MalformedNote: the text is not what the bytes encode to.
    """
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as exc:
        raise MalformedNote("what should be base64 is not") from exc
    if encode64(raw) != text:
        raise MalformedNote("base64 that is not in canonical form")
    return raw


def _split_key(text: str, what: str) -> tuple[str, str, bytes]:
    """Return the name, the id in hex, and the 33 bytes of type and key."""
    name, _, rest = text.partition("+")
    key_id, _, coded = rest.partition("+")
    if not is_name(name) or len(coded) > 64:
        raise MalformedNote(f"expected a key as name+id+base64, found {what!r:.200}")
    raw = decode64(coded)
    if len(raw) != 1 + signature.SEED_SIZE:
        raise MalformedNote(f"key {name!r} has {len(raw)} bytes, expected 33")
    return name, key_id, raw
