"""`aegis-audit` without a process of its own, so that it runs what a mutant has changed.

The tests call it in the place of `support.auditor.audit`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any


def install() -> None:
    """Let the tests that are loaded from now on call the command so."""
    auditor: Any = import_module("support.auditor")

    def audit(*arguments: str | Path, stdin: bytes = b"", env: Mapping[str, str] | None = None) -> Any:
        with TemporaryFile() as given, TemporaryFile() as out, TemporaryFile() as err:
            given.write(stdin)
            given.seek(0)
            with _as_command([str(one) for one in arguments], auditor.environment(env), (given, out, err)):
                status = _status()
            return auditor.Outcome(status, _text(out), _text(err))

    auditor.audit = audit


def _status() -> int:
    main: Any = import_module("aegis_audit.__main__").main
    try:
        main()
    except SystemExit as exc:
        return exc.code if isinstance(exc.code, int) else 1
    return 0


@contextmanager
def _as_command(arguments: list[str], environment: Mapping[str, str], files: tuple[IO[bytes], ...]) -> Generator[None]:
    """Give this process the arguments, the environment and the standard streams of the command for a while."""
    before = sys.argv, sys.stdin, sys.stdout, sys.stderr, dict(os.environ)
    descriptors = [os.dup(number) for number in range(3)]
    try:
        for number, file in enumerate(files):
            os.dup2(file.fileno(), number)
        sys.argv = ["aegis-audit", *arguments]
        sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 - of a descriptor, and not to be closed
        sys.stdout, sys.stderr = (open(number, "w", encoding="utf-8", closefd=False) for number in (1, 2))  # noqa: SIM115
        os.environ.clear()
        os.environ.update(environment)
        yield
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        sys.argv, sys.stdin, sys.stdout, sys.stderr, old = before
        os.environ.clear()
        os.environ.update(old)
        for number, descriptor in enumerate(descriptors):
            os.dup2(descriptor, number)
            os.close(descriptor)


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode("utf-8")
