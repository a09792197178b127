"""Ed25519 signatures (RFC 8032): the one door to cryptography.

Keys are their raw 32 bytes, signatures their 64. What does not verify is False, never an exception: the caller knows
what was signed, and says what that means.
"""

from __future__ import annotations

from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

SEED_SIZE: Final = 32
"""Bytes of a private key, which is also its seed."""

PrivateKey = Ed25519PrivateKey

SIGNATURE_SIZE: Final = 64
"""Bytes of a signature."""


def generate() -> bytes:
    """Return a new private key from the system's source of randomness."""
    return Ed25519PrivateKey.generate().private_bytes_raw()


def private_key(seed: bytes) -> PrivateKey:
    """Return the private key of a seed: to derive it takes as long as to sign with it.

    Raises:
        ValueError: `seed` is not 32 bytes long.
    """
    return Ed25519PrivateKey.from_private_bytes(seed)


def public_key(key: PrivateKey) -> bytes:
    """Return the public half of a private key, 32 bytes."""
    return key.public_key().public_bytes_raw()


def sign(key: PrivateKey, message: bytes) -> bytes:
    """Return the signature of a message."""
    return key.sign(message)


def is_signed_by(public: bytes, signature: bytes, message: bytes) -> bool:
    """Tell whether a signature is that of the message by the key; False for what is no key or no signature."""
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True
