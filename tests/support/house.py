"""The drawing of the house: which module may import which, and which third-party library enters where."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
SOURCES: Final = {
    "aegis_audit": ROOT / "aegis_audit" / "src" / "aegis_audit",
    "aegis_mcp": ROOT / "aegis_mcp" / "src" / "aegis_mcp",
}

# A module imports only from lines above its own.
LAYERS: Final = {
    "aegis_audit": (
        ("escape", "level", "signature", "streams", "value", "verdict"),
        ("demand", "finding"),
        ("errors", "report"),
        ("canonical", "expand", "note", "timestamp", "tree", "checks/findings"),
        ("checkpoint", "entry", "key_file", "headline", "proof", "witness"),
        ("chain", "epoch"),
        ("key", "mark", "segment", "query", "row", "shape", "checks/pairing", "checks/run"),
        ("anchor", "archive", "follow", "part", "state", "trust", "checks/claim", "checks/damage", "checks/overlap"),
        ("reading", "sidecar", "checks/join", "checks/ledger", "checks/order"),
        ("answer", "checks/known", "checks/saved", "checks/skim"),
        ("checks/anchors",),
        ("checks/acknowledged", "checks/digest", "checks/ends", "checks/levels"),
        ("checks/scan",),
        ("account", "crew"),
        ("verify",),
        ("listing", "repair", "screen", "summary", "walk"),
        ("comparison", "proving"),
        ("export", "render"),
        ("cli/gathering", "cli/options"),
        ("cli/*",),
        ("cli",),
        ("__main__",),
    ),
    "aegis_mcp": (
        (
            *("backoff", "decision", "ending", "errors", "lock", "loopback", "method", "settings", "stdio", "swap"),
            *("throttle", "upstream/incident", "upstream/link"),
        ),
        ("audit/sidecar",),
        (
            "frame",
            "recorded",
            "policy/model",
            "policy/uris",
            "audit/clock",
            "audit/credential",
            "audit/posting",
            "audit/survey",
            "audit/stretch",
            "audit/turn",
            "upstream/aside",
            "upstream/desktop",
        ),
        (
            "wire",
            "upstream/reference",
            "policy/coverage",
            "policy/located",
            "policy/matching",
            "audit/growth",
            "audit/redaction",
            "audit/retention",
            "audit/record",
            "audit/stamping",
            "audit/storage",
            "pins/definition",
            "upstream/mailbox",
            "upstream/network",
            "upstream/stamp",
        ),
        (
            "notice",
            "policy/evaluation",
            "policy/fields",
            "audit/breaks",
            "audit/cosigning",
            "audit/writer",
            "pins/book",
            "pins/difference",
            "upstream/catalog",
            "upstream/credentials",
            "upstream/environment",
            "upstream/exchange",
            "upstream/callback",
            "upstream/guardian",
            "upstream/state",
        ),
        (
            "policy/conditions",
            "policy/endpoint",
            "audit/anchor",
            "audit/signing",
            "pins/storage",
            "upstream/account",
            "upstream/launch",
            "upstream/vault",
            "upstream/stream",
            "identity",
            "lane",
        ),
        (
            *("policy/schema", "audit/anchoring", "audit/mending", "pins/approval", "pins/quarantine"),
            *("upstream/offer", "upstream/process", "upstream/provider", "upstream/session", "handshake"),
        ),
        (
            "upstream/bearer",
            "upstream/remote",
            "asking",
            "audit/journal",
            "inputs",
            "limits",
            "offering",
            "passage",
            "results",
            "tasks",
        ),
        ("upstream/login", "audit/recorder", "inspection"),
        ("events", "carrier", "policy/explanation", "policy/loader", "policy/question", "policy/replay", "pins/report"),
        ("enforcement", "suggestion", "policy/cases", "policy/watch", "relay"),
        ("proposal", "reload", "supervisor"),
        ("gateway", "workspace", "demo"),
        ("cli/options", "cli/output", "cli/signing"),
        ("cli/log", "cli/secret"),
        ("cli/remote",),
        ("cli/account", "cli/running"),
        ("cli/serving", "cli/audit/options", "cli/pins/options", "cli/policy/*"),
        (
            "cli/audit/acknowledge",
            "cli/audit/checkpoint",
            "cli/audit/rotate",
            "cli/pins/approve",
            "cli/pins/diff",
            "cli/pins/list",
        ),
        ("cli/*",),
        ("cli",),
        ("__main__",),
    ),
}

# Only the gate sees policy, audit, pins and upstream; they never see each other.
SIBLINGS: Final = ("policy", "audit", "pins", "upstream")

# What the gateway knows of the auditor is the format of the log, how text is made safe to show, how a command ends and
# what a value is, never how it judges.
FORMAT: Final = (
    "canonical",
    "chain",
    "checkpoint",
    "entry",
    "epoch",
    "errors",
    "escape",
    "key",
    "mark",
    "note",
    "streams",
    "tree",
    "value",
    "witness",
)
# One module reads logs back, to decide anew on what they hold: it finds segments, plain or compressed, and takes intact
# entries as the auditor's own commands do, so that there is one way to read a log. It asks for no verdict.
# Another knows rotated segments by their first entry, whatever they are compressed with. A third takes the hashes of
# entries from them, for the proof that a witness asks for. A fourth looks whether what a person calls missing is there.
READERS: Final = {
    "recorded": ("archive", "reading"),
    "audit/retention": ("segment",),
    "audit/growth": ("archive", "segment"),
    "audit/breaks": ("archive", "segment"),
}

# Where a third-party library enters, so that it could be exchanged in one place; a library without a door stays out.
DOORS: Final = {
    "aegis_audit": {
        "click": ("cli", "cli/*"),  # the command line is Click's
        "cryptography": ("signature", "timestamp"),
        "keyring": ("key",),
        "platformdirs": ("key",),
        "orjson": ("canonical", "entry", "shape"),  # one encodes; two read, with bounds of their own
        "rfc3161_client": ("timestamp",),  # reads time stamps
        "rfc8785": ("canonical",),
        "rich": ("screen",),
        "zstandard": ("expand",),
    },
    "aegis_mcp": {
        "click": ("__main__", "cli", "cli/*", "cli/audit/*", "cli/pins/*", "cli/policy/*"),
        "anyio": ("upstream/exchange",),  # whose errors come out of connections
        "httpx2": ("cli/remote", "upstream/*"),
        "keyring": ("upstream/desktop",),
        # A client and a server, and what the protocol says in headers; the relay itself has no model of the protocol.
        "mcp": ("demo", "workspace", "upstream/login", "upstream/provider", "upstream/stamp"),
        "orjson": ("frame",),  # reads what it would write back as it came
        "platformdirs": ("settings",),
        "pydantic": ("upstream/login", "upstream/provider"),  # what the SDK's models are
        "rfc3161_client": ("audit/stamping",),  # asks for time stamps
        "re2": ("policy/model",),  # expressions on hostile text
        "uvloop": ("cli/running",),
        "yaml": ("policy/loader",),
    },
}
# What comes with an extra: imported where it is asked for, and never needed to start.
EXTRAS: Final = {"keyring", "rfc3161_client"}
# Names that differ from those of their distribution.
DISTRIBUTIONS: Final = {"re2": "google-re2", "rfc3161_client": "rfc3161-client", "yaml": "pyyaml"}

# Imported by name at run time, which this drawing cannot follow: only where commands are loaded.
LATE_IMPORTERS: Final = {"__main__", "cli"}


def modules(package: str) -> dict[str, Path]:
    """Return the modules of a package by their name in the drawing; a package is named by its folder."""
    source = SOURCES[package]
    found: dict[str, Path] = {}
    for path in source.rglob("*.py"):
        name = path.relative_to(source).with_suffix("").as_posix().removesuffix("/__init__")
        if name != "__init__":
            found[name] = path
    return found


def imports(path: Path) -> Iterator[str]:
    """Yield what a module imports, with its full name; what is imported for types alone counts like the rest."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.module, f"{path}: a relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def layer(package: str, module: str) -> int | None:
    """Return the line of the drawing on which a module stands, None if it is not drawn."""
    folder = module.rpartition("/")[0]
    for number, names in enumerate(LAYERS[package]):
        if module in names:
            return number
    for number, names in enumerate(LAYERS[package]):
        if folder and f"{folder}/*" in names:
            return number
    return None
