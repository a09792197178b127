"""Imports go down, siblings do not see each other, and each third-party library has its door."""

from __future__ import annotations

import re
import sys
import tomllib

import pytest

from support.house import (
    DISTRIBUTIONS,
    DOORS,
    EXTRAS,
    FORMAT,
    LATE_IMPORTERS,
    LAYERS,
    READERS,
    ROOT,
    SIBLINGS,
    SOURCES,
    imports,
    layer,
    modules,
)

MODULES = [(package, module) for package in SOURCES for module in sorted(modules(package))]
# A folder that only groups modules holds no code, and has no layer of its own.
GROUPS = {*SIBLINGS, "checks"}
CODE = [(package, module) for package, module in MODULES if module not in GROUPS]


def _own(package: str, name: str) -> str | None:
    """Return the module of the package that an import names."""
    if not name.startswith(f"{package}."):
        return None
    parts = name.removeprefix(f"{package}.").split(".")
    known = modules(package)
    return next((path for end in (len(parts), -1) if (path := "/".join(parts[:end])) in known), None)


def _used(package: str, module: str, of: str) -> set[str]:
    """Return the modules of the package `of` that a module imports."""
    return {name for full in imports(modules(package)[module]) if (name := _own(of, full))}


def _third_parties(package: str, module: str) -> set[str]:
    return {name.partition(".")[0] for name in imports(modules(package)[module])} - sys.stdlib_module_names - {*SOURCES}


@pytest.mark.parametrize(("package", "module"), CODE)
def test_every_module_is_drawn(package: str, module: str) -> None:
    assert layer(package, module) is not None


@pytest.mark.parametrize("package", SOURCES)
def test_every_drawn_module_exists_and_is_drawn_once(package: str) -> None:
    drawn = [name for names in LAYERS[package] for name in names]
    assert len(drawn) == len(set(drawn))
    assert {name for name in drawn if not name.endswith("*")} <= set(modules(package))


@pytest.mark.parametrize(("package", "module"), [(p, m) for p, m in MODULES if m in GROUPS])
def test_a_folder_that_groups_modules_holds_no_code(package: str, module: str) -> None:
    assert list(imports(modules(package)[module])) == []


@pytest.mark.parametrize(("package", "module"), CODE)
def test_a_module_imports_only_from_lower_layers(package: str, module: str) -> None:
    own = layer(package, module)
    assert own is not None
    used = _used(package, module, package) - GROUPS
    assert {name for name in used if (other := layer(package, name)) is None or other >= own} == set()


@pytest.mark.parametrize(("package", "module"), MODULES)
def test_siblings_do_not_see_each_other(package: str, module: str) -> None:
    folder = module.partition("/")[0]
    if package == "aegis_mcp" and folder in SIBLINGS:
        seen = {name.partition("/")[0] for name in _used(package, module, package)}
        assert seen & set(SIBLINGS) <= {folder}


@pytest.mark.parametrize("module", sorted(modules("aegis_audit")))
def test_an_auditor_needs_no_gateway(module: str) -> None:
    used = {name.partition(".")[0] for name in imports(modules("aegis_audit")[module])}
    assert used.isdisjoint({"aegis_mcp", "mcp", "mcp_types"})


@pytest.mark.parametrize("module", sorted(modules("aegis_mcp")))
def test_the_gateway_knows_the_format_of_the_log_and_no_more_of_the_auditor(module: str) -> None:
    assert _used("aegis_mcp", module, "aegis_audit") <= {*FORMAT, *READERS.get(module, ())}


@pytest.mark.parametrize(("package", "module"), MODULES)
def test_a_library_enters_through_its_door(package: str, module: str) -> None:
    places = {module, f"{module.rpartition('/')[0]}/*"}
    strangers = {name for name in _third_parties(package, module) if places.isdisjoint(DOORS[package].get(name, ()))}
    assert strangers == set()


@pytest.mark.parametrize(("package", "library"), [(p, library) for p, doors in DOORS.items() for library in doors])
def test_every_door_is_used(package: str, library: str) -> None:
    users = {module for module in modules(package) if library in _third_parties(package, module)}
    assert {door for door in DOORS[package][library] if not door.endswith("*")} <= users


@pytest.mark.parametrize("package", SOURCES)
def test_a_distribution_depends_on_what_it_imports_and_nothing_else(package: str) -> None:
    project = tomllib.loads((ROOT / package / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = [need for needs in project["optional-dependencies"].values() for need in needs]
    for needs, libraries in ((project["dependencies"], DOORS[package].keys() - EXTRAS), (extras, EXTRAS)):
        declared = {re.split(r"[^A-Za-z0-9_-]", need)[0] for need in needs} - {"aegis-mcp-audit"}
        assert declared == {DISTRIBUTIONS.get(library, library) for library in libraries}


@pytest.mark.parametrize(("package", "module"), MODULES)
def test_only_commands_are_imported_by_a_name_that_is_made_at_run_time(package: str, module: str) -> None:
    late = {"importlib.import_module", "importlib.util", "runpy", "builtins.__import__"}
    if module not in LATE_IMPORTERS:
        assert late.isdisjoint(imports(modules(package)[module]))
