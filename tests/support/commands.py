"""`aegis-mcp` run to its end, with every default path in a place of its own."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support import loaded
from support.host import environment


@dataclass(frozen=True)
class Done:
    """How a command ended, and what it said."""

    status: int
    stdout: str
    stderr: str

    @property
    def json(self) -> dict[str, Any]:
        """Return the answer of a command with `--format json`, which states its own exit status."""
        answer = json.loads(self.stdout)
        assert answer["exit_code"] == self.status
        assert answer["ok"] is (self.status == 0)
        return answer


def run(home: Path, *arguments: str, extra: Mapping[str, str] | None = None, stdin: bytes = b"") -> Done:
    """Run a command; every wait is bounded."""
    done = loaded.run("aegis_mcp", arguments, environment(home, extra), stdin=stdin, seconds=90)
    return Done(done.returncode, done.stdout.decode("utf-8"), done.stderr.decode("utf-8"))
