"""What an upstream says that it offers: the tools of its listings, as they pass by.

The catalogue answers two questions about a tool that is called: was it listed, and what does the listing say of it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Final, cast

from aegis_audit import canonical
from aegis_audit.errors import UnencodableValue
from aegis_audit.value import Value

MAX_TOOLS: Final = 10_000
"""How many tools of one upstream are kept; those beyond are not known to be listed."""


class ToolDefinition(Value):
    """What a listing says of one tool: the SHA-256 of its definition in canonical form, and the upstream's own hint."""

    sha256: str
    read_only_hint: bool | None


class Catalog:
    """The tools of one upstream."""

    def __init__(self) -> None:
        self._tools: dict[str, ToolDefinition] = {}
        self._is_begun = False
        self._is_complete = False

    def tool(self, name: str) -> ToolDefinition | None:
        """Return what the listing says of a tool, None if it does not have it."""
        return self._tools.get(name)

    def is_listed(self, name: str) -> bool:
        """Tell whether a tool may exist: False only if a complete listing, still current, lacks it."""
        return name in self._tools or not self._is_complete

    def changed(self) -> None:
        """Note that the upstream has announced another list: what is missing may now be there, on any page."""
        self._is_begun = self._is_complete = False

    def page(self, result: object, *, is_first: bool) -> None:
        """Take one page of a `tools/list` result; the last page is the one without `nextCursor`, or with null.

        Pages of which the first was not seen, as after a new run of the upstream, make no complete listing.
        Of what is not such a result nothing is taken, and nothing that was known is forgotten.
        """
        page = cast("dict[str, Any]", result) if isinstance(result, dict) else {}
        listed = page.get("tools")
        if not isinstance(listed, list):
            return
        if is_first:
            self._tools, self._is_begun = {}, True
        for tool in cast("list[Any]", listed):
            if isinstance(tool, dict) and len(self._tools) < MAX_TOOLS:
                self._add(cast("dict[str, Any]", tool))
        is_last = page.get("nextCursor") is None
        self._is_complete = self._is_begun and is_last and len(self._tools) < MAX_TOOLS

    def _add(self, tool: dict[str, Any]) -> None:
        name = tool.get("name")
        if isinstance(name, str):
            self._tools[name] = ToolDefinition(_fingerprint(tool), read_only_hint(tool))


def _fingerprint(tool: dict[str, Any]) -> str:
    try:
        definition = canonical.encode(tool)
    except UnencodableValue:
        # Beyond the canonical profile, for one a deep schema: sorted keys still give equal definitions equal hashes.
        definition = json.dumps(tool, sort_keys=True).encode("ascii")
    return hashlib.sha256(definition).hexdigest()


def read_only_hint(tool: Mapping[str, Any]) -> bool | None:
    """Return what a definition itself says of whether the tool only reads, None if it says nothing."""
    annotations = tool.get("annotations")
    hint = cast("dict[str, Any]", annotations).get("readOnlyHint") if isinstance(annotations, dict) else None
    return hint if isinstance(hint, bool) else None
