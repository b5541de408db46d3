"""Modules of this package that go along with a bundle, under ``scripts/``, where it is to run without the package."""

from __future__ import annotations

import ast
import shutil
from collections.abc import Iterator
from pathlib import Path
from pydoc import locate

_PACKAGE = "monai_seg"
_ROOT = Path(__file__).parents[2]  # the folder of the package
_STANDALONE = _ROOT / "sharing" / "portable"


class EnclosedModules:
    """The folder ``scripts`` of a bundle.

    A module is copied with all that it imports of this package, and its imports are turned to ``scripts``.

    Args:
        folder: ``scripts`` in the bundle; it is made, with the modules that every portable bundle needs.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True)
        for path in sorted(_STANDALONE.glob("*.py")):
            shutil.copyfile(path, folder / path.name)

    def enclose(self, name: str) -> str:
        """Copy the module of a class or function.

        Args:
            name: as ``monai_seg.transforms.EdgeTrueResized``.

        Returns:
            Its name in the bundle, as ``scripts.transforms.edge_true_resize.EdgeTrueResized``.
        """
        found = locate(name)
        module, own = str(getattr(found, "__module__", "")), str(getattr(found, "__name__", ""))
        self._copy(module)
        return f"{module.replace(_PACKAGE, 'scripts', 1)}.{own}"

    def _copy(self, module: str) -> None:
        target = self.folder.joinpath(*module.split(".")[1:]).with_suffix(".py")
        if target.exists():
            return
        source = _file(module)
        if source is None:
            raise FileNotFoundError(f"{module} is no module of {_PACKAGE}")
        if source.name == "__init__.py":
            target = target.with_suffix("") / "__init__.py"
        text = source.read_text(encoding="utf-8")
        needed = list(_imports(text))
        for folder in [target.parent, *target.parent.parents]:
            if folder == self.folder:
                break
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "__init__.py").touch()
        target.write_text(text.replace(f"from {_PACKAGE}.", "from scripts."), encoding="utf-8")
        for other in needed:
            self._copy(other)


def _imports(text: str) -> Iterator[str]:
    """Modules of this package that a module imports, at its top or in a function, but for type checkers alone."""
    tree = ast.parse(text)
    unseen = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and id(node) not in unseen and (node.module or "").startswith(_PACKAGE):
            for name in node.names:
                inner = f"{node.module}.{name.name}"
                yield inner if _file(inner) else str(node.module)


def _file(module: str) -> Path | None:
    path = _ROOT.joinpath(*module.split(".")[1:])
    return next((file for file in (path.with_suffix(".py"), path / "__init__.py") if file.is_file()), None)
