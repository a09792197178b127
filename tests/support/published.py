"""The published servers that the tests drive: what their tools do, and requests that they answer the same each time."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from support import tools

Json = Mapping[str, Any]

Call = tuple[str, Json]
"""A tool and its arguments, or a method and its parameters."""

LISTS: Final = ("tools/list", "resources/list", "resources/templates/list", "prompts/list")


@dataclass(frozen=True)
class Published:
    """A server: `command` takes a directory of its own, and so do `calls`, which name tools and their arguments.

    What the tools read and write is by hand, from what the server documents of them.
    """

    command: Callable[[Path], tuple[str, ...]]
    reads: frozenset[str]
    writes: frozenset[str]
    calls: Callable[[Path], list[Call]]
    others: tuple[Call, ...] = ()
    is_modern: bool = False


def _folder(directory: Path) -> Path:
    folder = directory / "shared"
    if not folder.exists():
        folder.mkdir()
        (folder / "note.txt").write_text("grüße, \u2603\n", encoding="utf-8")
    return folder


def _repository(directory: Path) -> Path:
    """Return a repository with one commit and a change after it."""
    folder = directory / "repository"
    if not folder.exists():
        folder.mkdir()
        identity = ("-c", "user.name=Ada", "-c", "user.email=ada@example.org", "-c", "commit.gpgsign=false")
        (folder / "note.txt").write_text("first\n", encoding="utf-8")
        for command in (("init", "-q"), ("add", "note.txt"), ("commit", "-q", "-m", "first")):
            subprocess.run(("git", "-C", str(folder), *identity, *command), check=True, timeout=30)
        (folder / "note.txt").write_text("second\n", encoding="utf-8")
    return folder


def _git_calls(directory: Path) -> list[Call]:
    at = {"repo_path": str(_repository(directory))}
    return [
        *((name, at) for name in ("git_status", "git_diff_unstaged", "git_log")),
        ("git_show", {**at, "revision": "HEAD"}),
        ("git_branch", {**at, "branch_type": "local"}),
        ("git_show", {**at, "revision": "no such revision"}),
    ]


def _memory_calls(_: Path) -> list[Call]:
    entity = {"name": "Ada", "entityType": "person", "observations": ["wrote the first program"]}
    return [
        ("create_entities", {"entities": [entity]}),
        ("read_graph", {}),
        ("search_nodes", {"query": "program"}),
        ("delete_entities", {"entityNames": ["Ada"]}),
    ]


PUBLISHED: Final = {
    "files": Published(
        lambda directory: tools.filesystem_server(_folder(directory)),
        reads=frozenset(
            {
                *("read_file", "read_text_file", "read_media_file", "read_multiple_files", "list_directory"),
                *("directory_tree", "list_directory_with_sizes", "search_files", "get_file_info"),
                "list_allowed_directories",
            }
        ),
        writes=frozenset({"write_file", "edit_file", "create_directory", "move_file"}),
        calls=lambda directory: [
            ("read_text_file", {"path": f"{_folder(directory)}/note.txt"}),
            ("directory_tree", {"path": str(_folder(directory))}),
            ("write_file", {"path": f"{_folder(directory)}/note.txt", "content": "grüße, \u2603\n"}),
            ("read_text_file", {"path": f"{directory}/elsewhere"}),
        ],
    ),
    "everything": Published(
        lambda _: tools.everything_server(),
        reads=frozenset(
            {
                *("echo", "get-annotated-message", "get-env", "get-resource-links", "get-resource-reference"),
                *("get-structured-content", "get-sum", "get-tiny-image", "trigger-long-running-operation"),
            }
        ),
        writes=frozenset(
            {
                *("gzip-file-as-resource", "toggle-simulated-logging", "toggle-subscriber-updates"),
                "simulate-research-query",
            }
        ),
        calls=lambda _: [
            ("echo", {"message": "grüße, \u2603"}),
            ("get-sum", {"a": 1, "b": 2.5}),
            ("get-tiny-image", {}),
            ("get-structured-content", {"location": "New York"}),
            ("get-sum", {"a": "no number"}),
        ],
        others=(
            ("prompts/get", {"name": "args-prompt", "arguments": {"city": "Paris"}}),
            ("resources/read", {"uri": "demo://resource/static/document/architecture.md"}),
            ("logging/setLevel", {"level": "error"}),
            ("ping", {}),
        ),
    ),
    "memory": Published(
        lambda directory: tools.memory_server(directory / "memory.jsonl"),
        reads=frozenset({"read_graph", "search_nodes", "open_nodes"}),
        writes=frozenset(
            {
                *("create_entities", "create_relations", "add_observations", "delete_entities"),
                *("delete_observations", "delete_relations"),
            }
        ),
        calls=_memory_calls,
        others=(("resources/read", {"uri": "memory://knowledge-graph"}),),
    ),
    "git": Published(
        lambda directory: tools.git_server(_repository(directory)),
        reads=frozenset(
            {
                *("git_status", "git_diff_unstaged", "git_diff_staged", "git_diff", "git_log", "git_show"),
                "git_branch",
            }
        ),
        writes=frozenset({"git_commit", "git_add", "git_reset", "git_create_branch", "git_checkout"}),
        calls=_git_calls,
        is_modern=True,
    ),
    "time": Published(
        lambda _: tools.time_server(),
        reads=frozenset({"get_current_time", "convert_time"}),
        writes=frozenset(),
        calls=lambda _: [
            ("convert_time", {"source_timezone": "UTC", "time": "12:00", "target_timezone": "Asia/Kolkata"}),
            ("convert_time", {"source_timezone": "UTC", "time": "no time", "target_timezone": "UTC"}),
        ],
        is_modern=True,
    ),
}
"""The servers by the names under which the tests let the gateway serve them."""
