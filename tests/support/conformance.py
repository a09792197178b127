"""The official conformance suite, run against a server on stdio through the bridge."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from support.tools import conformance_suite

BRIDGE: Final = Path(__file__).with_name("bridge.py")
EVERYTHING: Final = (sys.executable, "-P", str(Path(__file__).with_name("everything.py")))

Checks = dict[tuple[str, int], dict[str, Any]]
"""What the suite has found: its checks, by their scenario and their place in it."""

_WAIT_SECONDS: Final = 240.0
_SCENARIO: Final = re.compile(r"server-(.+)-\d{4}-\d\d-\d\dT[\d-]+Z")
# What differs between two runs against one and the same server: ports, ids, sealed states, times.
_BY_CHANCE: Final = re.compile(
    r"127\.0\.0\.1:\d+|\b[0-9a-f]{32}\b|\bv1\.[\w.-]{32,}"
    r"|\w{3}, \d\d \w{3} \d{4} [\d:]{8} GMT|\d{4}-\d\d-\d\dT[\d:.]+(?:Z|\+00:00)|\b1\d{12}\b"
)


@contextmanager
def _bridge(command: Sequence[str], env: Mapping[str, str]) -> Generator[str]:
    """Serve a server on stdio over HTTP, and yield the address."""
    line = (sys.executable, "-P", str(BRIDGE), *command)
    with subprocess.Popen(line, stdout=subprocess.PIPE, env=dict(env), text=True) as bridge:
        assert bridge.stdout
        try:
            yield bridge.stdout.readline().strip()
        finally:
            bridge.terminate()
            bridge.wait(_WAIT_SECONDS)


def run_suite(revision: str, command: Sequence[str], env: Mapping[str, str], results: Path) -> Checks:
    """Run every scenario that a revision of the protocol requires against a server; `results` is a new directory."""
    with _bridge(command, env) as url:
        options = ("--url", url, "--requirements", revision, "--output-dir", str(results))
        # It ends with 1 if a check has failed: what has failed is for the caller to look at.
        subprocess.run(
            (*conformance_suite(), "server", *options),
            env=dict(env),
            capture_output=True,
            timeout=_WAIT_SECONDS,
            check=False,
        )
    return {
        (_scenario(path), number): check
        for path in sorted(results.glob("*/checks.json"))
        for number, check in enumerate(json.loads(_BY_CHANCE.sub("0", path.read_text(encoding="utf-8"))))
    }


def _scenario(path: Path) -> str:
    match = _SCENARIO.fullmatch(path.parent.name)
    assert match, path
    return match[1]
