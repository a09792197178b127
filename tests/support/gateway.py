"""The real gateway in front of a real upstream, and what its log says afterwards."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from support.auditor import environment as environment_of_audit
from support.host import GATEWAY, RawHost, environment
from support.loaded import program, run_text

UPSTREAM: Final = Path(__file__).with_name("upstream.py")

BRIDGE: Final = Path(__file__).with_name("bridge.py")

FRONT: Final = Path(__file__).with_name("front.py")

OVER_HTTP: Final = "AEGIS_TEST_OVER_HTTP"
"""The variable of the environment that lets every gateway reach its upstream over HTTP instead of pipes."""

READS: Final = """\
version: 1
upstreams:
  recording:
    access:
      read: [echo, read_log, wait]
      write: ["*"]
"""
"""A policy that classifies the tools of the recording upstream; its defaults allow reads and deny writes."""


@dataclass(frozen=True)
class Stage:
    """A directory with a policy and a log, and the gateway that uses them."""

    directory: Path
    policy: str = READS
    extra_environment: Mapping[str, str] = field(default_factory=dict[str, str])
    log_directory: Path | None = None

    @property
    def log(self) -> Path:
        return (self.log_directory or self.directory / "logs") / "audit.log"

    @property
    def received(self) -> Path:
        """Every byte that the recording upstream got."""
        return self.directory / "received.jsonl"

    @property
    def environment(self) -> dict[str, str]:
        return environment(self.directory / "home", self.extra_environment)

    def command(self, *upstream: str, name: str = "recording") -> tuple[str, ...]:
        """Return the command of the gateway in front of an upstream, by default the recording one."""
        line = (*self._options(name), "--", *(upstream or self.recording()))
        if OVER_HTTP not in os.environ:
            return (*GATEWAY, "wrap", *line)
        bridge = json.dumps(program(BRIDGE, "--until-eof", str(self.directory / "port")))
        return (sys.executable, "-P", str(FRONT), bridge, *line)

    def command_at(self, name: str, *target: str) -> tuple[str, ...]:
        """Return the command of the gateway in front of what `--url URL` or `-- COMMAND…` says."""
        return (*GATEWAY, "wrap", *self._options(name), *target)

    def _options(self, name: str) -> tuple[str, ...]:
        policy = self.directory / "policy.yaml"
        policy.write_text(self.policy, encoding="utf-8")
        return ("--policy", str(policy), "--audit-log", str(self.log), "--name", name)

    def wrap(self, *upstream: str, name: str = "recording") -> RawHost:
        """Start the gateway in front of an upstream, by default the recording one."""
        return RawHost(self.command(*upstream, name=name), self.environment)

    def recording(self) -> Sequence[str]:
        """Return the command of the recording upstream."""
        return (sys.executable, str(UPSTREAM), "--received", str(self.received), "--log", str(self.log))

    def frames_received(self) -> list[dict[str, Any]]:
        """Return what reached the upstream."""
        lines = self.received.read_bytes().splitlines() if self.received.exists() else []
        frames: list[dict[str, Any]] = list(map(json.loads, lines))
        return [frame for frame in frames if frame.get("id") != "bridge"]

    def entries(self) -> list[dict[str, Any]]:
        """Return the log, entry by entry; the pieces of torn lines are left out."""
        lines = self.log.read_bytes().splitlines()
        return [json.loads(line) for line in lines if line.endswith(b',"v":1}')]

    def requests(self) -> list[dict[str, Any]]:
        """Return the entries that concern requests, without those of the gateway's own life."""
        return [entry for entry in self.entries() if entry["event_type"] not in {"security_event", "checkpoint"}]

    def verify(self, *paths: Path) -> subprocess.CompletedProcess[str]:
        """Run `aegis-audit verify` over the log, or over these paths."""
        return self.audit("verify", "--format", "json", *map(str, paths or (self.log,)))

    def audit(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run `aegis-audit`."""
        return run_text("aegis_audit", arguments, environment_of_audit(), seconds=120)
