"""What a person may meet is documented: every finding, event kind, command, option, policy key and dependency."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Final

import click
import pytest

from aegis_audit.cli import cli as audit_cli
from aegis_audit.finding import FindingCode
from aegis_audit.verdict import Verdict
from aegis_mcp.audit.record import EventKind, Status
from aegis_mcp.cli import cli as gateway_cli
from aegis_mcp.decision import Access, Effect
from aegis_mcp.settings import AnchorKind, ArgumentMode, Durability, OnFailure, OnLag, Signatures
from support.house import ROOT, SOURCES, modules

DOCS: Final = ROOT / "docs"
PAGES: Final = sorted(path.relative_to(ROOT) for path in [*DOCS.rglob("*.md"), *ROOT.glob("*.md")])

# A policy with one key in each section that no version knows: the command answers with those that it does know.
UNKNOWN_KEYS: Final = """\
version: 1
unheard-of: 1
defaults: {unheard-of: 1}
upstreams: {files: {auth: {unheard-of: 1, oauth: {unheard-of: 1}}, unheard-of: 1}}
audit: {unheard-of: 1}
results: {unheard-of: 1}
limits: [{unheard-of: 1}]
rules:
  - {unheard-of: 1, match: {unheard-of: 1, arguments: {path: {unheard-of: 1}}}}
"""
SECTIONS: Final = (
    *("Top level", "`defaults`", "`upstreams`", "`upstreams`", "`upstreams`", "`audit`", "`results`", "`limits`"),
    *("`rules`", "`rules`", "`rules`"),
)


def _read(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


def _section(page: str, title: str) -> str:
    """Return what stands below a heading; nothing if there is no such heading."""
    return _read(page).partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def _commands(command: click.Command, name: str) -> Iterator[tuple[str, click.Command]]:
    yield name, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for child in command.list_commands(context):
            found = command.get_command(context, child)
            assert found is not None
            yield from _commands(found, f"{name} {child}")


COMMANDS: Final = [*_commands(gateway_cli, "aegis-mcp"), *_commands(audit_cli, "aegis-audit")]


@pytest.fixture(scope="module")
def known_keys(tmp_path_factory: pytest.TempPathFactory) -> list[list[str]]:
    """Return the keys of each of `SECTIONS`, as the command itself lists them."""
    policy = tmp_path_factory.mktemp("policy") / "policy.yaml"
    policy.write_text(UNKNOWN_KEYS, encoding="utf-8")
    command = [sys.executable, "-m", "aegis_mcp", "policy", "check", "--policy", str(policy)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    keys = [listed.split(", ") for listed in re.findall(r"known here: (.+)", done.stdout)]
    assert len(keys) == len(SECTIONS), done
    return keys


@pytest.mark.parametrize("code", FindingCode)
def test_every_finding_is_documented_with_its_id_and_title(code: FindingCode) -> None:
    row = next((line for line in _read("reference/findings.md").splitlines() if code.identifier in line), "")
    assert row.startswith(f"| {code.identifier} | {code.name} | {code.title} |")


def test_no_finding_is_documented_that_does_not_exist() -> None:
    documented = re.findall(r"^\| (AEG[0-9]+) ", _read("reference/findings.md"), re.MULTILINE)
    assert sorted(documented) == sorted(code.identifier for code in FindingCode)


@pytest.mark.parametrize("verdict", Verdict)
def test_every_verdict_is_in_the_readme_with_its_exit_status(verdict: Verdict) -> None:
    assert f"| {verdict.exit_code} | {verdict.name.lower()} |" in (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("kind", [*EventKind, *Status])
def test_every_event_kind_and_status_is_documented(kind: EventKind | Status) -> None:
    assert f"`{kind.value}`" in _read("reference/entry-format.md")


@pytest.mark.parametrize(("name", "command"), COMMANDS, ids=[name for name, _ in COMMANDS])
def test_every_command_and_option_is_documented(name: str, command: click.Command) -> None:
    section = _section("reference/cli.md", f"`{name}`")
    assert section
    parameters = [parameter for parameter in command.params if isinstance(parameter, click.Option)]
    options = [option for parameter in parameters for option in parameter.opts]
    assert [option for option in options if not re.search(rf"`{option}[` ]", section)] == []


@pytest.mark.parametrize(("name", "command"), COMMANDS, ids=[name for name, _ in COMMANDS])
def test_every_variable_of_the_environment_is_documented(name: str, command: click.Command) -> None:
    variables = {str(parameter.envvar) for parameter in command.params if parameter.envvar}
    section = _section("reference/cli.md", f"`{name}`")
    assert {variable for variable in variables if f"`{variable}`" not in section} == set()


@pytest.mark.parametrize(("name", "command"), COMMANDS, ids=[name for name, _ in COMMANDS])
def test_every_help_ends_with_an_example(name: str, command: click.Command) -> None:
    assert re.search(rf"\n *Example: {name}\b[^\n]*\s*\Z", command.help or "")


@pytest.mark.parametrize(("name", "command"), COMMANDS, ids=[name for name, _ in COMMANDS])
def test_every_help_says_what_each_option_is_and_how_the_command_ends(name: str, command: click.Command) -> None:
    options = [parameter for parameter in command.params if isinstance(parameter, click.Option)]
    assert [option.name for option in options if not option.help] == []
    is_folder = isinstance(command, click.Group) and not command.invoke_without_command and name != "aegis-audit"
    assert is_folder or re.search(r"[Ee]xit\s+status", command.help or "")


@pytest.mark.parametrize("number", range(len(SECTIONS)), ids=lambda number: f"{number}-{SECTIONS[number]}")
def test_every_key_of_the_policy_is_documented(known_keys: list[list[str]], number: int) -> None:
    section = _section("reference/policy.md", SECTIONS[number])
    assert [key for key in known_keys[number] if f"`{key}`" not in section] == []


@pytest.mark.parametrize(
    "value", [*Effect, *Access, *ArgumentMode, *OnFailure, *Durability, *Signatures, *AnchorKind, *OnLag]
)
def test_every_word_that_a_policy_may_choose_is_documented(value: Enum) -> None:
    assert f"`{value.value}`" in _read("reference/policy.md")


@pytest.mark.parametrize("package", SOURCES)
def test_every_dependency_has_its_reason(package: str) -> None:
    project = tomllib.loads((ROOT / package / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    section = _section("explanation/dependencies.md", project["name"])
    names = [re.split(r"[^A-Za-z0-9_-]", dependency)[0] for dependency in project["dependencies"]]
    assert sorted(re.findall(r"^\| `([^`]+)` \|", section, re.MULTILINE)) == sorted(names)


def test_every_tool_of_development_is_named_among_the_dependencies() -> None:
    lines = (ROOT / "requirements-dev.in").read_text(encoding="utf-8").splitlines()
    names = [re.split(r"[^A-Za-z0-9_-]", line)[0] for line in lines if not line.startswith("#")]
    section = _section("explanation/dependencies.md", "For development")
    assert [name for name in names if f"`{name}`" not in section] == []


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_every_link_inside_the_repository_leads_somewhere(page: Path) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    targets = [target for target in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in target]
    assert [target for target in targets if not _leads_somewhere(ROOT / page, target)] == []


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_every_table_has_its_heads(page: Path) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    tables = re.findall(r"(?:^ *\|.*\n)+", text, re.MULTILINE)
    assert [table for table in tables if not re.match(r".*\n[ |:-]+\n", table)] == []


def _leads_somewhere(page: Path, target: str) -> bool:
    name, _, anchor = target.partition("#")
    aim = (page.parent / name).resolve() if name else page
    return aim.exists() and (not anchor or anchor in _anchors(aim))


def _anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as a forge makes them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_decision_has_a_number_of_its_own_which_its_title_says() -> None:
    pages = sorted((DOCS / "adr").glob("*.md"))
    titles = [page.read_text(encoding="utf-8").partition(".")[0] for page in pages]
    assert [f"# {int(page.name[:4])}" for page in pages] == titles
    assert [int(page.name[:4]) for page in pages] == list(range(1, len(pages) + 1))


# What agents and contributors are told to read, run or keep must be there.
@pytest.mark.parametrize("page", ["AGENTS.md", "CONTRIBUTING.md"])
def test_every_path_and_target_in_the_guides_exists(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    paths = re.findall(r"`((?:docs|tests|scripts|aegis_audit|aegis_mcp)/[\w./-]*)`", text)
    sources = [source.parent for source in SOURCES.values()]
    assert [path for path in paths if not any((base / path).exists() for base in (ROOT, *sources))] == []
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert set(re.findall(r"(?:^    |`)make ([a-z]+)", text, re.MULTILINE)) <= targets


def test_the_map_for_agents_names_every_module_that_exists_and_no_other() -> None:
    rows = re.findall(r"^\| \w+ \| ([^|]+) \|", (ROOT / "AGENTS.md").read_text(encoding="utf-8"), re.MULTILINE)
    named = {name for row in rows for name in re.findall(r"`([^`]+)`", row)}
    existing = {module for package in SOURCES for module in modules(package)}
    # What every package has: its errors, its command line, and folders that only say what is in them.
    folders = {name.rpartition("/")[0] for name in existing}
    evident = {name for name in existing if name.startswith("cli/")} | {"__main__", "errors"} | folders
    assert named == existing - evident
