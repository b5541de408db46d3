"""Opens every bundle it is told, in a process that notes what the interpreter does for it; gives that as JSON.

Usage: ``python watched_opening.py LIST``, LIST being a file with a path a line.
"""

from __future__ import annotations

# Codecs that zipfile and pickletools look for would else be loaded while the interpreter is watched.
import encodings.cp437
import encodings.raw_unicode_escape
import encodings.utf_8_sig  # noqa: F401
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import monai_seg.sharing.opening as opening

FORBIDDEN = ("socket.", "subprocess.", "os.system", "os.exec", "os.fork", "os.spawn", "os.posix_spawn", "os.putenv",
             "os.symlink", "os.link", "os.kill", "pickle.find_class", "marshal.", "ctypes.", "exec")  # fmt: skip
CHANGES = ("os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.chmod", "os.truncate", "os.utime", "shutil.rmtree")
FOREIGN = ("torch", "monai", "numpy", "ignite", "nrrd", "fire")
OWN = Path(tempfile.gettempdir()).resolve()


def is_own(path: Any, folder: int = -1) -> bool:
    """Whether a path lies in the folder for temporary files."""
    if isinstance(path, int):
        place = os.readlink(f"/proc/self/fd/{path}")
    else:
        base = os.readlink(f"/proc/self/fd/{folder}") if folder is not None and folder >= 0 else os.getcwd()
        place = os.path.join(base, os.fsdecode(path))
    return OWN in Path(os.path.normpath(place)).parents


def forbidden(event: str, arguments: tuple) -> bool:
    if event.startswith(FORBIDDEN):
        return True
    if event == "import":
        return arguments[0].split(".")[0] in FOREIGN
    if event == "open" and not isinstance(arguments[0], int):
        flags = arguments[2] if isinstance(arguments[2], int) else 0
        writes = flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND)
        return bool(writes) and not is_own(arguments[0])
    if event in CHANGES:
        folder = arguments[-1] if event != "shutil.rmtree" and isinstance(arguments[-1], int) else -1
        paths = arguments[:2] if event == "os.rename" else arguments[:1]
        return not all(is_own(path, folder) for path in paths)
    return False


def peak_memory_kib() -> int:
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    return int(next((line.split()[1] for line in lines if line.startswith("VmHWM")), 0))


def main() -> None:
    seen: list[str] = []

    def hook(event: str, arguments: tuple) -> None:
        if watching and forbidden(event, arguments):
            seen.append(f"{event} {arguments}"[:200])

    sys.addaudithook(hook)
    results = {}
    for line in Path(sys.argv[1]).read_text().splitlines():
        begin, watching[:] = time.process_time(), [True]
        try:
            with opening.opened_bundle(Path(line)):
                text = "opened"
        except (opening.BundleTrustError, opening.NoBundleError) as error:
            text = f"{type(error).__name__}: {error}"
        watching.clear()
        results[line] = [text, time.process_time() - begin]
    json.dump({"seen": seen, "results": results, "peak_memory_kib": peak_memory_kib()}, sys.stdout)


watching: list[bool] = []
if __name__ == "__main__":
    main()
