"""`aegis-mcp policy check` looks at the file that the gateway would use, and tells people and programs of it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from support.host import environment
from support.loaded import run_text


def _check(
    home: Path, *before: str, after: tuple[str, ...] = (), variable: str = ""
) -> subprocess.CompletedProcess[str]:
    env = environment(home, {"AEGIS_POLICY": variable} if variable else {})
    return run_text("aegis_mcp", (*before, "policy", "check", *after), env, seconds=60)


def test_the_option_may_stand_before_the_command(tmp_path: Path) -> None:
    policy = tmp_path / "p.yaml"
    policy.write_text("version: 3", encoding="utf-8")
    checked = _check(tmp_path, "--policy", str(policy))
    assert (checked.returncode, checked.stdout) == (2, f"{policy}:1:10: the version must be 1\n")


def test_an_option_outweighs_the_environment_wherever_it_stands(tmp_path: Path) -> None:
    policy = tmp_path / "p.yaml"
    policy.write_text("version: 1", encoding="utf-8")
    absent = str(tmp_path / "absent.yaml")
    options = ("--policy", str(policy))
    assert _check(tmp_path, *options, variable=absent).returncode == 0
    assert _check(tmp_path, after=options, variable=absent).returncode == 0
    assert _check(tmp_path, variable=absent).returncode == 2


def test_a_link_that_leads_nowhere_is_not_passed_over_for_the_shipped_policy(tmp_path: Path) -> None:
    own = tmp_path / "config" / "aegis-mcp" / "policy.yaml"
    own.parent.mkdir(parents=True)
    own.symlink_to(tmp_path / "gone.yaml")
    checked = _check(tmp_path)
    assert checked.returncode == 2
    assert f"the policy {own} does not exist" in checked.stderr


def test_what_cannot_be_read_is_json_where_json_was_asked_for(tmp_path: Path) -> None:
    checked = _check(tmp_path, after=("--policy", str(tmp_path), "--format", "json"))
    assert checked.returncode == 2
    assert json.loads(checked.stdout) == {
        "ok": False,
        "source": str(tmp_path),
        "error": f"the policy {tmp_path} cannot be read: Is a directory",
        "mistakes": [],
        "exit_code": 2,
    }
