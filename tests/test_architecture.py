"""The shape of the package: which room may import which, what no module does, and what a light import leaves alone."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path, PurePosixPath

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = "monai_seg"
MAX_LINES = 300

# Imports go down only: a room may import those of its own floor and of the floors below.
FLOORS = (
    {"data", "transforms", "networks", "losses", "metrics"},
    {"engines", "handlers"},
    {"sharing", "review", "inference"},
    {"cli"},
)
FLOOR = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
NEVER = {("networks", "data"): "networks know no files"}

Tree = Mapping[PurePosixPath, str]
Rule = Callable[[Tree], Iterator[str]]


def package_tree() -> dict[PurePosixPath, str]:
    files = sorted((ROOT / PACKAGE).rglob("*.py"))
    return {PurePosixPath(file.relative_to(ROOT).as_posix()): file.read_text(encoding="utf-8") for file in files}


def room_of(path: PurePosixPath) -> str | None:
    """The room of a file, None for the few modules that lie beside the rooms and below them all."""
    if path.name == "__main__.py":
        return "cli"
    return path.parts[1] if len(path.parts) > 2 else None


def imported_modules(path: PurePosixPath, tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and full dotted name of everything imported, at the top of the file or inside a function."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = path.parts[: len(path.parts) - node.level] if node.level else ()
            source = ".".join((*above, *filter(None, [node.module])))
            yield from ((node.lineno, f"{source}.{alias.name}") for alias in node.names)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
            yield from ((node.lineno, arg.value) for arg in node.args if isinstance(arg, ast.Constant))


def calls(tree: ast.AST, name: str) -> Iterator[ast.Call]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == name:
            yield node


def imports_go_down(tree: Tree) -> Iterator[str]:
    beside = {path.stem for path in tree if room_of(path) is None}
    for path, source in tree.items():
        room = room_of(path)
        if room is not None and room not in FLOOR:
            yield f"{path}: the room {room!r} has no floor; name it in FLOORS"
            continue
        for line, name in imported_modules(path, ast.parse(source)):
            parts = name.split(".")
            target = parts[1] if parts[0] == PACKAGE and len(parts) > 1 else None
            if target is None or target == room or (target in beside and target not in FLOOR):
                continue
            if target not in FLOOR:
                # ``from monai_seg import __version__`` names no room, ``import monai_seg.foo`` one that nobody knows.
                if not (target.startswith("__") and target.endswith("__")):
                    yield f"{path}:{line}: imports {name}, which lies in no known room"
            elif room is None:
                yield f"{path}:{line}: lies below all rooms and imports {target}"
            elif FLOOR[target] > FLOOR[room]:
                yield f"{path}:{line}: {room} imports {target}, which lies above it"
            elif (room, target) in NEVER:
                yield f"{path}:{line}: {room} imports {target}, but {NEVER[room, target]}"


def files_are_short(tree: Tree) -> Iterator[str]:
    for path, source in tree.items():
        if (lines := len(source.splitlines())) > MAX_LINES:
            yield f"{path}: has {lines} lines; {MAX_LINES} are the most, so tell its stories in two files"


def nothing_is_printed(tree: Tree) -> Iterator[str]:
    for path, source in tree.items():
        yield from (f"{path}:{call.lineno}: calls print" for call in calls(ast.parse(source), "print"))


def nothing_is_star_imported(tree: Tree) -> Iterator[str]:
    for path, source in tree.items():
        for line, name in imported_modules(path, ast.parse(source)):
            if name.endswith(".*"):
                yield f"{path}:{line}: imports {name}"


def nothing_is_asserted(tree: Tree) -> Iterator[str]:
    for path, source in tree.items():
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Assert):
                yield f"{path}:{node.lineno}: asserts; raise an error that says how to mend it"


def names_say_something(tree: Tree) -> Iterator[str]:
    for path in tree:
        for part in path.with_suffix("").parts:
            if part.strip("_") in {"utils", "util", "helpers", "helper", "misc", "common"}:
                yield f"{path}: {part!r} does not say what it holds"


def modules_are_documented(tree: Tree) -> Iterator[str]:
    for path, source in tree.items():
        private = any(part.startswith("_") and not part.startswith("__") for part in path.parts)
        if not private and not ast.get_docstring(ast.parse(source)):
            yield f"{path}: has no docstring"


RULES: tuple[Rule, ...] = (
    imports_go_down,
    files_are_short,
    nothing_is_printed,
    nothing_is_star_imported,
    nothing_is_asserted,
    names_say_something,
    modules_are_documented,
)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_package_keeps(rule):
    tree = package_tree()
    assert PurePosixPath(PACKAGE, "__init__.py") in tree
    assert "\n".join(rule(tree)) == ""


# The rules themselves, on small made-up files: (path, source, the violation found).
WRONG = {
    imports_go_down: [
        ("data/a.py", "import monai_seg.engines", "monai_seg/data/a.py:1: data imports engines"),
        ("data/a.py", "from monai_seg import review", "data imports review"),
        ("metrics/a.py", "def f():\n    from monai_seg.engines import trainer", "a.py:2: metrics imports engines"),
        ("networks/a.py", "from monai_seg.data.layouts import pairs", "networks know no files"),
        ("networks/unet/a.py", "from ...data import datalist", "networks know no files"),
        ("losses/a.py", "from .. import handlers", "losses imports handlers"),
        ("handlers/a.py", "from ..inference.tiles import Tiles", "handlers imports inference"),
        ("engines/__init__.py", "from ..cli import main", "engines imports cli"),
        ("transforms/a.py", "import importlib\nimportlib.import_module('monai_seg.handlers')", "a.py:2: transforms"),
        ("sharing/a.py", "import torch, monai_seg.cli.check", "sharing imports cli"),
        ("__init__.py", "from monai_seg.data import datalist", "lies below all rooms and imports data"),
        ("errors.py", "from .data import datalist", "lies below all rooms and imports data"),
        ("cellar/a.py", "", "the room 'cellar' has no floor"),
        ("data/a.py", "import monai_seg.cellar", "in no known room"),
    ],
    files_are_short: [("data/a.py", "\n" * (MAX_LINES + 1), "has 301 lines")],
    nothing_is_printed: [("cli/a.py", "def f():\n    print('done')", "monai_seg/cli/a.py:2: calls print")],
    nothing_is_star_imported: [
        ("data/a.py", "from numpy import *", "imports numpy.*"),
        ("data/a.py", "from .layouts import *", "imports monai_seg.data.layouts.*"),
    ],
    nothing_is_asserted: [("losses/a.py", "def f(x):\n    assert x > 0", "monai_seg/losses/a.py:2: asserts")],
    names_say_something: [
        ("data/utils.py", "", "'utils' does not say"),
        ("helpers/a.py", "", "'helpers' does not say"),
    ],
    modules_are_documented: [
        ("data/a.py", "x = 1", "monai_seg/data/a.py: has no docstring"),
        ("data/__init__.py", "", "has no docstring"),
    ],
}


@pytest.mark.parametrize(
    ("rule", "path", "source", "message"),
    [pytest.param(rule, *case, id=f"{rule.__name__}-{n}") for rule in RULES for n, case in enumerate(WRONG[rule])],
)
def test_a_rule_finds_what_is_wrong(rule, path, source, message):
    found = list(rule({PurePosixPath(PACKAGE, path): source}))
    assert len(found) == 1
    assert message in found[0]


RIGHT = {
    "cli/check.py": "from monai_seg import __version__\nfrom monai_seg.data import checks\nfrom ..review import report",
    "review/a.py": "from monai_seg.sharing import audit\nfrom monai_seg.handlers import tables",
    "engines/a.py": "from monai_seg.handlers.log import Log\nfrom ..errors import DataError\nimport monai_seg",
    "handlers/a.py": "from monai_seg.engines import evaluator\nfrom .log import Log",
    "data/a.py": "from monai.engines import Trainer\nimport monai.handlers\nfrom ..transforms import shadow",
    "data/layouts/b.py": "from . import pairs\nfrom .. import a\nfrom ...errors import DataError",
    "metrics/dice.py": "from monai_seg.losses.focal import focal\nself.print()\n'assert in a text'",
    "data/_private.py": "",
    "__main__.py": "from monai_seg.cli import main",
    "errors.py": "import json",
}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_a_rule_leaves_right_code_alone(rule):
    documented = {
        PurePosixPath(PACKAGE, path): f'"""What it is."""\n{source}' if source else source
        for path, source in RIGHT.items()
    }
    assert list(rule(documented)) == []


def heavy_modules_after(code: str) -> list[str]:
    """Which of torch and MONAI a fresh Python has imported at the end of ``code``."""
    report = "print(*{'torch', 'monai'} & {name.split('.')[0] for name in sys.modules})"
    done = subprocess.run(
        [sys.executable, "-c", f"import sys\n{code}\n{report}"], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1].split()


HELP = """
from monai_seg.cli import main
sys.argv = ["monai-seg", "--help"]
try:
    main()
except SystemExit as stop:
    if stop.code:
        raise
"""


@pytest.mark.parametrize(
    "code",
    ["import monai_seg", "import monai_seg.data", "import monai_seg.sharing.opening", HELP],
    ids=["monai_seg", "monai_seg.data", "monai_seg.sharing.opening", "monai-seg --help"],
)
def test_a_light_import_stays_light(code):
    assert heavy_modules_after(code) == []


def test_a_heavy_import_is_noticed():
    code = "import types\nsys.modules['torch.nn'] = sys.modules['monai'] = types.ModuleType('stand-in')"
    assert sorted(heavy_modules_after(code)) == ["monai", "torch"]
