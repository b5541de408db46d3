"""`$` expressions of a configuration, taken to syntax trees and looked at, never evaluated."""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterator

from monai_seg.sharing.audit.usual_expressions import PLAIN_WORDS, usual_nodes

_MOST_LETTERS = 4000


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Names by which Python leaves the world of numbers, wherever they stand: as a name, an attribute or an import. What
# honest bundles do with some of them, as os.path.join, is told in `usual_expressions` and needs trust only.
DANGEROUS = _words(
    """
    __import__ breakpoint compile delattr dir eval exec exit getattr globals help input locals memoryview object
    open quit setattr super type vars builtins importlib import_module reload runpy code codeop pty os sys posix
    nt subprocess multiprocessing threading signal socket socketserver ssl http urllib requests ftplib smtplib
    telnetlib webbrowser shutil tempfile pathlib glob fileinput io mmap pickle cPickle dill cloudpickle joblib
    marshal shelve ctypes cffi gc inspect types operator functools attrgetter itemgetter methodcaller partial
    reduce system popen spawn spawnl spawnv execl execv execve fork forkpty kill killpg remove unlink rmdir
    rmtree removedirs rename renames replace mkdir makedirs mknod mkfifo symlink link chmod chown chroot putenv
    environ getenv fdopen write writelines write_text write_bytes read_text read_bytes touch unpack_archive
    make_archive move copy copyfile copytree Popen call check_call check_output getoutput getstatusoutput
    run_path run_module load loads save dump dumps tofile fromfile memmap load_state_dict_from_url download_url
    download_and_extract hub jit script trace allow_pickle extractall connect bind listen send sendall recv
    urlopen urlretrieve locate find_spec set_trace pdb platform site sysconfig pkgutil zipimport zipfile tarfile
    atexit weakref traceback linecache logging f_globals f_locals f_builtins gi_frame cr_frame tb_frame co_code
    mro
    """
)
# Methods of harmless objects too; what makes them dangerous is the module before them, which is named above.
_USUAL_METHODS = _words("open load loads save dump dumps copy move replace call connect send write type locate compile")
# Callables that compute with what they are given and nothing else, by their exact names.
HARMLESS = _words("abs bool dict enumerate float int len list max min range round set sorted str sum tuple zip")


def look_at_expression(text: str) -> tuple[list[str], list[str]]:
    """What an expression does, as far as its syntax tells.

    Args:
        text: without the `$`.

    Returns:
        What must never be run, and what only runs code; both empty for mere arithmetic.
    """
    if len(text) > _MOST_LETTERS:
        return [f"an expression of {len(text):,} letters; {_MOST_LETTERS:,} are the most"], []
    tree = _parsed(text)
    if tree is None:
        return ["an expression that is no Python"], []
    dangerous, called = [], []
    usual = usual_nodes(tree)
    for node in ast.walk(tree):
        for name in _names(node) if node not in usual else ():
            if name in DANGEROUS or (name.startswith("_") and name.endswith("_")) or name.startswith("__"):
                dangerous.append(f"an expression uses {name!r}")
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            called.append(f"an expression imports {', '.join(alias.name for alias in node.names)}")
        elif isinstance(node, (ast.Lambda, ast.NamedExpr, ast.Await, ast.Yield, ast.YieldFrom)):
            called.append(f"an expression holds a {type(node).__name__.lower()}")
        elif isinstance(node, ast.Call) and not (isinstance(node.func, ast.Name) and node.func.id in HARMLESS):
            called.append(f"an expression calls {ast.unparse(node.func)[:80]}")
        elif isinstance(node, ast.BinOp) and isinstance(node.op, (ast.Pow, ast.LShift, ast.Mult)):
            if isinstance(node.op, ast.Pow) and any(isinstance(part, ast.BinOp) for part in (node.left, node.right)):
                dangerous.append("an expression takes powers of powers, which may never end")
        elif isinstance(node, ast.Attribute):
            called.append(f"an expression reads {ast.unparse(node)[:80]}")
    return list(dict.fromkeys(dangerous)), list(dict.fromkeys(called))


def _parsed(text: str) -> ast.AST | None:
    # References are no Python: @network#decoder::0 stands for a value.
    plain = "".join(_without_references(text)).strip()
    for mode in ("eval", "exec"):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return ast.parse(plain, mode=mode)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            continue
    return None


def _without_references(text: str) -> Iterator[str]:
    position = 0
    while position < len(text):
        letter = text[position]
        if (
            letter in "@%"
            and position + 1 < len(text)
            and (text[position + 1].isalnum() or text[position + 1] in "_#:")
        ):
            yield "referred"
            position += 1
            while position < len(text) and (text[position].isalnum() or text[position] in "_#:"):
                position += 1
            # A reference may end in a colon of a slice or a dictionary.
            while text[position - 1] in "#:":
                position -= 1
        else:
            yield letter
            position += 1


def _names(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Name):
        yield node.id
    elif isinstance(node, ast.Attribute) and node.attr not in _USUAL_METHODS:
        yield node.attr
    elif isinstance(node, (ast.Import, ast.ImportFrom)):
        for alias in node.names:
            yield from alias.name.split(".")
            yield alias.asname or ""  # what is called os from here on is not it
        if isinstance(node, ast.ImportFrom):
            yield from (node.module or "").split(".")
    elif isinstance(node, ast.Constant) and isinstance(node.value, str):
        # Names that are put together as text, as for getattr, and format strings that read attributes.
        if node.value in DANGEROUS - _USUAL_METHODS - PLAIN_WORDS:
            yield node.value
        if "__" in node.value:
            yield "__"
    elif isinstance(node, ast.keyword) and node.arg == "allow_pickle":
        yield node.arg
