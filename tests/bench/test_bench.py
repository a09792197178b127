"""The benchmarks run, and print every figure with its bar; how quick anything is, no test says."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from support.tools import ROOT


def test_the_gateway_benchmark_prints_every_figure_for_every_contender() -> None:
    report = run("bench_gateway.py")
    limit = ["C relay"] if shutil.which("cc") else []
    contenders = ["direct", *limit, "relay", "SDK gateway", "flush", "sync"]
    added = contenders[1:]
    assert {figure["name"]: list(figure["values"]) for figure in report["figures"]} == {
        "p50 of a call": contenders,
        "added to p50": added,
        "p50 as a multiple": contenders,
        "p99 of a call": contenders,
        "calls/s, 32 in flight": contenders,
        "start to tools/list": contenders,
        "added to start": added,
        "peak memory": added,
        "memory of all its processes": added,
    }
    assert bars(report) == {
        "added to p50": {"of": "flush", "most": 60, "aim": 40},
        "calls/s, 32 in flight": {"of": "flush", "least": 20_000},
        "added to start": {"of": "flush", "most": 60},
        "peak memory": {"of": "flush", "most": 30},
    }


def test_the_verifier_benchmark_prints_every_figure_for_every_contender() -> None:
    report = run("bench_verify.py", "--entries", "2000")
    contenders = ["plain", "2 processes", "signed", "gzip", "json loop"]
    c = ["C"] if report["machine"]["C"] == "compiled here" else []
    everything = [*contenders, "1000 new"]
    assert {figure["name"]: list(figure["values"]) for figure in report["figures"]} == {
        "speed": [*contenders, *c],
        "entries of 530 bytes/s": [*contenders, *c],
        "these entries/s": [*contenders, *c],
        "times slower than C": ["plain"] if c else [],
        "times quicker than one process": ["2 processes"],
        "more than unsigned": ["signed"],
        "processor time, whole": [*everything, *c],
        "its start": [*everything, *c],
        "peak memory": everything,
    }
    assert bars(report) == {
        "speed": {"of": "plain", "least": 270, "aim": 420},
        "entries of 530 bytes/s": {"of": "plain", "least": 500_000},
        "times slower than C": {"of": "plain", "most": 3},
        "times quicker than one process": {"of": "2 processes", "least": 1.8},
        "more than unsigned": {"of": "signed", "most": 10},
    }


@pytest.mark.parametrize("script", ["bench_gateway.py", "bench_verify.py"])
def test_a_benchmark_tells_the_machine_and_no_path(script: str) -> None:
    printed = output(script)
    assert "cpu: " in printed
    assert f"Python {sys.version_info.major}.{sys.version_info.minor}" in printed
    assert str(ROOT) not in printed
    assert str(Path.home()) not in printed


def run(script: str, *options: str) -> dict[str, Any]:
    return json.loads(output(script, "--format", "json", *options))


def bars(report: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the bars by the figure that they are for, without whether this machine reaches them."""
    return {
        figure["name"]: {name: value for name, value in figure["bar"].items() if name != "is_met"}
        for figure in report["figures"]
        if "bar" in figure
    }


def output(script: str, *options: str) -> str:
    command = (sys.executable, str(ROOT / "scripts" / script), "--quick", *options)
    process = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert (process.returncode, process.stderr) == (0, "")
    return process.stdout
