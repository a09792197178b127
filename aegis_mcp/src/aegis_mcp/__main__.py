"""The command `aegis-mcp`: the outermost edge, where an error becomes a message and an exit status."""

from __future__ import annotations

import gc
import sys
from typing import Any, Final, NoReturn

from aegis_audit import streams
from aegis_audit.escape import defuse
from aegis_mcp import ending
from aegis_mcp.errors import ConfigError, GatewayError

_USAGE: Final = 2
_FAILED: Final = 1
_INTERNAL: Final = 70


def main() -> NoReturn:
    """Run the command line and exit with its status.

    0 is success, 1 a failure, 2 wrong usage or configuration, 70 an error in Aegis itself, 130 follows Ctrl-C, and 141
    a reader of the output who has gone.
    """
    try:
        streams.prepare()
        status = _run()
        sys.stdout.flush()
    except KeyboardInterrupt:
        status = streams.INTERRUPTED
        streams.discard(sys.stdout)  # whoever reads it may be the one who does not go on
    except BrokenPipeError:
        status = streams.READER_GONE
    except OSError as exc:  # the output: other files are translated where they are used
        status = _fail(f"the output cannot be written: {exc.strerror}", _FAILED)
    except Exception as exc:  # noqa: BLE001 - the edge: what is left is a defect, and no traceback may hold a secret
        status = _fail(f"internal error: {type(exc).__name__}; please report it", _INTERNAL)
    streams.abandon()
    sys.exit(status)


def _run() -> int:
    gc.disable()  # until a command is loaded: loading leaves no garbage, and to look for some takes a part of the time
    ending.let_end()
    import click  # noqa: PLC0415 - so that this is loaded without it as well

    from aegis_mcp.cli import cli  # noqa: PLC0415 - as above

    command: Any = cli
    try:
        # Not `main` of the command: it ends with the status of a failure when the reader of the output has gone.
        with command.make_context("aegis-mcp", sys.argv[1:]) as context:
            status = command.invoke(context)
    except click.Abort as exc:
        raise KeyboardInterrupt from exc
    except click.exceptions.Exit as exc:  # --help and --version
        return exc.exit_code
    except click.ClickException as exc:
        wrong: Any = exc
        wrong.message = _defuse_lines(exc.message)
        exc.show()
        return exc.exit_code
    except GatewayError as exc:
        from aegis_mcp.audit.redaction import scrub  # noqa: PLC0415 - only a failure needs it

        return _fail(scrub(str(exc)), _USAGE if isinstance(exc, ConfigError) else _FAILED)
    return status if isinstance(status, int) else 0


def _fail(message: str, status: int) -> int:
    streams.complain(f"aegis-mcp: {_defuse_lines(message)}")
    return status


def _defuse_lines(text: str) -> str:
    return "\n".join(map(defuse, text.split("\n")))


if __name__ == "__main__":
    main()
