"""`aegis-mcp audit rotate`: go on in a new segment."""

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
def rotate(policy: Path | None, audit_log: Path | None, form: str) -> None:
    """Let the log go on in a new segment, and drop those that the policy does not keep.

    The full one stays beside it, named after the time and its last entry. The exit status is 0, also if there was
    nothing to rotate; 1 if the log cannot be renamed or is locked; 2 if there is no log.

    Example: aegis-mcp audit rotate --audit-log ~/aegis/audit.log
    """
    with refusing(form, audit_log):
        log = open_log(policy, audit_log)
        segment = log.journal.rotate("demand", patience=PATIENCE)
        log.close()
    if form == "json":
        print_json({"log": str(log.path), "rotated": str(segment) if segment else None}, 0)
    elif segment:
        print_line(f"rotated to {segment}")
    else:
        print_line(f"nothing to rotate: {log.path} holds nothing but the entry that opened it")
