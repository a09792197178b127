"""A time-stamp authority of OpenSSL's on loopback (RFC 3161), with a root certificate of its own."""

from __future__ import annotations

import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

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

    def stamp(self, request: bytes) -> bytes:
        """Return the answer to a request, granted or not."""
        (self.directory / "request.tsq").write_bytes(request)
        self.run("ts", "-reply", "-config", "openssl.cnf", *_SIGNER, "-queryfile", "request.tsq")
        return (self.directory / "reply.tsr").read_bytes()

    def verify(self, data: Path, token: Path) -> str:
        """Return what `openssl ts -verify` says of a token over a file."""
        done = self.run("ts", "-verify", "-data", str(data), "-in", str(token), "-CAfile", "root.pem")
        return done.strip()

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
