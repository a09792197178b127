"""The official conformance suite, run against a server on stdio through the bridge, or against a client."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from support.loaded import program
from support.tools import conformance_suite

BRIDGE: Final = Path(__file__).with_name("bridge.py")
EVERYTHING: Final = Path(__file__).with_name("everything.py")
_CLIENT: Final = Path(__file__).with_name("conformance_client.py")

Checks = dict[tuple[str, int], dict[str, Any]]
"""What the suite has found: its checks, by their scenario and their place in it."""

Verdicts = dict[str, dict[str, str]]
"""How each check of each scenario has ended, at the worst where it was made more than once."""

# Kinds of login that the gateway does not have, and what is newer than the requirements: the suite does not score them.
UNSCORED: Final = {
    "auth/client-credentials-basic",
    "auth/client-credentials-jwt",
    "auth/dpop",
    "auth/dpop-nonce",
    "auth/enterprise-managed-authorization",
    "auth/wif-jwt-bearer",
    "json-schema-2020-12-preservation",
}

_SEVERITY: Final = ("", "INFO", "SKIPPED", "SUCCESS", "WARNING", "FAILURE")
_WAIT_SECONDS: Final = 240.0
_CLIENTS_SECONDS: Final = 560.0
_SCENARIO: Final = re.compile(r"(?:server-)?(.+)-\d{4}-\d\d-\d\dT[\d-]+Z")
# What differs between two runs against one and the same server: ports, ids, sealed states, times.
_BY_CHANCE: Final = re.compile(
    r"127\.0\.0\.1:\d+|\b[0-9a-f]{32}\b|\bv1\.[\w.-]{32,}"
    r"|\w{3}, \d\d \w{3} \d{4} [\d:]{8} GMT|\d{4}-\d\d-\d\dT[\d:.]+(?:Z|\+00:00)|\b1\d{12}\b"
)


@contextmanager
def _bridge(command: Sequence[str], env: Mapping[str, str]) -> Generator[str]:
    """Serve a server on stdio over HTTP, and yield the address."""
    with subprocess.Popen(program(BRIDGE, *command), stdout=subprocess.PIPE, env=dict(env), text=True) as bridge:
        assert bridge.stdout
        try:
            yield bridge.stdout.readline().strip()
        finally:
            bridge.terminate()
            bridge.wait(_WAIT_SECONDS)


def run_suite(revision: str, command: Sequence[str], env: Mapping[str, str], results: Path) -> Checks:
    """Run every scenario that a revision of the protocol requires against a server; `results` is a new directory."""
    with _bridge(command, env) as url:
        _run(("server", "--url", url, "--requirements", revision), env, results)
    return {
        (_scenario(path, results), number): check
        for path in sorted(results.glob("*/checks.json"))
        for number, check in enumerate(json.loads(_BY_CHANCE.sub("0", path.read_text(encoding="utf-8"))))
    }


def run_client_suite(revision: str, results: Path) -> Verdicts:
    """Run every scenario for clients that a revision names, with `conformance_client.py`."""
    results.mkdir()
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    turn = (sys.executable, "-S", "-m", "support.in_turn", str(results))
    client = " ".join((*turn, *program(_CLIENT, revision)))
    timeout = str(int(_CLIENTS_SECONDS * 1000))
    _run(("client", "--command", client, "--requirements", revision, "--timeout", timeout), env, results)
    verdicts: Verdicts = {}
    for path in results.rglob("checks.json"):
        if _scenario(path, results) in UNSCORED:
            continue
        for check in json.loads(path.read_text(encoding="utf-8")):
            worst = verdicts.setdefault(_scenario(path, results), {})
            worst[check["id"]] = max(worst.get(check["id"], ""), check["status"], key=_SEVERITY.index)
    return verdicts


def _run(arguments: Sequence[str], env: Mapping[str, str], results: Path) -> None:
    # It ends with 1 if a check has failed: what has failed is for the caller to look at.
    subprocess.run(
        (*conformance_suite(), *arguments, "--output-dir", str(results)),
        env=dict(env),
        capture_output=True,
        timeout=_CLIENTS_SECONDS,
        check=False,
    )


def _scenario(path: Path, results: Path) -> str:
    match = _SCENARIO.fullmatch(path.parent.relative_to(results).as_posix())
    assert match, path
    return match[1]
