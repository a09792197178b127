"""How often something may happen: buckets that fill up evenly, shared by all gateways that write to one log.

They are in one small file in the log's sidecar, changed under its own lock. Where they cannot be read or written
nothing is left: what cannot be counted is not let through.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, cast

from aegis_audit.value import Value, replace
from aegis_mcp.decision import Decision, Effect, Request
from aegis_mcp.lock import try_lock, unlock
from aegis_mcp.policy.evaluation import limits_of
from aegis_mcp.policy.model import Limit, Policy

MAX_BUCKETS: Final = 1000
"""Buckets of one file; the one that was used the longest ago is forgotten first, and is full again."""

_MAX_FILE: Final = 256 * 1024
_PATIENCE: Final = 0.05
_PAUSE: Final = 0.0005
_FLAGS: Final = os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0)
_QUICKLY: Final = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


class _Bucket(Value):
    """So many are left at this time, in ns since the epoch: wall time, which all processes share."""

    left: float
    at: int

    def filled(self, limit: Limit, now: int) -> _Bucket:
        """Return the bucket as it is now; a clock that was set back fills nothing."""
        rate = limit.count / (limit.seconds * 1e9)
        return _Bucket(min(limit.count, self.left + max(0, now - self.at) * rate), now)


def path_of(audit_log: Path) -> Path:
    """Return where the buckets of a log are: in its sidecar."""
    return audit_log.parent / f"{audit_log.stem}.tlog" / "limits"


class Limiter:
    """The buckets in the file at `path`."""

    def __init__(self, path: Path, clock: Callable[[], int] = time.time_ns) -> None:
        self._path = path
        self._clock = clock

    def refusal(self, policy: Policy, request: Request, decision: Decision) -> Decision | None:
        """Count a request that may go on; return the denial if there is no room for it, or no way to count it."""
        places = limits_of(policy, request, decision.access)
        if not places:
            return None
        limits = [policy.limits[place] for place in places]
        why = "that is all for now"
        try:
            full = self.take(limits)
        except OSError as exc:
            full, why = 0, f"it cannot be counted ({exc.strerror or exc})"
        if full is None:
            return None
        limit = limits[full]
        reason = f"at most {limit.text}, says the limit in line {limit.line} of {policy.source}; {why}"
        return decision._replace(effect=Effect.DENY, rule=f"limits.{places[full] + 1}", reason=reason)

    def take(self, limits: Sequence[Limit]) -> int | None:
        """Take one of each bucket; return the place, from 0, of the first that has none, and then take nothing.

        Raises:
            OSError: the file cannot be used.
        """
        now = self._clock()
        with self._locked() as descriptor:
            buckets = _read(descriptor, limits, now)
            names = [_name(limit) for limit in limits]
            for name, limit in zip(names, limits, strict=True):
                buckets[name] = buckets.get(name, _Bucket(limit.count, now)).filled(limit, now)
            full = next((place for place, name in enumerate(names) if buckets[name].left < names.count(name)), None)
            for name in names if full is None else ():
                buckets[name] = replace(buckets[name], left=buckets[name].left - 1)
            _write(descriptor, buckets)
        return full

    @contextmanager
    def _locked(self) -> Generator[int]:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        deadline = time.monotonic() + _PATIENCE
        while (descriptor := self._try_lock()) is None:
            if time.monotonic() > deadline:
                raise TimeoutError(f"another process holds {self._path.name}")
            time.sleep(_PAUSE)
        try:
            yield descriptor
        finally:
            unlock(descriptor)
            os.close(descriptor)

    def _try_lock(self) -> int | None:
        descriptor = os.open(self._path, _FLAGS | _QUICKLY, 0o600)
        state = os.fstat(descriptor)
        if stat.S_ISREG(state.st_mode) and try_lock(descriptor):
            if os.fstat(descriptor).st_nlink:
                return descriptor
            unlock(descriptor)
        os.close(descriptor)
        return None


def _name(limit: Limit) -> str:
    """Return what names a bucket: the same limit has the same one in every process and under every policy."""
    access = sorted(access.value for access in limit.match.access or ())
    text = f"{replace(limit.match, access=None)!r} {access} {limit.count}/{limit.seconds}"
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()[:32]


def _read(descriptor: int, limits: Sequence[Limit], now: int) -> dict[str, _Bucket]:
    """Return the buckets, each of `limits` empty if the file is torn: it fills up from there."""
    text = os.pread(descriptor, _MAX_FILE, 0) if hasattr(os, "pread") else os.read(descriptor, _MAX_FILE)
    if not text:
        return {}
    try:
        stored = cast("Mapping[str, Any]", json.loads(text))
        buckets = {name: _Bucket(float(left), int(at)) for name, (left, at) in stored.items()}
        if all(bucket.left >= 0 for bucket in buckets.values()):  # which NaN is not
            return buckets
    except (ValueError, TypeError, AttributeError, OverflowError, RecursionError):
        pass
    return {_name(limit): _Bucket(0, now) for limit in limits}


def _write(descriptor: int, buckets: Mapping[str, _Bucket]) -> None:
    kept = dict(sorted(buckets.items(), key=lambda item: item[1].at)[-MAX_BUCKETS:])
    text = json.dumps({name: [bucket.left, bucket.at] for name, bucket in kept.items()}).encode("ascii")
    os.lseek(descriptor, 0, os.SEEK_SET)
    os.write(descriptor, text)
    os.ftruncate(descriptor, len(text))
