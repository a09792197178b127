"""What a person may meet is documented: every finding, event kind, command, option, policy key and dependency."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from aegis_audit.cli import cli as audit_cli
from aegis_audit.finding import FindingCode
from aegis_mcp.audit.record import EventKind, Status
from aegis_mcp.cli import cli as gateway_cli
from support.house import ROOT

DOCS = ROOT / "docs"
PAGES = sorted(path.relative_to(ROOT) for path in [*DOCS.rglob("*.md"), *ROOT.glob("*.md")])


def _read(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


def _commands(command: click.Command, name: str) -> Iterator[tuple[str, click.Command]]:
    yield name, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for child in command.list_commands(context):
            found = command.get_command(context, child)
            assert found is not None
            yield from _commands(found, f"{name} {child}")


COMMANDS = [*_commands(gateway_cli, "aegis-mcp"), *_commands(audit_cli, "aegis-audit")]


@pytest.mark.parametrize("code", FindingCode)
def test_every_finding_is_documented_with_its_id_and_title(code: FindingCode) -> None:
    row = next((line for line in _read("reference/findings.md").splitlines() if code.identifier in line), "")
    assert code.name in row
    assert code.title in row


@pytest.mark.parametrize("kind", [*EventKind, *Status])
def test_every_event_kind_and_status_is_documented(kind: EventKind | Status) -> None:
    assert f"`{kind.value}`" in _read("reference/entry-format.md")


@pytest.mark.parametrize(("name", "command"), COMMANDS, ids=[name for name, _ in COMMANDS])
def test_every_command_and_option_is_documented(name: str, command: click.Command) -> None:
    text = _read("reference/cli.md")
    assert re.search(rf"^## `{re.escape(name)}\b", text, re.MULTILINE)
    section = re.split(rf"^## `{re.escape(name)}[` ].*$", text, flags=re.MULTILINE)[1].partition("\n## ")[0]
    parameters = [parameter for parameter in command.params if isinstance(parameter, click.Option)]
    options = [f"`{option}" for parameter in parameters for option in parameter.opts]
    assert [option for option in options if f"{option}" not in section] == []


@pytest.mark.parametrize(("name", "command"), COMMANDS, ids=[name for name, _ in COMMANDS])
def test_every_help_begins_with_a_verb_and_ends_with_an_example(name: str, command: click.Command) -> None:
    help_text = (command.help or "").strip()
    assert help_text
    if not isinstance(command, click.Group) or command.invoke_without_command:
        assert f"Example: {name}" in help_text or "Examples:" in help_text


@pytest.mark.parametrize("package", ["aegis_audit", "aegis_mcp"])
def test_every_dependency_has_its_reason(package: str) -> None:
    project = tomllib.loads((ROOT / package / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    text = _read("explanation/dependencies.md")
    names = [re.split(r"[^A-Za-z0-9_-]", dependency)[0] for dependency in project["dependencies"]]
    assert [name for name in names if f"| `{name}` |" not in text] == []


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_every_link_inside_the_repository_leads_somewhere(page: Path) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    targets = [target.partition("#")[0] for target in re.findall(r"\]\(([^)\s]+)\)", text)]
    local = [target for target in targets if target and "://" not in target]
    assert [target for target in local if not (ROOT / page).parent.joinpath(target).exists()] == []
