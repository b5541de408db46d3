"""Bundles that would run something, by many routes: each writes a marker instead of doing damage."""

from __future__ import annotations

import io
import json
import os
import pickle
import stat
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from safe_bundle import files, safetensors, with_value, write, zipped

MARKER = "MARKER_OF_A_HOSTILE_BUNDLE"
Builder = Callable[[Path], Path]

_PATH = f"open('{MARKER}', 'w')"
EXPRESSIONS = {
    "open": f"${_PATH}",
    "os.system": f"$__import__('os').system('touch {MARKER}')",
    "import": "$import os",
    "import as": "$import os as torch",
    "from import": "$from os import system as s",
    "import submodule": "$import monai.bundle.scripts as b",
    "eval": f'$eval("{_PATH}")',
    "exec": "$exec('import os')",
    "compile": "$compile('1', 'a', 'eval')",
    "getattr": "$getattr(__builtins__, 'ev' + 'al')('1')",
    "subclasses": "$().__class__.__base__.__subclasses__()",
    "globals of a function": "$(lambda: 0).__globals__['__builtins__']",
    "nested": f"$[x for x in [1] if [y for y in [{_PATH}]]]",
    "late lambda": f"$lambda *a: {_PATH}",
    "key": "$sorted(['touch x'], key=os.system)",
    "map": "$list(map(os.system, ['touch x']))",
    "max": "$max(['touch x'], key=torch.serialization.os.system)",
    "re-export": "$monai.bundle.scripts.os.mknod('x')",
    "re-export of ignite": "$ignite.utils.logging.os.mknod('x')",
    "re-export of torch": "$torch.serialization.os.mknod('x')",
    "attribute read": "$torch.serialization.os.system",
    "base64": "$exec(__import__('base64').b64decode('aW1wb3J0IG9z'))",
    "unicode": "$ｅｖａｌ('1')",
    "italic": "$𝘦𝘹𝘦𝘤('import os')",
    "dunder by text": "$'{0.__class__.__init__.__globals__}'.format(@network_def)",
    "f-string": f'$f"{{{_PATH}}}"',
    "walrus": f"$(x := {_PATH})",
    "conditional": f"$1 if 0 else {_PATH}",
    "dictionary": f"${{'a': {_PATH}}}",
    "default argument": f"$(lambda x={_PATH}: x)()",
    "decorated text": "$pathlib.Path('x').write_text('y')",
    "numpy": "$np.load('x.npy', allow_pickle=True)",
    "torch.load": "$torch.load('models/model.pt', weights_only=False)",
    "jit": "$torch.jit.load('models/model.ts')",
    "hub": "$torch.hub.load('user/repo', 'model')",
    "url": "$torch.hub.load_state_dict_from_url('http://127.0.0.1:9/x')",
    "ctypes": "$ctypes.CDLL(None).system(b'touch x')",
    "importlib": "$importlib.import_module('os')",
    "runpy": "$runpy.run_path('scripts/x.py')",
    "subprocess": "$subprocess.run(['touch', 'x'])",
    "socket": "$socket.create_connection(('127.0.0.1', 9))",
    "shutil": "$shutil.rmtree('.')",
    "powers": "$9**9**9**9",
    "method of a reference": "$@network_def.to('cuda')",
    "reference that is called": "$@evaluator.run()",
    "mere expression": "$1 + 1",
    "spaces before": "  $__import__('os')",
    "setattr": "$setattr(monai, 'x', 1)",
    "type": "$type('X', (), {'__reduce__': 1})",
    "breakpoint": "$breakpoint()",
    "functools": "$functools.reduce(os.system, ['a', 'b'])",
    "operator": "$operator.methodcaller('system', 'x')(os)",
    "no Python": "$this is no python (",
    "long": "$" + "+".join(["1"] * 5000),
    "deep": "$" + "(" * 500 + ")" * 500,
}

TARGETS = {
    "os.system": {"_target_": "os.system", "command": "touch x"},
    "builtins.eval": {"_target_": "builtins.eval", "source": "1"},
    "builtins.exec": {"_target_": "builtins.exec", "source": "1"},
    "builtins.open": {"_target_": "builtins.open", "file": MARKER, "mode": "w"},
    "subprocess": {"_target_": "subprocess.Popen", "args": ["touch", "x"]},
    "re-export": {"_target_": "monai.bundle.scripts.os.mknod", "path": "x"},
    "re-export of ignite": {"_target_": "ignite.utils.logging.os.mknod", "path": "x"},
    "re-export of torch": {"_target_": "torch.serialization.os.mknod", "path": "x"},
    "re-export below a known name": {"_target_": "monai.transforms.Compose.__init__.__globals__"},
    "lambda of monai": {"_target_": "monai.transforms.Lambdad", "keys": "image", "func": "os.system"},
    "transform by name": {"_target_": "LoadImaged", "keys": "image"},
    "scripts": {"_target_": "scripts.network.Network"},
    "file of numbers": {"_target_": "monai.transforms.LoadImaged", "keys": "image", "reader": "NumpyReader"},
    "pickle allowed": {"_target_": "monai.data.NumpyReader", "allow_pickle": True},
    "unknown argument": {"_target_": "monai.transforms.Compose", "transforms": [], "log_stats": "os.system"},
    "callable as text": {"_target_": "monai.transforms.Activationsd", "keys": "image", "sigmoid": "os.system"},
    "list for a name": {"_target_": ["os.system"]},
    "expression for a name": {"_target_": "$os.system"},
    "reference for a name": {"_target_": "@evil"},
    "spaces": {"_target_": " os.system"},
    "debugger": {"_target_": "monai.inferers.SimpleInferer", "_mode_": "debug"},
    "download": {"_target_": "monai.apps.download_url", "url": "http://127.0.0.1:9/x"},
    "run of another bundle": {"_target_": "monai.bundle.run", "config_file": "other.yaml"},
    "config parser": {"_target_": "monai.bundle.ConfigParser", "config": {"a": "$1"}},
    "torch.load": {"_target_": "torch.load", "f": "model.pt", "weights_only": False},
    "dunder": {"_target_": "monai.__path__.append"},
}

TEXTS = {
    "macro": "%network_def",
    "macro of a file": "%other.yaml::evil",
    "macro of a file elsewhere": "%/etc/x.yaml::evil",
    "macro above": "%../x.json::evil",
    "reference": "@network_def#features",
    "relative id": "@##evil",
    "absolute path": "/etc/passwd",
    "path of Windows": "C:\\Windows\\system32",
    "path above": "models/../../x",
    "share": "\\\\host\\share",
    "dunder in a text": "{0.__class__}",
}

# Nine aliases of nine aliases of nine ...: 9**22 values, if anybody counted them.
LAUGHS = b"a: &a [x]\n" + b"".join(
    b"%c: &%c [%s]\n" % (n, n, b",".join([b"*%c" % (n - 1)] * 9)) for n in range(98, 120)
)
LAUGHS += b"z: $1\n"

CONFIGURATION_FILES: dict[str, dict[str, bytes]] = {
    "python tag": {"configs/a.yaml": b"a: !!python/object/apply:os.system ['touch x']\n"},
    "python name": {"configs/a.yaml": b"a: !!python/name:os.system\n"},
    "own tag": {"configs/a.yaml": b"a: !evil x\n"},
    "second document": {"configs/a.yaml": b"a: 1\n---\nb: $1\n"},
    "key twice": {"configs/a.yaml": b"a: 1\na: $1\n"},
    "key twice in JSON": {"configs/a.json": b'{"a": 1, "a": "$1"}'},
    "target in the middle of a key": {"configs/a.yaml": b"'network_def#_target_': os.system\n"},
    "target by two colons": {"configs/a.yaml": b"'network_def::_target_': os.system\n"},
    "merge key": {"configs/a.yaml": b"a: &a {_target_: os.system}\nb: {<<: *a, command: x}\n"},
    "alias": {"configs/a.yaml": b"a: &a $1\nb: *a\n"},
    "folded text": {"configs/a.yaml": b"a: >\n  $__import__('os')\n  .system('x')\n"},
    "escapes": {"configs/a.yaml": b'a: "\\x24import os"\n'},
    "escapes of JSON": {"configs/a.json": b'{"\\u005ftarget_": "os.system"}'},
    "expression as a key": {"configs/a.yaml": b"$1: 1\n"},
    "capital ending": {"configs/A.YAML": b"a: $1\n"},
    "deep": {"configs/a.json": b"[" * 100_000 + b"]" * 100_000},
    "deep YAML": {"configs/a.yaml": b"[" * 5000 + b"]" * 5000},
    "laughs": {"configs/a.yaml": LAUGHS},
    "no UTF-8": {"configs/a.yaml": b"a: \xff\xfe\n"},
    "no JSON": {"configs/a.json": b"{"},
    "no YAML": {"configs/a.yaml": b"a: [\n"},
    "metadata": {"configs/metadata.json": b'{"version": "$__import__(\'os\')"}'},
    "in the docs": {"docs/x.yml": b"a: $1\n"},
}  # fmt: skip


class _Marked:
    def __reduce__(self) -> tuple:
        return os.system, (f"touch {MARKER}",)


def _checkpoint(pickled: bytes, extra: str = "") -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("archive/data.pkl", pickled)
        if extra:
            archive.writestr(extra, b"def forward(self): pass")
    return buffer.getvalue()


HARMLESS_PICKLE = pickle.dumps({"weight": [1.0]}, 2)
EVIL = pickle.dumps(_Marked(), 2)
OTHER_FILES: dict[str, dict[str, bytes]] = {
    "script": {"scripts/network.py": b"import os\n"},
    "module in the place of nrrd": {"nrrd.py": b"import os\n"},
    "module in the place of fire": {"fire.py": b"import os\n"},
    "package in the place of torch": {"torch/__init__.py": b"import os\n"},
    "module of the standard library": {"json.py": b"import os\n"},
    "site": {"sitecustomize.py": b"import os\n"},
    "compiled module": {"scripts/x.cpython-311-x86_64-linux-gnu.so": b"\x7fELF"},
    "bytecode": {"__pycache__/x.cpython-311.pyc": b"\xa7\r\r\n"},
    "library under another name": {"docs/a.png": b"\x7fELF\x02\x01"},
    "program under another name": {"docs/a.txt": b"#!/bin/sh\ntouch x\n"},
    "notebook": {"docs/a.ipynb": b"{}"},
    "page": {"docs/a.html": b"<script>1</script>"},
    "drawing": {"docs/a.svg": b"<svg onload='x'/>"},
    "unknown kind": {"docs/a.xyz": b"?"},
    "pickle": {"models/model.pkl": EVIL},
    "pickle under another name": {"docs/a.png": EVIL},
    "pickle of text": {"models/a.pt": pickle.dumps(_Marked(), 0)},
    "pickle of the newest kind": {"models/a.pt": pickle.dumps(_Marked(), 5)},
    "harmless pickle": {"models/a.pt": HARMLESS_PICKLE},
    "broken pickle": {"models/a.pt": EVIL[:-3]},
    "checkpoint": {"models/model.pt": _checkpoint(EVIL)},
    "harmless checkpoint": {"models/model.pt": _checkpoint(HARMLESS_PICKLE)},
    "checkpoint under another name": {"models/model.safetensors": _checkpoint(EVIL)},
    "TorchScript": {"models/model.ts": _checkpoint(HARMLESS_PICKLE, "archive/code/x.py")},
    "archive": {"models/a.zip": _checkpoint(b"")},
    "array of objects": {"models/a.npy": b"\x93NUMPY\x01\x00v\x00{'descr': '|O', 'fortran_order': False, 'shape': ()}"},
    "arrays": {"models/a.npz": _checkpoint(b"")},
    "ONNX above": {"models/a.onnx": b"\x0a\x08location\x12\x0c../../secret"},
    "ONNX absolute": {"models/a.onnx": b"\x0a\x08location\x12\x0b/etc/passwd"},
    "ONNX": {"models/a.onnx": b"\x08\x07"},
    "weights that overlap": {"models/model.safetensors": safetensors(b"\0" * 8, b={"dtype": "F32", "shape": [2],
                                                                                   "data_offsets": [0, 8]})},
    "weights of another size": {"models/model.safetensors": safetensors(b"\0" * 16)},
    "weights without a header": {"models/model.safetensors": b"\xff" * 64},
    "weights of a strange kind": {"models/model.safetensors": safetensors(
        weight={"dtype": "OBJ", "shape": [2], "data_offsets": [0, 8]})},
    "logging that evaluates": {"configs/logging.conf": b"[handler_a]\nclass=StreamHandler\nargs=(open('x','w'),)\n"},
    "logging with a class": {"configs/logging.conf": b"[handler_a]\nclass=logging.handlers.SocketHandler\nargs=()\n"},
    "logging of nothing": {"configs/logging.conf": b"evil"},
}  # fmt: skip


def builders() -> Iterator[tuple[str, Builder]]:
    """Name and maker of every hostile bundle."""
    for name, text in EXPRESSIONS.items():
        for place in (0, 2) if len(text) < 1000 else (0,):
            yield f"expression: {name} ({place})", _changed(with_value(text, place))
    for name, target in TARGETS.items():
        yield f"target: {name}", _changed(with_value(target, 1))
    for name, text in TEXTS.items():
        yield f"text: {name}", _changed(with_value(text, 3))
    for name, changed in (CONFIGURATION_FILES | OTHER_FILES).items():
        yield f"file: {name}", _changed(changed)
    yield from _folders()
    yield from _archives()


def _changed(changed: dict[str, bytes]) -> Builder:
    return lambda folder: write(folder, changed)


def _folders() -> Iterator[tuple[str, Builder]]:
    def linked(target: str, name: str) -> Builder:
        def build(folder: Path) -> Path:
            write(folder)
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).symlink_to(target)
            return folder

        return build

    def after(change: Callable[[Path], Any]) -> Builder:
        def build(folder: Path) -> Path:
            change(write(folder))
            return folder

        return build

    yield "folder: link to a file elsewhere", linked("/etc/passwd", "docs/a.txt")
    yield "folder: link to a folder elsewhere", linked("/etc", "docs/etc")
    yield "folder: link within", linked("README.md", "docs/b.md")
    yield "folder: pipe", after(lambda folder: os.mkfifo(folder / "docs" / "pipe"))
    yield "folder: no manifest", lambda folder: write(folder, manifest=False)
    yield "folder: file that was not sent", after(lambda folder: (folder / "docs" / "new.md").write_bytes(b"x"))
    yield "folder: file that is gone", after(lambda folder: (folder / "LICENSE").unlink())
    yield "folder: file that was renamed", after(lambda folder: (folder / "LICENSE").rename(folder / "NOTICE"))
    yield "folder: file that was changed", after(lambda folder: (folder / "LICENSE").write_bytes(b"CC1"))
    yield "folder: manifest of nothing", after(lambda folder: (folder / "manifest.json").write_text("{}"))
    yield "folder: manifest that is a list", after(lambda folder: (folder / "manifest.json").write_text("[]"))


def _archives() -> Iterator[tuple[str, Builder]]:
    def archive(*members: tuple[str | zipfile.ZipInfo, bytes], whole: bool = True) -> Builder:
        usual = list(files().items()) if whole else []
        return lambda folder: zipped(folder.with_suffix(".zip"), [*usual, *members])

    def link(name: str) -> zipfile.ZipInfo:
        info = zipfile.ZipInfo(name)
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
        return info

    names = ("../x", "/etc/x", "a/../../x", "C:/x", "C:x", "a\\..\\x", "./x", "a//x", "con", "docs/NUL.txt", "a. ")
    for name in (*names, "a\x01b", "a\u202eb.md", "docs/a:b", "docs/a?.md", "x" * 300):
        yield f"archive: member {name[:20]!r}", archive((name, b"x"))
    yield "archive: link", archive((link("docs/a.md"), b"/etc/passwd"))
    yield "archive: case", archive(("license", b"x"))
    yield "archive: accents", archive(("docs/ﬁ.md", b"x"), ("docs/fi.md", b"y"))
    yield "archive: file that is a folder too", archive(("docs/README.md/x", b"x"))
    yield "archive: bomb", archive(("docs/a.txt", b"\0" * (64 << 20)))
    yield "archive: many files", archive(*((f"docs/{n}.md", b"") for n in range(10_001)))
    yield "archive: no archive", lambda folder: _bytes(folder.with_suffix(".zip"), b"PK\x03\x04 no archive")
    yield "archive: cut off", lambda folder: _bytes(folder.with_suffix(".zip"), _checkpoint(b"x")[:-30])
    yield "archive: without a manifest", archive()
    yield "archive: nothing", archive(whole=False)
    yield "archive: JSON that lies", archive(("configs/x.json", json.dumps({"a": "$1"}).encode()))


def _bytes(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path
