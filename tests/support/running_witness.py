"""A witness as its own process, by the rules of c2sp.org/tlog-witness v1.0.0: started with its name, its state, and the
keys of the logs that it knows. It says its port, and takes `POST /add-checkpoint` on loopback until its input ends.
"""

from __future__ import annotations

import base64
import json
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from aegis_audit.checkpoint import Checkpoint
from aegis_audit.errors import ForgedSignature, MalformedNote
from aegis_audit.note import KeyKind, Note, Signature, SigningKey, VerifierKey
from aegis_audit.tree import is_consistent

PREFIX: Final = "/prefix"


@dataclass(frozen=True)
class RunningWitness:
    """A witness that runs: its key, where it is, and what it remembers."""

    key: VerifierKey
    url: str
    state: Path

    def line(self, name: str) -> str:
        """Return its line in a policy."""
        return f"witness {name} {self.key} {self.url}\n"

    def remembered(self, origin: str) -> int:
        """Return how large a log is to it; 0 if it has never seen it."""
        return json.loads(self.state.read_bytes()).get(origin, [0])[0] if self.state.exists() else 0

    def believe(self, origin: str, size: int, root: bytes) -> None:
        """Let it have cosigned another checkpoint before."""
        self.state.write_text(json.dumps({origin: [size, root.hex()]}), encoding="utf-8")


def key_of(name: str) -> VerifierKey:
    """Return the public key of a witness of this name."""
    return VerifierKey(name, SigningKey(name, _seed(name)).verifier.public, KeyKind.COSIGNATURE)


@contextmanager
def witness(directory: Path, name: str, *log_keys: VerifierKey) -> Generator[RunningWitness]:
    """Run a witness that knows these logs."""
    state = directory / f"{name.replace('/', '-')}.json"
    command = (sys.executable, "-m", "support.running_witness", name, str(state), *map(str, log_keys))
    env = {"PYTHONPATH": str(Path(__file__).parents[1])}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=env) as process:
        assert process.stdin
        assert process.stdout
        try:
            port = int(process.stdout.readline())
            yield RunningWitness(key_of(name), f"http://127.0.0.1:{port}{PREFIX}", state)
        finally:
            process.stdin.close()


def _seed(name: str) -> bytes:
    return sha256(b"the seed of " + name.encode()).digest()


class _Witness(HTTPServer):
    """One request at a time, so that a state is compared and replaced in one step."""

    def __init__(self, name: str, state: Path, log_keys: list[VerifierKey]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.key = key_of(name)
        self.state = state
        self.log_keys = log_keys

    def judge(self, body: bytes) -> tuple[int, bytes, str]:
        """Return status, body and content type of the answer."""
        head, _, raw = body.partition(b"\n\n")
        first, *lines = head.decode().split("\n")
        try:
            old = int(first.removeprefix("old "))
            proof = [base64.b64decode(line, validate=True) for line in lines]
            note = Note.parse(raw)
            checkpoint = Checkpoint.parse(note.text)
        except (MalformedNote, ValueError):
            return 400, b"", "text/plain"
        keys = [key for key in self.log_keys if key.name == checkpoint.origin]
        try:
            is_signed = bool(note.signed_by(keys))
        except ForgedSignature:
            is_signed = False
        if not keys or not is_signed:
            return (403 if keys else 404), b"", "text/plain"
        return self._extend(old, proof, checkpoint, note.text)

    def _extend(self, old: int, proof: list[bytes], checkpoint: Checkpoint, text: str) -> tuple[int, bytes, str]:
        states: dict[str, tuple[int, str]] = json.loads(self.state.read_bytes()) if self.state.exists() else {}
        size, root = states.get(checkpoint.origin, (0, sha256().hexdigest()))
        if old > checkpoint.size or len(proof) > 63:
            return 400, b"", "text/plain"
        if old != size:
            return 409, f"{size}\n".encode(), "text/x.tlog.size"
        grown = is_consistent(size, bytes.fromhex(root), checkpoint.size, checkpoint.root, proof)
        if not (grown if size else not proof):
            return 422, b"", "text/plain"
        new = self.state.with_suffix(".new")
        new.write_text(json.dumps(states | {checkpoint.origin: (checkpoint.size, checkpoint.root.hex())}))
        new.replace(self.state)
        return 200, self._cosign(text), "text/plain"

    def _cosign(self, text: str) -> bytes:
        now = int(time.time())
        message = f"cosignature/v1\ntime {now}\n{text}".encode()
        made = Ed25519PrivateKey.from_private_bytes(_seed(self.key.name)).sign(message)
        return f"{Signature(self.key.name, self.key.key_id, struct.pack('>Q', now) + made)}\n".encode()


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        assert isinstance(self.server, _Witness)
        body = self.rfile.read(int(self.headers["Content-Length"]))
        is_known = self.path == f"{PREFIX}/add-checkpoint"
        status, answer, kind = self.server.judge(body) if is_known else (405, b"", "text/plain")
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing."""


def _serve(name: str, state: str, *log_keys: str) -> None:
    server = _Witness(name, Path(state), [VerifierKey.parse(key) for key in log_keys])
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdout.write(f"{server.server_address[1]}\n")
    sys.stdout.flush()
    sys.stdin.read()


if __name__ == "__main__":
    _serve(*sys.argv[1:])
