"""What must never be committed, and what must be true of every file."""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib
from functools import cache
from pathlib import PurePosixPath
from typing import Final

import pytest
from packaging.requirements import Requirement

from support.house import ROOT

BINARY: Final = {".png", ".gz", ".xz", ".bz2", ".zst"}
PROJECTS: Final = ("aegis_audit/pyproject.toml", "aegis_mcp/pyproject.toml")

# An index has an address; so a file may name only hosts that are known to be none.
HOSTS: Final = {
    "auth.example",
    "c2sp.org",
    "evil.example",
    "example.org",
    "host.example",
    "json-schema.org",
    "keepachangelog.com",
    "semver.org",
    "www.apache.org",
    "www.rfc-editor.org",
    "www.w3.org",
    "127.0.0.1",
    "127.0.0.2",
    "169.254.169.254",
    "localhost",
    "conformance-test.local",
    "nowhere.invalid",
    "x",
}
_HOST: Final = re.compile(r"\b(?:https?|git|ssh|ftp|file)://(?:[^/@\s]*@)?([\w.-]*)")
_INDEX: Final = re.compile(r"--(?:extra-)?index-url[ =]|--find-links[ =][\w/]|\"resolved\"\s*:")
_INDEX_NAMES: Final = re.compile(r"pypi\.org|pythonhosted\.org|npmjs\.(?:org|com)|deb\.debian\.org")
# Homes of people who do not exist stand in examples.
_MACHINE: Final = re.compile(r"(?<![\w.~/*-])/(?:(?:work|root|farm)(?![\w-])|(?:home|Users)/(?!(?:me|ada|aegis)\b)\w)")
_OTHERS: Final = re.compile(r"aegis-(?:mcp|audit)(?:\[.*\]|[=<>~!@].*)?")
_INSTALLERS: Final = re.compile(
    r"\b(?:pip3?|pipx|uv|poetry|pdm|conda)\s+(?:\w+\s+)?(?:install|add|run)\s+([^\n`#|;&]*)"
)
_RUNNERS: Final = re.compile(r"\buvx\s+([^\n`#|;&]*)")


@cache
def _tracked() -> tuple[str, ...]:
    git = shutil.which("git")
    if git is None or not (ROOT / ".git").exists():
        pytest.skip("needs git and a clone")
    listed = subprocess.run([git, "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True, timeout=30).stdout
    return tuple(name for name in listed.decode().split("\0") if name and (ROOT / name).is_file())


@cache
def _texts() -> dict[str, str]:
    names = [name for name in _tracked() if PurePosixPath(name).suffix not in BINARY]
    return {name: (ROOT / name).read_bytes().decode() for name in names}


def _hits(pattern: re.Pattern[str]) -> dict[str, str]:
    """Return the first hit in each file that has one."""
    return {name: hit[0] for name, text in _texts().items() if (hit := pattern.search(text))}


def _hosts(text: str) -> set[str]:
    """Return the hosts of all addresses in a text, in one spelling each."""
    return {host.lower().rstrip(".") for host in _HOST.findall(text) if host}


def _needs(project: str) -> list[Requirement]:
    """Return everything that a distribution may pull in: to run, to build, and by option."""
    loaded = tomllib.loads((ROOT / project).read_text(encoding="utf-8"))
    options = [need for needs in loaded["project"].get("optional-dependencies", {}).values() for need in needs]
    return [*map(Requirement, [*loaded["project"]["dependencies"], *loaded["build-system"]["requires"], *options])]


def test_no_lock_of_another_tool_is_tracked() -> None:
    forbidden = {"uv.lock", "package-lock.json", "poetry.lock", "Pipfile.lock", "yarn.lock", "pnpm-lock.yaml"}
    assert [name for name in _tracked() if PurePosixPath(name).name in forbidden] == []


def test_no_configuration_of_a_package_client_is_tracked() -> None:
    forbidden = {"pip.conf", "pip.ini", ".npmrc", ".pypirc", "uv.toml", "sources.list"}
    assert [name for name in _tracked() if PurePosixPath(name).name in forbidden] == []


def test_no_file_names_a_host_that_is_not_known() -> None:
    named = {name: _hosts(text) - HOSTS for name, text in _texts().items()}
    assert {name: hosts for name, hosts in named.items() if hosts} == {}


@pytest.mark.parametrize("pattern", [_INDEX, _INDEX_NAMES], ids=["option", "name"])
def test_no_file_points_to_a_package_index(pattern: re.Pattern[str]) -> None:
    assert _hits(pattern) == {}


def test_no_file_holds_a_path_of_a_machine() -> None:
    assert _hits(_MACHINE) == {}


@pytest.mark.parametrize("name", ["work", "root", "farm", "home/somebody", "Users/somebody"])
@pytest.mark.parametrize("form", ["/{}/main/x", "'/{}'", "cd /{}", "file=/{}/.cache"])
def test_a_path_of_a_machine_is_recognized(name: str, form: str) -> None:
    assert _MACHINE.search(form.format(name))


@pytest.mark.parametrize("text", ["./{}", "a/{}/b", "~/{}/notes", "/{}-around", "/var/{}"])
def test_another_path_is_none_of_a_machine(text: str) -> None:
    assert _MACHINE.search(text.format("work")) is None


def test_every_file_ends_its_lines_with_lf_and_its_last_line_too() -> None:
    exempt = "tests/vectors/"
    texts = {name: text for name, text in _texts().items() if not name.startswith(exempt)}
    assert [name for name, text in texts.items() if "\r" in text or (text and not text.endswith("\n"))] == []


@pytest.mark.parametrize("project", PROJECTS)
def test_nothing_depends_on_the_packages_of_that_name_that_belong_to_others(project: str) -> None:
    assert {need.name for need in _needs(project)}.isdisjoint({"aegis-mcp", "aegis-audit"})
    loaded = tomllib.loads((ROOT / project).read_text(encoding="utf-8"))
    assert loaded["project"]["name"] in {"aegis-mcp-audit", "aegis-mcp-gateway"}


@pytest.mark.parametrize("lock", ["requirements.lock", "requirements-dev.lock", "requirements-dev.in"])
def test_no_list_of_requirements_has_them(lock: str) -> None:
    names = {line.partition("==")[0].strip() for line in (ROOT / lock).read_text(encoding="utf-8").splitlines()}
    assert names.isdisjoint({"aegis-mcp", "aegis-audit"})


def test_no_file_tells_anybody_to_install_or_run_them_from_an_index() -> None:
    told = {
        name: [word for command in _installed(text) for word in command.split() if _OTHERS.fullmatch(word.strip("'\""))]
        for name, text in _texts().items()
    }
    assert {name: words for name, words in told.items() if words} == {}


def _installed(text: str) -> list[str]:
    return [*_INSTALLERS.findall(text), *_RUNNERS.findall(text)]


def test_the_commands_that_would_install_them_are_recognized() -> None:
    commands = (
        "pip install {}",
        "pipx run {} demo",
        "uv tool install '{}>=1'",
        "uvx {}",
        "uv add {}[demo]",
        "pip install -U {}==1",
    )
    for command in commands:
        (words,) = _installed(command.format("aegis-mcp"))
        assert any(_OTHERS.fullmatch(word.strip("'\"")) for word in words.split()), command
    assert not any(_OTHERS.fullmatch(word) for word in ("./aegis_mcp", "aegis-mcp-gateway", "aegis-mcp-audit==0.1.0"))
