"""Imports go down, siblings do not see each other, and each third-party library has its door."""

from __future__ import annotations

import pytest

from support.house import IMPORTERS, LAYERS, SIBLINGS, SOURCES, imports, layer, modules

MODULES = [(package, module) for package in SOURCES for module in sorted(modules(package))]
CODE = [(package, module) for package, module in MODULES if module not in {*SIBLINGS, "checks"}]


def _own(package: str, name: str) -> str | None:
    """Return the module of the package that an import names."""
    if not name.startswith(f"{package}."):
        return None
    parts = name.removeprefix(f"{package}.").split(".")
    known = modules(package)
    return next((path for end in (len(parts), -1) if (path := "/".join(parts[:end])) in known), None)


@pytest.mark.parametrize(("package", "module"), CODE)
def test_every_module_is_drawn(package: str, module: str) -> None:
    assert layer(package, module) is not None


@pytest.mark.parametrize("package", SOURCES)
def test_every_drawn_module_exists(package: str) -> None:
    drawn = {name for names in LAYERS[package] for name in names if not name.endswith("*")}
    assert drawn <= set(modules(package))


@pytest.mark.parametrize(("package", "module"), CODE)
def test_a_module_imports_only_from_lower_layers(package: str, module: str) -> None:
    own = layer(package, module)
    assert own is not None
    used = {name for full in imports(modules(package)[module]) if (name := _own(package, full))}
    upward = {name for name in used - {*SIBLINGS, "checks"} if (other := layer(package, name)) is None or other >= own}
    assert upward == set()


@pytest.mark.parametrize(("package", "module"), MODULES)
def test_siblings_do_not_see_each_other(package: str, module: str) -> None:
    folder = module.partition("/")[0]
    if package == "aegis_mcp" and folder in SIBLINGS:
        seen = {name.split(".")[1] for name in imports(modules(package)[module]) if name.startswith("aegis_mcp.")}
        assert seen & set(SIBLINGS) <= {folder}


@pytest.mark.parametrize("module", sorted(modules("aegis_audit")))
def test_an_auditor_needs_no_gateway(module: str) -> None:
    used = {name.partition(".")[0] for name in imports(modules("aegis_audit")[module])}
    assert used.isdisjoint({"aegis_mcp", "mcp", "mcp_types"})


@pytest.mark.parametrize(("package", "library"), [(p, library) for p, doors in IMPORTERS.items() for library in doors])
def test_a_library_enters_through_its_door(package: str, library: str) -> None:
    doors = IMPORTERS[package][library]
    users = {
        module
        for module, path in modules(package).items()
        if library in {name.partition(".")[0] for name in imports(path)}
    }
    strangers = {user for user in users if user not in doors and f"{user.rpartition('/')[0]}/*" not in doors}
    assert strangers == set()
