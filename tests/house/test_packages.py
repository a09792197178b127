"""Each distribution builds and installs alone, and the image copies and runs what is there."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
import venv
from pathlib import Path

import pytest

import aegis_mcp
from support.house import ROOT

SCRIPTS = {"aegis_audit": "aegis-audit", "aegis_mcp": "aegis-mcp"}


def _run(*command: str | Path) -> str:
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False, timeout=110)
    assert done.returncode == 0, done.stderr
    return done.stdout


def _wheel(package: str, into: Path) -> Path:
    build = ("-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", into, ROOT / package)
    _run(sys.executable, *build)
    (wheel,) = into.glob("*.whl")
    return wheel


def test_the_auditor_installs_alone_and_brings_neither_the_gateway_nor_an_mcp_sdk(tmp_path: Path) -> None:
    wheel = _wheel("aegis_audit", tmp_path / "wheels")
    venv.create(tmp_path / "env", with_pip=True)
    python = tmp_path / "env" / "bin" / "python"
    _run(python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", wheel)
    assert _run(tmp_path / "env" / "bin" / "aegis-audit", "--version").startswith("aegis-audit ")
    installed = {line.partition("==")[0].lower() for line in _run(python, "-m", "pip", "freeze").splitlines()}
    assert installed.isdisjoint({"mcp", "mcp-types", "pydantic", "aegis-mcp-gateway"})


def test_the_wheel_of_the_gateway_carries_the_policy_and_needs_the_auditor(tmp_path: Path) -> None:
    wheel = _wheel("aegis_mcp", tmp_path)
    names = _run(sys.executable, "-m", "zipfile", "--list", wheel)
    assert "aegis_mcp/policy.yaml" in names
    assert "aegis_mcp/py.typed" in names
    needs = tomllib.loads((ROOT / "aegis_mcp" / "pyproject.toml").read_text(encoding="utf-8"))["project"][
        "dependencies"
    ]
    assert any(need.startswith("aegis-mcp-audit") for need in needs)


def test_the_gateway_says_the_version_that_it_is_packaged_with() -> None:
    project = tomllib.loads((ROOT / "aegis_mcp" / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["version"] == aegis_mcp.__version__


@pytest.mark.parametrize("package", SCRIPTS)
def test_each_distribution_has_its_command_in_the_image(package: str) -> None:
    project = tomllib.loads((ROOT / package / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert list(project["scripts"]) == [SCRIPTS[package]]
    image = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    assert f"./{package}" in image


def test_the_image_copies_what_is_there_and_does_not_run_as_root() -> None:
    image = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    sources = [match[1] for match in re.finditer(r"^COPY (?!--from)(\S+) ", image, re.MULTILINE)]
    assert sources == ["requirements-dev.lock", "aegis_audit", "aegis_mcp"]
    assert all((ROOT / source).exists() and f"!{source}" in ignored for source in sources)
    assert re.search(r"^USER aegis$", image, re.MULTILINE)
    assert 'ENTRYPOINT ["aegis-mcp"]' in image
