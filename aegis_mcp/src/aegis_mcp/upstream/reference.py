"""What a policy refers to instead of holding it: `${env:NAME}` and `${keyring:SERVICE/NAME}`.

A value is read at the start, goes to the upstream, and is in no message.
"""

from __future__ import annotations

import queue
import re
import threading
from collections.abc import Mapping
from typing import Final

from aegis_mcp.errors import ConfigError

_REFERENCE: Final = re.compile(r"\$\{(?:env:([A-Za-z_][A-Za-z0-9_]*)|keyring:([^/{}]+)/([^{}]+))\}")
_KEYRING_SECONDS: Final = 20.0
"""A keyring that is locked asks its owner first; hosts wait for a server for half a minute or so."""


def resolve(text: str, own: Mapping[str, str]) -> str:
    """Return a text with what it refers to; `own` is the gateway's environment.

    Raises:
        ConfigError: what is referred to is not there. The message names it and never a value.
    """
    return _REFERENCE.sub(lambda found: variable(found[1], own) if found[1] else _secret(found[2], found[3]), text)


def variable(name: str, own: Mapping[str, str]) -> str:
    """Return a variable of the environment.

    Raises:
        ConfigError: it is not set.
    """
    if name not in own:
        raise ConfigError(f"the environment variable {name} is not set; set it where the host starts aegis-mcp")
    return own[name]


def _secret(service: str, name: str) -> str:
    answers: queue.SimpleQueue[str | ConfigError] = queue.SimpleQueue()
    threading.Thread(target=lambda: answers.put(_ask_keyring(service, name)), daemon=True).start()
    try:
        answer = answers.get(timeout=_KEYRING_SECONDS)
    except queue.Empty as exc:
        raise ConfigError(f"the keyring has not answered within {_KEYRING_SECONDS:g} s; is it locked?") from exc
    if isinstance(answer, ConfigError):
        raise answer
    return answer


def _ask_keyring(service: str, name: str) -> str | ConfigError:
    try:
        import keyring  # noqa: PLC0415 - an extra
        from keyring.errors import KeyringError  # noqa: PLC0415
    except ImportError:
        return ConfigError("a ${keyring:…} reference needs the extra: pip install 'aegis-mcp-gateway[keyring]'")
    try:
        secret = keyring.get_password(service, name)
    except KeyringError as exc:
        return ConfigError(f"the keyring does not answer: {type(exc).__name__}")
    if secret is None:
        return ConfigError(f"the keyring has no {name!r} of {service!r}; `keyring set {service} {name}` puts it there")
    return secret
