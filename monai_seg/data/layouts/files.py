"""File names of images: extensions, stems, and what to leave aside."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from monai_seg.data.fault import Fault, enumerate_briefly, fact

IMAGE_EXTENSIONS = (".nii.gz", ".nii", ".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp")
MASK_WORDS = "masks?|labels?|seg|segmentation|annotations?|gt"  # at the end of a file's name
_CHANNEL = re.compile(r"(.+)_(\d{4})")
_CLUTTER = {"thumbs.db", "desktop.ini"}


def extension(name: str | os.PathLike[str]) -> str:
    """The image extension of a file name in lower case (".nii.gz" is one), or "" where it is no image."""
    lower = os.fspath(name).lower()
    return next((known for known in IMAGE_EXTENSIONS if lower.endswith(known)), "")


def stem(name: str | os.PathLike[str]) -> str:
    """The file name without folder and image extension."""
    base = os.path.basename(os.fspath(name))
    return base[: len(base) - len(extension(base))]


def split_channel(name: str) -> tuple[str, int] | None:
    """Take the channel off an nnU-Net stem: "brain_0001" gives ("brain", 1); None where there is no such ending."""
    match = _CHANNEL.fullmatch(name)
    return (match[1], int(match[2])) if match else None


def relative(path: str | os.PathLike[str], root: Path) -> str:
    """The path below ``root`` with forward slashes, the same on every machine."""
    return Path(os.path.relpath(path, root)).as_posix()


def folders_apart(files: Sequence[str], name_of: Callable[[str], str] = stem) -> dict[str, str]:
    """Folders in which results that bear the names of their inputs do not meet.

    Args:
        files: the inputs.
        name_of: gives the name of a result.

    Returns:
        For each input "" where all names differ; else its folder below the one that holds all inputs.
    """
    if len({name_of(file) for file in files}) == len(set(files)):
        return dict.fromkeys(files, "")
    root = Path(os.path.commonpath([os.path.dirname(file) for file in files]))
    return {file: relative(os.path.dirname(file), root) for file in files}


def is_clutter(name: str) -> bool:
    """Whether a file is one that systems leave behind, such as .DS_Store, ._a.nii.gz or Thumbs.db."""
    return name.startswith(".") or name.lower() in _CLUTTER


def subfolders(folder: Path) -> dict[str, Path]:
    """The folders in a folder by their name in lower case."""
    return {p.name.lower(): p for p in sorted(folder.iterdir()) if p.is_dir() and not is_clutter(p.name)}


def image_names(folder: Path) -> list[str]:
    """The names of the images directly in a folder, sorted."""
    return sorted(p.name for p in folder.iterdir() if extension(p) and not is_clutter(p.name) and p.is_file())


def images_by_stem(folder: Path, root: Path) -> tuple[dict[str, Path], list[Fault]]:
    """Find all images in a folder and below it.

    Returns:
        The images by their path below ``folder`` without extension, sorted, and a fault for each stem that is there
        twice.
    """
    found: dict[str, list[Path]] = {}
    for parent, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not is_clutter(name)]
        for name in names:
            path = Path(parent, name)
            if extension(name) and not is_clutter(name) and path.is_file():
                found.setdefault(relative(Path(parent, stem(name)), folder), []).append(path)
    faults = [_doubled(key, sorted(paths), root) for key, paths in sorted(found.items()) if len(paths) > 1]
    return {key: min(paths) for key, paths in sorted(found.items())}, faults


def summarise(folder: Path) -> str:
    """Say in a few words what a folder holds: its subfolders, then its files by extension."""
    names = sorted(p.name + "/" for p in folder.iterdir() if p.is_dir())
    endings = Counter(
        extension(p) or p.suffix or p.name for p in folder.iterdir() if not p.is_dir() and not is_clutter(p.name)
    )
    names += [f"{count} {ending} file{'s' if count > 1 else ''}" for ending, count in sorted(endings.items())]
    return enumerate_briefly(names) or "nothing"


def _doubled(key: str, paths: list[Path], root: Path) -> Fault:
    facts = tuple(fact("file", relative(path, root)) for path in paths)
    return Fault(key, f"{len(paths)} files share the stem {stem(key)}", facts, "keep one of them, or rename the others")
