"""`aegis-mcp audit checkpoint`: sign the log to its end."""

from __future__ import annotations

from pathlib import Path

import click

from aegis_mcp.cli.audit.options import open_log
from aegis_mcp.cli.log import PATIENCE
from aegis_mcp.cli.options import audit_log_option, policy_option
from aegis_mcp.cli.output import format_option, print_json, print_line, refusing


@click.command()
@policy_option
@audit_log_option
@format_option
def checkpoint(policy: Path | None, audit_log: Path | None, form: str) -> None:
    """Sign the log to its end now, without waiting for a gateway to do it.

    The exit status is 0 once a checkpoint that covers every entry is on the disk; 1 if the log cannot be signed or is
    locked; 2 if there is no log, or the policy wants no signatures.

    Example: aegis-mcp audit checkpoint --audit-log ~/aegis/audit.log
    """
    with refusing(form, audit_log):
        log = open_log(policy, audit_log, is_signed=True)
        log.anchoring.resume()  # what has not left the host yet leaves now, whether there is more to sign or not
        mark = log.journal.checkpoint(patience=PATIENCE)
        log.close()
    # The checkpoint itself is the last entry.
    if form == "json":
        print_json({"log": str(log.path), "origin": mark.origin, "size": mark.head.seq}, 0)
    else:
        print_line(f"{mark.head.seq} entries of {mark.origin} are signed")
