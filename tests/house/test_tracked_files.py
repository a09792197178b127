"""What must never be committed, and what must be true of every file."""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib

import pytest

from support.house import ROOT

_BINARY = {".png", ".gz", ".xz", ".bz2", ".zst"}
_INDEX = re.compile(r"--(?:extra-)?index-url[ =]|\"resolved\"\s*:|registry\s*=\s*\"?http|https?://[^\s\"]+/simple\b")
_MACHINE = re.compile(r"(?<![\w.~/-])/(?:work|root|farm)/")
_OTHERS = re.compile(r"(?<![\w./@-])aegis-(?:mcp|audit)(?=\s*(?:[=<>~!]=|[<>]))")
_INSTALLS = re.compile(r"(?:pip|uv|uvx|pipx)\s+(?:\S+\s+)*?(?:install|add|run)\s+[^\n`]*")


def _tracked() -> list[str]:
    git = shutil.which("git")
    if git is None or not (ROOT / ".git").exists():
        pytest.skip("needs git and a clone")
    listed = subprocess.run([git, "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True, timeout=30).stdout
    return [name for name in listed.decode().split("\0") if name and (ROOT / name).is_file()]


def _texts() -> list[tuple[str, str]]:
    names = [name for name in _tracked() if (ROOT / name).suffix not in _BINARY]
    return [(name, (ROOT / name).read_text(encoding="utf-8")) for name in names]


def test_no_lock_of_another_tool_is_tracked() -> None:
    forbidden = {"uv.lock", "package-lock.json", "poetry.lock", "Pipfile.lock", "yarn.lock"}
    assert [name for name in _tracked() if name.rpartition("/")[2] in forbidden] == []


def test_no_file_holds_an_address_of_a_package_index_or_a_path_of_a_machine() -> None:
    exempt = {"tests/house/test_tracked_files.py"}
    found = [name for name, text in _texts() if name not in exempt and (_INDEX.search(text) or _MACHINE.search(text))]
    assert found == []


def test_every_file_ends_its_lines_with_lf_and_has_no_trailing_blank() -> None:
    found = [name for name, text in _texts() if "\r" in text or (text and not text.endswith("\n"))]
    assert [name for name in found if not name.startswith("tests/vectors/")] == []


def test_nothing_depends_on_the_packages_of_that_name_that_belong_to_others() -> None:
    for name in ("aegis_audit/pyproject.toml", "aegis_mcp/pyproject.toml"):
        project = tomllib.loads((ROOT / name).read_text(encoding="utf-8"))["project"]
        assert project["name"] in {"aegis-mcp-audit", "aegis-mcp-gateway"}
        needed = {re.split(r"[^A-Za-z0-9_-]", text)[0] for text in project["dependencies"]}
        assert needed.isdisjoint({"aegis-mcp", "aegis-audit"})
    lock = (ROOT / "requirements-dev.lock").read_text(encoding="utf-8")
    assert _OTHERS.search(lock) is None


def test_no_document_tells_anybody_to_install_them() -> None:
    for name, text in _texts():
        if name.endswith(".md"):
            for command in _INSTALLS.findall(text):
                assert {"aegis-mcp", "aegis-audit"}.isdisjoint(command.split()), f"{name}: {command}"


def test_the_lock_has_exact_versions_with_hashes_and_nothing_else() -> None:
    lines = (ROOT / "requirements-dev.lock").read_text(encoding="utf-8").splitlines()
    form = re.compile(r"[a-z0-9-]+==[^\s;]+( ; [^\\]+)? \\|    --hash=sha256:[0-9a-f]{64}( \\)?")
    assert [line for line in lines if not form.fullmatch(line)] == []


def test_the_lock_has_everything_that_the_distributions_need() -> None:
    lock = (ROOT / "requirements-dev.lock").read_text(encoding="utf-8")
    locked = {match[1] for match in re.finditer(r"^([a-z0-9-]+)==", lock, re.MULTILINE)}
    for name in ("aegis_audit/pyproject.toml", "aegis_mcp/pyproject.toml"):
        project = tomllib.loads((ROOT / name).read_text(encoding="utf-8"))["project"]
        needed = {re.split(r"[^A-Za-z0-9_-]", text)[0].lower() for text in project["dependencies"]}
        assert needed - {"aegis-mcp-audit"} <= locked


def test_the_shipped_policy_is_the_one_at_the_root() -> None:
    root = (ROOT / "policy.yaml").read_bytes()
    assert (ROOT / "aegis_mcp" / "src" / "aegis_mcp" / "policy.yaml").read_bytes() == root
