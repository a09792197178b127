"""The start of an upstream that is a command: in a process group of its own, known to the guardian.

It may begin ahead of whoever is to speak with it, so that the upstream starts while the gateway is still loaded.
"""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Self

from aegis_mcp import ending
from aegis_mcp.errors import UpstreamUnavailable
from aegis_mcp.upstream.guardian import Guardian


class Launch:
    """A command, found on the PATH of `environment`; its stderr is the gateway's.

    Within its context it is started already, for the first who takes it; if nobody does, it ends. Signals that ask the
    gateway to end wait from then on for who can end both: no upstream runs of which the log never knew.
    """

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], guardian: Guardian) -> None:
        self.program = command[0]  # what may be said of it: arguments may hold secrets
        self._command = command
        self._environment = dict(environment)
        self._ahead: subprocess.Popen[bytes] | None = None
        self.guardian = guardian

    def __enter__(self) -> Self:
        ending.hold()
        with contextlib.suppress(UpstreamUnavailable):  # whoever takes it will hear of it
            self._ahead = self._start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._ahead and sys.platform == "win32":
            self._ahead.kill()  # elsewhere the guardian ends its whole group

    def take(self) -> subprocess.Popen[bytes]:
        """Return a process that nobody has: the one that was started ahead, or else a new one.

        Raises:
            UpstreamUnavailable: the command does not exist or cannot be run.
        """
        ahead, self._ahead = self._ahead, None
        return ahead or self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        program = shutil.which(self._command[0], path=self._environment.get("PATH"))
        if program is None:
            raise UpstreamUnavailable(
                f"the command {self._command[0]!r} is not found, or is no program; give its absolute path"
            )
        try:
            return subprocess.Popen(
                [program, *self._command[1:]],
                preexec_fn=None if sys.platform == "win32" else self._begin,  # noqa: PLW1509 - two system calls, which take no lock
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env=self._environment,
                start_new_session=True,
                bufsize=0,
            )
        except OSError as exc:
            self.guardian.strike()
            raise UpstreamUnavailable(f"the command {self._command[0]!r} cannot be run: {exc.strerror}") from exc

    def _begin(self) -> None:
        self.guardian.enlist()
        ending.release()
