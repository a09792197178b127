"""What a server says of itself, one definition at a time, and what of it is pinned.

A definition is everything that a listing says of one tool or prompt, and what `initialize` tells a model to do: every
member, known or not, but `_meta`, which the protocol leaves to implementations and which may differ from call to call.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Final, TypeAlias

from aegis_audit import canonical
from aegis_audit.errors import UnencodableValue
from aegis_audit.value import Value
from aegis_mcp.decision import Word

MAX_DEFINITION: Final = 1024 * 1024
"""Bytes of the largest definition that can be pinned, in canonical form."""

_UNPINNED: Final = frozenset({"_meta"})


class Kind(Word):
    """What a definition defines; that of a server is one, named "", with its instructions."""

    SERVER = "server"
    TOOL = "tool"
    PROMPT = "prompt"


Key: TypeAlias = tuple[Kind, str]
"""What names a definition within its server."""


class Definition(Value):
    """What is pinned of one definition; `sha256` is the hex digest of its canonical form, `size` that form's bytes."""

    body: Mapping[str, Any]
    sha256: str
    size: int

    @classmethod
    def of(cls, listed: Mapping[str, object]) -> Definition:
        """Return what is pinned of a definition as it was listed."""
        body = {name: value for name, value in listed.items() if name not in _UNPINNED}
        encoded = encode(body)
        return cls(body, hashlib.sha256(encoded).hexdigest(), len(encoded))


def encode(value: object) -> bytes:
    """Return the same bytes for JSON values that are equal, and others for those that are not."""
    try:
        return canonical.encode(value)
    except UnencodableValue:
        # Beyond the canonical profile, for one a deep schema: sorted keys still give equal definitions equal bytes.
        return json.dumps(value, sort_keys=True).encode("ascii")
