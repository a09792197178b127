"""The options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click


class _Shared(click.Option):
    """An option that may stand before a command's name: what was given there outweighs the environment."""

    def value_from_envvar(self, ctx: click.Context) -> Any:
        """Return what stands before the command, else what the environment says."""
        given = ctx.lookup_default(self.name or "", call=False)
        return super().value_from_envvar(ctx) if given is None else given


class _Place(click.Path):
    """A path that leads somewhere: an empty one would be the working directory, which a host leaves undefined."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the path, or say that there is none."""
        if value == "":
            self.fail("the path is empty; give one, or leave the option out", param, ctx)
        try:
            Path(value).expanduser()
        except RuntimeError:
            self.fail(f"there is no home directory for {str(value)!r}", param, ctx)
        return super().convert(value, param, ctx)


policy_option = click.option(
    "--policy",
    cls=_Shared,
    envvar="AEGIS_POLICY",
    show_envvar=True,
    metavar="FILE",
    type=_Place(path_type=Path),
    help="The policy file.  [default: policy.yaml in the configuration directory, else the one that is shipped]",
)
audit_log_option = click.option(
    "--audit-log",
    cls=_Shared,
    envvar="AEGIS_AUDIT_LOG",
    show_envvar=True,
    metavar="FILE",
    type=_Place(path_type=Path),
    help="The audit log.  [default: audit.log in the state directory]",
)
workspace_option = click.option(
    "--workspace",
    cls=_Shared,
    envvar="AEGIS_WORKSPACE",
    show_envvar=True,
    metavar="DIR",
    type=_Place(path_type=Path),
    help="The root of the embedded server.  [default: a folder of its own in the data directory]",
)
