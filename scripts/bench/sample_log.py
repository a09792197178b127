"""A log as a gateway writes it: made by the writer's own chain, of any length, and always the same."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import count, islice
from pathlib import Path
from typing import Any, Final

from aegis_audit import canonical, chain
from aegis_audit.checkpoint import Checkpoint
from aegis_audit.entry import Draft
from aegis_audit.note import SigningKey, sign
from aegis_audit.tree import EMPTY

_ORIGIN: Final = "desk.example/aegis"
_CHECKPOINT_EVERY: Final = 256
_SESSION: Final = hashlib.sha256(b"session").hexdigest()[:32]
_START: Final = datetime(2026, 11, 2, 8, 0, 0, 123456, UTC)
_POLICY: Final = hashlib.sha256(b"policy").hexdigest()
_CLIENT: Final = {"name": "desk", "version": "1.2.3"}
_DENIED_EVERY: Final = 20
_CALLS: Final[tuple[tuple[str, dict[str, Any]], ...]] = (
    ("read_text_file", {"path": "/home/ada/work/engine/notes/2026-11-02.md"}),
    ("list_directory", {"path": "/home/ada/work/engine"}),
    ("search_files", {"excludePatterns": ["*.o", ".git"], "path": "/home/ada/work", "pattern": "Bernoulli"}),
    ("read_multiple_files", {"paths": ["/home/ada/work/a.txt", "/home/ada/work/b.txt", "/home/ada/work/ü.txt"]}),
)


def write(path: Path, entries: int, *, is_signed: bool = False) -> None:
    """Write a log of so many entries, at least one; signed, it has a checkpoint after every 255 of them."""
    with path.open("xb") as log:
        log.writelines(_lines(entries, is_signed=is_signed))


def grow(path: Path, entries: int, more: int) -> None:
    """Append so many entries more to an unsigned log that was written with `entries`."""
    with path.open("ab") as log:
        log.writelines(islice(_lines(entries + more, is_signed=False), entries, None))


def _lines(entries: int, *, is_signed: bool) -> Iterator[bytes]:
    head, now, tree = chain.GENESIS, _START, EMPTY
    keys = [SigningKey(_ORIGIN, b"L" * 32), SigningKey(f"{_ORIGIN}/e/0", b"E" * 32)]
    drafts = _drafts({"log_key": str(keys[0].verifier), "epoch_key": str(keys[1].verifier)} if is_signed else {})
    for seq in range(entries):
        now += timedelta(microseconds=1500)
        if is_signed and seq % _CHECKPOINT_EVERY == _CHECKPOINT_EVERY - 1:
            note = sign(Checkpoint(_ORIGIN, tree.size, tree.root()).text, keys)
            draft = _draft("checkpoint", {"note": str(note)})
        else:
            draft = next(drafts)
        line, head = chain.append(head, draft, now.strftime("%Y-%m-%dT%H:%M:%S.%fZ"))
        if is_signed:
            tree = tree.append(bytes.fromhex(head.entry_hash))
        yield line


def _drafts(keys: dict[str, str]) -> Iterator[Draft]:
    yield _draft("security_event", {"kind": "log_opened", "origin": _ORIGIN, "version": "0.1.0"} | keys)
    for number in count():
        tool, arguments = _CALLS[number % len(_CALLS)]
        named = {"method": "tools/call", "request_id": number, "server": "files", "tool": tool}
        trace = hashlib.sha256(b"%d" % number).hexdigest()
        if number % _DENIED_EVERY == 0:
            yield _draft("access_denied", named | _judged(arguments, "deny") | _DENIAL, trace[:32])
            continue
        yield _draft("tool_invocation", named | _judged(arguments, "allow") | {"phase": "intent"}, trace[:32])
        yield _draft("tool_invocation", named | _outcome(number, trace), trace[:32])


_DENIAL: Final = {"forwarded": False, "reason": "no rule allows it, and the default for a write is deny"}


def _judged(arguments: dict[str, Any], effect: str) -> dict[str, Any]:
    return {
        "access": "read",
        "access_from": "policy",
        "arguments": arguments,
        "client": _CLIENT,
        "decision": effect,
        "policy_sha256": _POLICY,
        "rule": "defaults.read",
        "tool_sha256": _POLICY,
    }


def _outcome(number: int, result_sha256: str) -> dict[str, Any]:
    size = 200 + number % 5000
    return {
        "duration_us": 900 + number % 700,
        "phase": "outcome",
        "result_bytes": size,
        "result_sha256": result_sha256,
        "status": "ok",
    }


def _draft(event_type: str, event: dict[str, Any], trace_id: str | None = None) -> Draft:
    return Draft(event_type, canonical.encode(event), _SESSION, trace_id)
