"""Embedded sample data: seeded and synthetic, generated at first use into a cache folder.

One module per task family (`volumes`, `cells`, `aerial`, `faces`, `slices`, `nodules`, `expressions`) gives the files
of a data set as pairs of path and content; this module alone decides where they go and that they arrive all at once.
"""

from __future__ import annotations

import importlib
import logging
import os
import shutil
import tempfile
import time

SAMPLE_KINDS = ("volumes", "cells", "aerial", "faces", "slices", "nodules", "expressions")

_PROGRESS_S = 2.0
_logger = logging.getLogger(__name__)


def sample_data(kind: str, cache_dir: str | os.PathLike[str] | None = None, seed: int = 0) -> str:
    """Folder of an embedded sample data set, which is generated first where the cache does not hold it.

    Several processes may ask at once, as the ranks of ``torchrun`` do: each finds the complete folder or makes it,
    one folder wins, and nobody ever sees half of one.

    Args:
        kind: ``"volumes"`` (3D, layout of the Medical Segmentation Decathlon), ``"cells"`` or ``"aerial"`` (2D, layout
            ``pairs``), ``"faces"`` (2D, ``images/`` without masks), ``"slices"`` (2D, layout ``coco``),
            ``"nodules"`` (3D, layout ``pairs``, instance maps), or ``"expressions"`` (2D, layout ``classes``).
        cache_dir: where generated data live; by default the environment variable ``MONAI_SEG_CACHE``, else
            ``~/.cache/monai-seg``.
        seed: chooses the data; the same seed gives the same bytes.

    Returns:
        The absolute path of the folder. Its name holds kind, version of the generator and seed, so that a changed
        generator never meets old files.

    Raises:
        ValueError: the kind is not one of `SAMPLE_KINDS`, or the seed is negative.
    """
    if kind not in SAMPLE_KINDS:
        raise ValueError(f"unknown kind of sample data {kind!r}; known are {', '.join(map(repr, SAMPLE_KINDS))}")
    if seed < 0:
        raise ValueError(f"seed is {seed}; give a whole number from 0 upwards")
    version = importlib.import_module(f"{__name__}.{kind}").VERSION
    folder = os.path.join(_cache_root(cache_dir), f"{kind}-v{version}-seed{seed}")
    if not os.path.isdir(folder):
        _generate(kind, seed, folder)
    return folder


def is_sample_data(dataset_dir: str | os.PathLike[str], cache_dir: str | os.PathLike[str] | None = None) -> bool:
    """Whether a folder is one that `sample_data` made."""
    parent, name = os.path.split(os.path.realpath(dataset_dir))
    return parent == os.path.realpath(_cache_root(cache_dir)) and name.startswith(tuple(f"{k}-v" for k in SAMPLE_KINDS))


def _cache_root(cache_dir: str | os.PathLike[str] | None) -> str:
    chosen = cache_dir or os.environ.get("MONAI_SEG_CACHE") or os.path.join("~", ".cache", "monai-seg")
    return os.path.abspath(os.path.expanduser(chosen))


def _generate(kind: str, seed: int, folder: str) -> None:
    root, name = os.path.split(folder)
    _logger.info("generating the sample data %s (synthetic, a few seconds, once) in %s", name, root)
    os.makedirs(root, exist_ok=True)
    workshop = tempfile.mkdtemp(prefix=f".{name}-", suffix=".partial", dir=root)
    try:
        # One level deeper, because the folder that mkdtemp makes is closed to other users and would stay so.
        draft = os.path.join(workshop, name)
        _write_files(kind, seed, draft)
        try:
            os.replace(draft, folder)
        except OSError:
            if not os.path.isdir(folder):
                raise
            _logger.info("another process made %s meanwhile; using that one", folder)
        else:
            _sync(root)
    finally:
        shutil.rmtree(workshop, ignore_errors=True)


def _write_files(kind: str, seed: int, folder: str) -> None:
    generator = importlib.import_module(f"{__name__}.{kind}")
    told_s = time.monotonic()
    folders = {folder}
    for count, (path, content) in enumerate(generator.generate(seed), start=1):
        target = os.path.join(folder, *path.split("/"))
        os.makedirs(os.path.dirname(target), exist_ok=True)
        folders.add(os.path.dirname(target))
        with open(target, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if time.monotonic() - told_s > _PROGRESS_S:
            told_s = time.monotonic()
            _logger.info("%s: %d of %d files written", os.path.basename(folder), count, generator.N_FILES)
    for path in folders:
        _sync(path)


def _sync(folder: str) -> None:
    """Bring the entries of a folder to the disk, where the system can (Windows cannot open a folder)."""
    if os.name != "nt":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
