"""The command `aegis-mcp`: the outermost edge, where an error becomes a message and an exit status."""

from __future__ import annotations

import os
import sys
from typing import NoReturn

import click

from aegis_mcp.cli import cli
from aegis_mcp.errors import ConfigError, GatewayError

_USAGE = 2
_FAILED = 1
_INTERNAL = 70


def main() -> NoReturn:
    """Run the command line; 0 is success, 1 a failure, 2 wrong usage or configuration, 70 an error in Aegis itself."""
    sys.exit(_run())


def _run() -> int:
    try:
        status = cli.main(prog_name="aegis-mcp", standalone_mode=False)
    except click.ClickException as exc:
        exc.show()
        return exc.exit_code
    except (click.Abort, KeyboardInterrupt):
        return 130
    except BrokenPipeError:
        # Whoever read the output has gone; nothing may be written at exit either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return _FAILED
    except GatewayError as exc:
        from aegis_mcp.audit.redaction import scrub  # noqa: PLC0415 - only a failure needs it

        print(f"aegis-mcp: {scrub(str(exc))}", file=sys.stderr)  # noqa: T201 - the edge
        return _USAGE if isinstance(exc, ConfigError) else _FAILED
    except Exception as exc:  # noqa: BLE001 - the edge: what is left is a defect, and no traceback may hold a secret
        print(f"aegis-mcp: internal error: {type(exc).__name__}; please report it", file=sys.stderr)  # noqa: T201
        return _INTERNAL
    return status if isinstance(status, int) else 0


if __name__ == "__main__":
    main()
