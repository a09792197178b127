"""A time-stamp authority of OpenSSL's on loopback (RFC 3161), with a root certificate of its own."""

from __future__ import annotations

import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from support.answering import answering, http

REPLY: Final = "Content-Type: application/timestamp-reply"
_CONFIG: Final = """\
[tsa]
default_tsa = own
[own]
serial = {directory}/serial
crypto_device = builtin
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = {digests}
ess_cert_id_alg = sha256
[ca]
basicConstraints = critical, CA:true
keyUsage = critical, keyCertSign
[stamp]
basicConstraints = CA:false
keyUsage = critical, digitalSignature
extendedKeyUsage = critical, timeStamping
"""


@dataclass(frozen=True)
class Authority:
    """An authority in a directory of its own; it grants tokens over `digests` alone."""

    directory: Path
    digests: str = "sha256"

    @property
    def root(self) -> Path:
        """Return the certificate that its tokens lead to."""
        return self.directory / "root.pem"

    def found(self) -> None:
        """Make its keys and certificates."""
        self.directory.mkdir()
        config = self.directory / "openssl.cnf"
        config.write_text(_CONFIG.format(directory=self.directory, digests=self.digests), encoding="utf-8")
        (self.directory / "serial").write_text("01\n", encoding="ascii")
        new = ("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc", "-days", "3650")
        root = ("-config", "openssl.cnf", "-extensions", "ca", "-keyout", "root.key", "-out", "root.pem")
        config.write_text("[req]\ndistinguished_name = dn\n[dn]\n" + config.read_text(encoding="utf-8"))
        self.run(*new, "-subj", "/CN=root", *root)
        stamp = ("-config", "openssl.cnf", "-extensions", "stamp", "-keyout", "stamp.key", "-out", "stamp.pem")
        self.run(*new, "-subj", "/CN=stamp", *stamp, "-CA", "root.pem", "-CAkey", "root.key")

    def certify(self, until: datetime) -> None:
        """Give its stamp another certificate, which holds until then."""
        root = x509.load_pem_x509_certificate(self.root.read_bytes())
        key, its_own = (self._key(name) for name in ("root", "stamp"))
        made = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "stamp")]))
            .issuer_name(root.subject)
            .public_key(its_own.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(until - timedelta(days=1))
            .not_valid_after(until)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING]), critical=True)
            .sign(key, SHA256())
        )
        (self.directory / "stamp.pem").write_bytes(made.public_bytes(Encoding.PEM))

    def _key(self, name: str) -> EllipticCurvePrivateKey:
        key = load_pem_private_key((self.directory / f"{name}.key").read_bytes(), None)
        assert isinstance(key, EllipticCurvePrivateKey)
        return key

    def stamp_file(self, path: Path, digest: str = "sha256") -> Path:
        """Put a token of a file beside it, and return where that is."""
        request = self.directory / "query.tsq"
        self.run("ts", "-query", "-data", str(path), f"-{digest}", "-cert", "-out", str(request))
        token = path.with_name(f"{path.name}.tsr")
        token.write_bytes(self.stamp(request.read_bytes()))
        return token

    def stamp(self, request: bytes) -> bytes:
        """Return the answer to a request, granted or not."""
        (self.directory / "request.tsq").write_bytes(request)
        self.run("ts", "-reply", "-config", "openssl.cnf", *_SIGNER, "-queryfile", "request.tsq")
        return (self.directory / "reply.tsr").read_bytes()

    def accepts(self, data: Path, token: Path, *options: str) -> bool:
        """Tell whether `openssl ts -verify` accepts a token over a file."""
        command = ("openssl", "ts", "-verify", "-data", data, "-in", token, "-CAfile", self.root, *options)
        done = subprocess.run(command, capture_output=True, check=False, timeout=60)
        assert (done.returncode == 0) == (b"Verification: OK" in done.stdout + done.stderr)
        return done.returncode == 0

    def run(self, *arguments: str) -> str:
        """Run OpenSSL in the directory, and return what it prints."""
        command = ("openssl", *arguments)
        done = subprocess.run(command, cwd=self.directory, capture_output=True, check=False, timeout=60)
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode() + done.stderr.decode()

    @contextmanager
    def serving(self) -> Generator[str]:
        """Serve requests over HTTP; yield the address."""
        with answering(lambda request: http(self.stamp(request), "200 OK", REPLY)) as url:
            yield url


_SIGNER: Final = ("-signer", "stamp.pem", "-inkey", "stamp.key", "-out", "reply.tsr")
