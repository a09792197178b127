"""Each distribution builds and installs alone, and the image copies and runs what is there."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest

from support.house import ROOT

SCRIPTS = {"aegis_audit": "aegis-audit", "aegis_mcp": "aegis-mcp"}
IMAGE = (ROOT / "Dockerfile").read_text(encoding="utf-8")


def _run(*command: str | Path) -> str:
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False, timeout=110)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return the wheel of each distribution, built from its own folder by the locked backend."""
    built: dict[str, Path] = {}
    for package in SCRIPTS:
        into = tmp_path_factory.mktemp(package)
        build = ("-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", into)
        _run(sys.executable, *build, ROOT / package)
        (built[package],) = into.glob("*.whl")
    return built


def _install(directory: Path, *needs: str | Path) -> Path:
    """Install into a new environment, with the locked versions; return where its commands are."""
    lines = (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
    constraints = directory / "constraints.txt"
    constraints.write_text("\n".join(line.rstrip("\\ ") for line in lines if "==" in line), encoding="utf-8")
    venv.create(directory / "env")
    commands = directory / "env" / ("Scripts" if sys.platform == "win32" else "bin")
    # What is not compiled is when it is used, and most of it is not used here.
    _pip(commands, "install", "--quiet", "--no-compile", "--constraint", constraints, *needs)
    _pip(commands, "check")
    return commands


def _pip(commands: Path, *words: str | Path) -> str:
    """Run our pip in the other environment, which does without one."""
    options = ("--python", commands / "python", "--disable-pip-version-check")
    return _run(sys.executable, "-m", "pip", *options, *words)


def _installed(commands: Path) -> set[str]:
    listed = json.loads(_pip(commands, "list", "--format", "json"))
    return {package["name"].lower() for package in listed}


def test_the_auditor_installs_alone_and_brings_neither_the_gateway_nor_an_mcp_sdk(tmp_path: Path) -> None:
    commands = _install(tmp_path, ROOT / "aegis_audit")
    assert _run(commands / "aegis-audit", "--version").startswith("aegis-audit ")
    assert _installed(commands).isdisjoint({"mcp", "mcp-types", "pydantic", "aegis-mcp-gateway"})


def test_the_gateway_installs_with_the_auditor_and_finds_its_policy(tmp_path: Path, wheels: dict[str, Path]) -> None:
    commands = _install(tmp_path, "--find-links", wheels["aegis_audit"].parent, wheels["aegis_mcp"])
    assert {"aegis-mcp-gateway", "aegis-mcp-audit", "mcp"} <= _installed(commands)
    assert _run(commands / "aegis-mcp", "--version").startswith("aegis-mcp ")
    shipped = "from importlib.resources import files; print(files('aegis_mcp') / 'policy.yaml')"
    policy = Path(_run(commands / "python", "-I", "-c", shipped).strip())
    assert policy.is_relative_to(tmp_path)
    assert policy.read_bytes() == (ROOT / "policy.yaml").read_bytes()
    _run(commands / "aegis-mcp", "policy", "check", "--policy", policy)


@pytest.mark.parametrize("package", SCRIPTS)
def test_a_wheel_carries_its_types_and_its_licence_and_nothing_beside_its_package(
    package: str, wheels: dict[str, Path]
) -> None:
    names = zipfile.ZipFile(wheels[package]).namelist()
    assert f"{package}/py.typed" in names
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)
    assert {name.partition("/")[0] for name in names if ".dist-info/" not in name} == {package}


@pytest.mark.parametrize("package", SCRIPTS)
def test_each_distribution_has_the_licence_of_the_repository(package: str) -> None:
    assert (ROOT / package / "LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()


def test_the_shipped_policy_is_the_one_at_the_root() -> None:
    shipped = ROOT / "aegis_mcp" / "src" / "aegis_mcp" / "policy.yaml"
    assert shipped.read_bytes() == (ROOT / "policy.yaml").read_bytes()


def test_the_image_copies_only_what_is_there_and_what_docker_may_see() -> None:
    sources = re.findall(r"^COPY (?!--from)(\S+) \S+$", IMAGE, re.MULTILINE)
    allowed = re.findall(r"^!(.+)$", (ROOT / ".dockerignore").read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(sources) == sorted(allowed)
    assert [source for source in sources if not (ROOT / source).exists()] == []


def test_the_image_copies_between_stages_that_exist() -> None:
    stages = re.findall(r"^FROM \S+ AS (\w+)$", IMAGE, re.MULTILINE)
    assert set(re.findall(r"^COPY --from=(\w+) ", IMAGE, re.MULTILINE)) <= set(stages)


def test_the_image_installs_every_distribution_and_starts_one_of_their_commands() -> None:
    projects = [tomllib.loads((ROOT / package / "pyproject.toml").read_text(encoding="utf-8")) for package in SCRIPTS]
    commands = {command for project in projects for command in project["project"]["scripts"]}
    assert commands == set(SCRIPTS.values())
    (entry,) = re.findall(r"^ENTRYPOINT (.+)$", IMAGE, re.MULTILINE)
    assert set(json.loads(entry)) <= commands
    (built,) = re.findall(r"pip wheel .+? ((?:\./\w+ ?)+)$", IMAGE, re.MULTILINE)
    assert built.split() == [f"./{package}" for package in SCRIPTS]
    assert "ENV PATH=/opt/aegis/bin:$PATH" in IMAGE


def test_the_image_does_not_run_as_root() -> None:
    (uid,) = re.findall(r"^RUN useradd .*--uid (\d+)", IMAGE, re.MULTILINE)
    users = re.findall(r"^USER (.+)$", IMAGE, re.MULTILINE)
    assert users == [uid]
    assert int(uid) > 0
