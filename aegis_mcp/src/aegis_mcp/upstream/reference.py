"""What a policy refers to instead of holding it: `${env:NAME}` and `${keyring:SERVICE/NAME}`.

A value is read at the start, goes to the upstream, and is in no message.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from aegis_mcp.errors import ConfigError

_REFERENCE: Final = r"\$\{(?:env:([A-Za-z_][A-Za-z0-9_]*)|keyring:([^/{}]+)/([^{}]+))\}"


def resolve(text: str, own: Mapping[str, str]) -> str:
    """Return a text with what it refers to; `own` is the gateway's environment.

    Raises:
        ConfigError: what is referred to is not there. The message names it and never a value.
    """

    def look_up(found: re.Match[str]) -> str:
        return variable(found[1], own) if found[1] else _secret(found[2], found[3])

    return re.sub(_REFERENCE, look_up, text)


def variable(name: str, own: Mapping[str, str]) -> str:
    """Return a variable of the environment.

    Raises:
        ConfigError: it is not set.
    """
    if name not in own:
        raise ConfigError(f"the environment variable {name} is not set; set it where the host starts aegis-mcp")
    return own[name]


def _secret(service: str, name: str) -> str:
    from aegis_mcp.upstream import desktop  # noqa: PLC0415 - few keep secrets there

    secret = desktop.get(service, name)
    if secret is None:
        raise ConfigError(f"the keyring has no {name!r} of {service!r}; `keyring set {service} {name}` puts it there")
    return secret
