"""What an upstream sees of the environment: an allow-list, and what the policy names.

The gateway's own environment holds the secrets of everything that the host runs; by default an upstream gets none.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from aegis_mcp.upstream.reference import resolve, variable

_ALLOWED: Final = frozenset(
    {
        # What the MCP SDK hands to a server it starts, on POSIX and on Windows.
        *("HOME", "LOGNAME", "PATH", "SHELL", "TERM", "USER", "LANG", "LC_ALL", "TMPDIR", "TZ"),
        *("APPDATA", "COMSPEC", "HOMEDRIVE", "HOMEPATH", "LOCALAPPDATA", "PATHEXT", "PROCESSOR_ARCHITECTURE"),
        *("PROGRAMFILES", "SYSTEMDRIVE", "SYSTEMROOT", "TEMP", "TMP", "USERNAME", "USERPROFILE"),
        # How to reach the network from here, without which an upstream only fails in ways that are hard to read.
        *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "NODE_EXTRA_CA_CERTS"),
        *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"),
    }
)


def build(own: Mapping[str, str], named: Mapping[str, str], passed: Iterable[str] = ()) -> dict[str, str]:
    """Return the environment of an upstream.

    `own` is the gateway's environment, `named` the policy's `env` with its references, `passed` the
    names of further variables to hand on as they are.

    Raises:
        ConfigError: what is referred to is not there. The message names it and never a value.
    """
    allowed = {name: value for name, value in own.items() if name.upper() in _ALLOWED and not value.startswith("()")}
    handed_on = {name: variable(name, own) for name in passed}
    return allowed | handed_on | {name: resolve(value, own) for name, value in named.items()}
