"""What honest bundles do with names that would be dangerous elsewhere: they join paths and look for files.

Such an expression needs trust, as every expression that calls something does, but it is no reason to refuse a bundle.
Only exact names are let pass, read off the syntax tree: ``os.path.join`` is one, ``os.popen``, an ``os`` that is handed
to something else, or an ``os`` that is reached through another module are none.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_PATH = _words(
    "join exists isfile isdir basename dirname abspath realpath relpath normpath expanduser split splitext getsize sep"
)
_MODULES = _words("os sys glob pathlib logging functools tempfile copy")
USUAL = _words(
    """
        os.path os.environ os.environ.get os.getenv os.sep os.sep.join os.linesep os.cpu_count os.listdir os.getcwd
        os.mkdir os.makedirs sys.path sys.path.append sys.stdout sys.stderr sys.maxsize sys.platform
        sys.platform.startswith sys.version_info glob.glob glob.iglob pathlib.Path pathlib.Path.cwd pathlib.PurePath
        pathlib.PurePosixPath functools.partial tempfile.gettempdir tempfile.mkdtemp logging.getLogger logging.DEBUG
        logging.INFO logging.WARNING logging.ERROR copy.copy copy.deepcopy
        """
) | {f"os.path.{name}" for name in _PATH}
# Keys of dictionaries that are names of functions as well: what would look them up is refused by its own name.
PLAIN_WORDS = _words("input object signal site platform script trace hub move io operator types")
_METHODS = _words("glob mkdir read_text read_bytes")  # of a path: they read, or make a folder
_FLAGS = _words("benchmark deterministic enabled allow_tf32")
_READING = ("r", "rb", "rt")


def usual_nodes(tree: ast.AST) -> set[ast.AST]:
    """The nodes of an expression whose names are no danger where they stand."""
    usual: set[ast.AST] = set()
    # os.environ is usual, os.environ.update is not: a chain counts as a whole.
    inner = {node.value for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    for node in ast.walk(tree):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            if _is_usual_import(node):
                usual.add(node)
        elif isinstance(node, ast.Call) and (_sets_a_flag(node) or _reads_a_file(node)):
            usual.add(node.func)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _METHODS:
            usual.add(node.func)  # what stands before it is looked at on its own
        elif isinstance(node, ast.Attribute) and node not in inner and _dotted(node) in USUAL:
            usual.update(_chain(node))
        elif isinstance(node, ast.Name) and node.id == "partial":
            usual.add(node)
    return usual


def _is_usual_import(node: ast.Import | ast.ImportFrom) -> bool:
    """Whether it makes known, under its own name, a usual module or what is usual of it."""
    if any(alias.asname not in (None, alias.name) for alias in node.names):
        return False
    if isinstance(node, ast.Import):
        return all(alias.name in _MODULES | {"os.path"} for alias in node.names)
    return not node.level and all(f"{node.module}.{alias.name}" in USUAL for alias in node.names)


def _sets_a_flag(call: ast.Call) -> bool:
    """``setattr(torch.backends.cudnn, 'benchmark', True)``."""
    if not (isinstance(call.func, ast.Name) and call.func.id == "setattr" and len(call.args) == 3):
        return False
    place, name, value = call.args
    is_flag = isinstance(name, ast.Constant) and name.value in _FLAGS and isinstance(value, ast.Constant)
    return is_flag and _dotted(place) in ("torch.backends.cudnn", "torch.backends.cuda.matmul")


def _reads_a_file(call: ast.Call) -> bool:
    """``open(place)`` in a mode that cannot write."""
    if not (isinstance(call.func, ast.Name) and call.func.id == "open" and len(call.args) in (1, 2)):
        return False
    modes = [*call.args[1:], *(each.value for each in call.keywords if each.arg == "mode")]
    is_plain = all(each.arg in ("mode", "encoding") for each in call.keywords)
    return is_plain and all(isinstance(mode, ast.Constant) and mode.value in _READING for mode in modes)


def _dotted(node: ast.AST) -> str:
    """``a.b.c`` of a chain of attributes that begins at a name; "" of anything else."""
    parts = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    return ".".join([node.id, *reversed(parts)]) if isinstance(node, ast.Name) else ""


def _chain(node: ast.AST) -> Iterator[ast.AST]:
    while isinstance(node, ast.Attribute):
        yield node
        node = node.value
    yield node
