"""Whether the secret of logins is there, where a policy needs one."""

from __future__ import annotations

import os

from aegis_mcp.policy.model import OAuth, Policy, Upstream


def check_secret(policy: Policy, served: Upstream | None = None) -> None:
    """See that the secret of logins is there if the upstream that is served needs it, and long enough wherever it is.

    Without a `served` upstream it must be there for any of the policy's.

    Raises:
        ConfigError: it is not.
    """
    needing = [upstream for upstream in policy.upstreams.values() if isinstance(upstream.auth, OAuth)]
    is_needed = isinstance(served.auth, OAuth) if served else bool(needing)
    if needing or is_needed:
        from aegis_mcp.upstream import state  # noqa: PLC0415 - who logs in nowhere does not load it

        if is_needed or os.environ.get(state.SECRET_VARIABLE):
            state.secret_from(os.environ)
