"""Time stamps (RFC 3161): what an authority says of when bytes were there, judged by certificates that were given.

A token is accepted if its signature, its chain of certificates at the time that it states and its purpose hold. It is
a contradiction if it is of other bytes, or if its signature fails while its certificates hold. Any other proves
nothing: one of an authority that was exchanged, or of a certificate that had expired by then, is no forgery.
The libraries for it are loaded where a certificate is given, and not before.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from aegis_audit.errors import ForgedStamp, MissingExtra, UnprovenStamp, UnusableCertificate

if TYPE_CHECKING:
    from cryptography.x509 import Certificate
    from rfc3161_client.tsp import MessageImprint, TimeStampResponse

MAX_CERTIFICATES: Final = 1 << 20
"""Bytes of a file with certificates."""

_PEM: Final = b"-----BEGIN CERTIFICATE-----"
_DIGESTS: Final = {
    "2.16.840.1.101.3.4.2.1": hashlib.sha256,
    "2.16.840.1.101.3.4.2.2": hashlib.sha384,
    "2.16.840.1.101.3.4.2.3": hashlib.sha512,
}
_FALSE_SIGNATURE: Final = 'reason: "signature failure"'
"""How OpenSSL says, once the certificates of a signer hold, that the signature does not."""
_WHY: Final = re.compile('"Verify error: ([^"]+)"')
"""How it says why they do not."""


@dataclass(frozen=True, slots=True)
class Stamp:
    """What a token proves: the bytes were there at this time (RFC 3339, UTC), as the holder of this name says."""

    time: str
    authority: str


def load_certificates(data: bytes) -> tuple[Certificate, ...]:
    """Return the certificates in a file: any number in PEM, or one in DER.

    Raises:
        UnusableCertificate: it holds none.
    """
    from cryptography.x509 import load_der_x509_certificate, load_pem_x509_certificates  # noqa: PLC0415

    try:
        return tuple(load_pem_x509_certificates(data)) if _PEM in data else (load_der_x509_certificate(data),)
    except ValueError as exc:
        raise UnusableCertificate("it holds no certificate") from exc


class Authorities:
    """The authorities whose tokens lead to one of these certificates.

    Raises:
        MissingExtra: the library that reads tokens is not installed.
    """

    def __init__(self, certificates: Sequence[Certificate]) -> None:
        try:
            from rfc3161_client import VerifierBuilder  # noqa: PLC0415 - an extra
        except ImportError as exc:
            raise MissingExtra("time stamps need the extra: aegis-mcp-audit[timestamp]") from exc
        self._verifier = VerifierBuilder(roots=list(dict.fromkeys(certificates))).build()

    def judge(self, token: bytes, data: bytes) -> Stamp:
        """Return what a token, a `TimeStampResp` in DER, proves of bytes.

        Raises:
            ForgedStamp: it contradicts the bytes, or its own certificates.
            UnprovenStamp: it is none that the certificates can say anything of.
        """
        from rfc3161_client import VerificationError, decode_timestamp_response  # noqa: PLC0415 - an extra

        try:
            response = decode_timestamp_response(token)
            digest = _check_imprint(response.tst_info.message_imprint, data)
            self._verifier.verify(response, digest)
            return Stamp(response.tst_info.gen_time.isoformat().replace("+00:00", "Z"), _signer_of(response))
        except ValueError as exc:
            raise UnprovenStamp("it is no whole token") from exc
        except VerificationError as exc:
            if _FALSE_SIGNATURE in str(exc):
                raise ForgedStamp("the signature of the authority", "one that does not verify") from exc
            why = _WHY.search(str(exc))
            raise UnprovenStamp(why[1] if why else str(exc)[:100]) from exc


def _check_imprint(imprint: MessageImprint, data: bytes) -> bytes:
    """Return the hash that a token states, which has to be that of the data."""
    make = _DIGESTS.get(imprint.hash_algorithm.dotted_string)
    if make is None:
        raise UnprovenStamp("it is made with a hash that is not known here")
    if not hmac.compare_digest(imprint.message, make(data).digest()):
        raise ForgedStamp("a token of these bytes", f"one of others, with the hash {imprint.message.hex()}")
    return imprint.message


def _signer_of(response: TimeStampResponse) -> str:
    """Return the name in the certificate by which a token is signed."""
    from cryptography.x509 import load_der_x509_certificate  # noqa: PLC0415

    (signer,) = response.signed_data.signer_infos
    certificates = map(load_der_x509_certificate, response.signed_data.certificates)
    names = (
        one.subject for one in certificates if (one.issuer, one.serial_number) == (signer.issuer, signer.serial_number)
    )
    return next(names, signer.issuer).rfc4514_string()
