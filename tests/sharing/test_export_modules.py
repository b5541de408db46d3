"""Modules that go along with a portable bundle: whatever they import is there, and nothing of it is our package."""

from __future__ import annotations

import ast
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest

from monai_seg.sharing.audit.registry import COMPONENTS
from monai_seg.sharing.export.enclosed_modules import EnclosedModules

OURS = sorted(name for name in COMPONENTS if name.startswith("monai_seg."))


def imported(path: Path) -> Iterator[str]:
    """Full names of modules that a file imports, at its top or in a function."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            yield str(node.module)


@pytest.fixture(scope="module")
def scripts(tmp_path_factory) -> tuple[Path, dict[str, str]]:
    """All of our components that a bundle may name, enclosed in one."""
    folder = tmp_path_factory.mktemp("bundle") / "scripts"
    modules = EnclosedModules(folder)
    return folder, {name: modules.enclose(name) for name in [*OURS, "monai_seg.engines.DetectionEvaluator"]}


def test_the_closure_is_complete_and_free_of_our_package(scripts):
    folder, _ = scripts
    files = list(folder.rglob("*.py"))
    assert len(files) > 20
    for file in files:
        for module in imported(file):
            assert module.split(".")[0] != "monai_seg", file
            if module.split(".")[0] == "scripts":
                path = folder.joinpath(*module.split(".")[1:])
                assert path.with_suffix(".py").is_file() or (path / "__init__.py").is_file(), (file, module)


def test_every_folder_is_a_package(scripts):
    folder, _ = scripts
    assert all((path.parent / "__init__.py").is_file() for path in folder.rglob("*.py"))


def test_names_in_the_bundle_are_those_of_the_modules(scripts):
    _, names = scripts
    assert names["monai_seg.transforms.EdgeTrueResized"] == "scripts.transforms.edge_true_resize.EdgeTrueResized"


@pytest.mark.slow
def test_all_of_them_are_imported_where_our_package_is_not(scripts):
    """Without site: no .pth file, and so no editable install; but the folder of the other packages."""
    folder, names = scripts
    code = f"""
import importlib, sys
sys.path[:0] = [{str(folder.parent)!r}, {sysconfig.get_paths()["purelib"]!r}]
for name in {sorted(names.values())!r}:
    module, _, own = name.rpartition(".")
    assert callable(getattr(importlib.import_module(module), own)), name
assert not [name for name in sys.modules if name.split(".")[0] == "monai_seg"]
"""
    done = subprocess.run(
        [sys.executable, "-S", "-I", "-c", code], cwd=folder.parent, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr


def test_a_bundle_without_our_components_holds_only_what_every_one_needs(tmp_path):
    EnclosedModules(tmp_path / "scripts")
    found = {path.name for path in (tmp_path / "scripts").rglob("*")}
    assert found == {
        "__init__.py", "bundle_files.py", "compare_predictions.py", "exported_network.py", "prediction_files.py",
        "self_test.py",
    }  # fmt: skip
