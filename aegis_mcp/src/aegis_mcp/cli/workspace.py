"""`aegis-mcp workspace`: the embedded server by itself."""

from __future__ import annotations

from pathlib import Path

import click

from aegis_mcp import settings
from aegis_mcp.cli.options import workspace_option


@click.command()
@workspace_option
def workspace(workspace: Path | None) -> None:
    """Serve the embedded workspace server itself, without the gateway.

    The gateway starts this when the policy names no upstream. By itself nothing is judged and nothing recorded.
    The exit status is 0 after the input has ended, and 2 if the root cannot be made.

    Example: aegis-mcp workspace --workspace ~/notes
    """
    from aegis_mcp.workspace import serve  # noqa: PLC0415 - the SDK takes half a second to import

    serve(settings.workspace(workspace))
