"""A request as a person writes it, on a command line or in a file of cases.

What no frame could ask is refused: the gate would never judge it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final

from aegis_mcp.decision import Request
from aegis_mcp.errors import ConfigError

_METHODS: Final = {"tool": "tools/call", "uri": "resources/read", "prompt": "prompts/get"}


class Asker(Enum):
    """Who asks: the host something of an upstream, or an upstream something of the host."""

    HOST = "host"
    UPSTREAM = "upstream"


@dataclass(frozen=True, slots=True)
class Question:
    """What a person says of a request; None is what they leave out."""

    server: str
    method: str | None = None
    tool: str | None = None
    uri: str | None = None
    prompt: str | None = None
    arguments: Mapping[str, Any] = field(default_factory=dict[str, Any])
    read_only_hint: bool | None = None
    asker: Asker = Asker.HOST

    def request(self) -> Request:
        """Return the request; without a method it is the one by which a tool, a resource or a prompt is asked for.

        Raises:
            ConfigError: there is no such request.
        """
        subjects = [name for name in _METHODS if getattr(self, name) is not None]
        if len(subjects) > 1:
            raise ConfigError(f"no request has {' and '.join(subjects)} at once")
        if self.method is None and not subjects:
            raise ConfigError("say what is asked for: a tool, a uri, a prompt or a method")
        method = self.method or _METHODS[subjects[0]]
        if (method == _METHODS["tool"]) != (self.tool is not None):
            raise ConfigError("tools/call has a tool, and no other method has one")
        if self.asker is Asker.UPSTREAM and subjects:
            raise ConfigError(f"an upstream never asks the host for a {subjects[0]}")
        return Request(
            self.server,
            method,
            tool=self.tool,
            uri=self.uri,
            prompt=self.prompt,
            arguments=self.arguments,
            read_only_hint=self.read_only_hint,
            is_from_upstream=self.asker is Asker.UPSTREAM,
        )
