"""The command `aegis-audit`: the outermost edge, where an error becomes a message and an exit status.

No traceback reaches a person, and no failure ends with a status that could be taken for a verdict on the log.
"""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from traceback import extract_tb
from typing import Any, Final, NoReturn

from aegis_audit import streams
from aegis_audit.errors import AuditError
from aegis_audit.escape import defuse
from aegis_audit.verdict import Verdict

_FAILED: Final = Verdict.UNREADABLE.exit_code


def main() -> NoReturn:
    """Run the command line and exit with its status."""
    try:
        streams.prepare()
        status = _run()
        sys.stdout.flush()
    except KeyboardInterrupt:
        status = streams.INTERRUPTED
        streams.discard(sys.stdout)  # whoever reads it may be the one who does not go on
    except BrokenPipeError:
        status = streams.READER_GONE
    except OSError as exc:  # the output: what is read is translated where it is read
        status = _fail(exc.strerror or str(exc))
    except Exception as exc:  # noqa: BLE001 - the edge: what is left is a defect
        status = _fail(f"internal error, please report it: {_place(exc)}")
    streams.abandon()
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


def _fail(message: str) -> int:
    streams.complain(f"aegis-audit: {defuse(message)}")
    return _FAILED


def _place(exc: BaseException) -> str:
    """Say what failed and where in the code; never the error's own text, which may quote the log."""
    frames = extract_tb(exc.__traceback__)
    at = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    return type(exc).__name__ + at


if __name__ == "__main__":
    main()
