"""The command `aegis-audit`: the outermost edge, where an error becomes a message and an exit status.

No traceback reaches a person, and no failure ends with a status that could be taken for a verdict on the log.
"""

from __future__ import annotations

import io
import os
import sys
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from traceback import extract_tb
from typing import Any, Final, NoReturn, TextIO

from aegis_audit.errors import AuditError
from aegis_audit.escape import defuse
from aegis_audit.verdict import Verdict

_FAILED: Final = Verdict.UNREADABLE.exit_code
_INTERRUPTED: Final = 130  # 128 + SIGINT, as a shell has it
_READER_GONE: Final = 141  # 128 + SIGPIPE


def main() -> NoReturn:
    """Run the command line and exit with its status."""
    try:
        _prepare_streams()
        status = _run()
        sys.stdout.flush()
    except KeyboardInterrupt:
        status = _INTERRUPTED
        _discard(sys.stdout)  # whoever reads it may be the one who does not go on
    except BrokenPipeError:
        status = _READER_GONE
    except OSError as exc:  # the output: what is read is translated where it is read
        status = _fail(exc.strerror or str(exc))
    except Exception as exc:  # noqa: BLE001 - the edge: what is left is a defect
        status = _fail(f"internal error, please report it: {_place(exc)}")
    _abandon_output()
    sys.exit(status)


def _run() -> int:
    # Imported here, so that Ctrl-C is quiet from the start.
    cli: Any = import_module("aegis_audit.cli").cli
    click: Any = import_module("click")
    try:
        # Not `cli.main`: it ends with the status of a tampered log when the reader of the output has gone.
        with cli.make_context("aegis-audit", sys.argv[1:]) as context:
            return int(cli.invoke(context) or 0)
    except click.exceptions.Exit as exc:  # --help and --version
        return int(exc.exit_code)
    except click.ClickException as exc:
        exc.message = "\n".join(map(defuse, exc.message.split("\n")))
        exc.show()
        return int(exc.exit_code)
    except AuditError as exc:
        _fail(str(exc))
        return exc.verdict.exit_code


def _prepare_streams() -> None:
    """Make every character writable, and a stream that the caller has closed a stream to nowhere."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: PTH123, SIM115 - open to the end
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _abandon_output() -> None:
    """Leave nothing that the interpreter would write, and complain about, at its end."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            _discard(stream)


def _discard(stream: TextIO) -> None:
    """Send what a stream still holds, and what is written to it from now on, nowhere."""
    with suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _fail(message: str) -> int:
    with suppress(OSError):
        print(f"aegis-audit: {defuse(message)}", file=sys.stderr)  # noqa: T201 - the edge
    return _FAILED


def _place(exc: BaseException) -> str:
    """Say what failed and where in the code; never the error's own text, which may quote the log."""
    frames = extract_tb(exc.__traceback__)
    at = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    return type(exc).__name__ + at


if __name__ == "__main__":
    main()
