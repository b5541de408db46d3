"""What is kept of each image to compare thousands of them: hashes, a thumbnail, and facts about the file."""

from __future__ import annotations

import hashlib
import os
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from monai_seg.data.datalist_store import record_hash
from monai_seg.data.duplicates.file_facts import FileFacts, file_facts
from monai_seg.data.fault import Fault, fact
from monai_seg.data.layouts import Record
from monai_seg.data.layouts.files import stem
from monai_seg.data.progress import watched
from monai_seg.data.raster import Raster, UnreadableError, read_raster

SIDE = 64  # pixels of a thumbnail
_MIN_CONTRAST = 2.0  # grey levels of 255: below it a picture is one tone, and alike only to itself


@dataclass(frozen=True)
class Print:
    """What is kept of one image.

    Args:
        file_hash: SHA-256 of the file, or one over those of all channels, as a datalist notes it.
        value_hash: of the size and the values, whatever the file's compression.
        thumbnail: grey values of a picture stretched to 0 to 255, ``(SIDE, SIDE)``, uint8, whatever its proportions;
            None of a volume, and of a picture without contrast.
        facts: what could tell a class without looking at what is shown; None of a volume.
    """

    file_hash: str
    value_hash: str
    thumbnail: np.ndarray | None
    facts: FileFacts | None


def read_prints(records: Sequence[Record], progress: bool = False) -> tuple[list[Print | None], list[Fault]]:
    """Read each image once.

    Args:
        records: cases with absolute paths.
        progress: whether to show a bar when it takes more than two seconds.

    Returns:
        What is kept of each image, None of one that cannot be read; and a fault for each of those.
    """
    found: list[Print | None] = []
    faults = []
    with warnings.catch_warnings():
        # Here and not around each file: the filters are one for all threads.
        warnings.filterwarnings("ignore", module=r"PIL\.")
        for record, result in zip(records, watched(_read_all(records), len(records), progress), strict=True):
            if isinstance(result, UnreadableError):
                remark, path = result.remark, str(_paths(record)[0])
                facts = (fact("image", path, remark.found),)
                faults.append(Fault(stem(path), remark.problem.format(kind="image"), facts, remark.mend))
            found.append(result if isinstance(result, Print) else None)
    return found, faults


def _read_all(records: Sequence[Record]) -> Iterator[Print | UnreadableError]:
    # Reading and unpacking leave Python's lock; few threads, as each holds a whole image.
    with ThreadPoolExecutor(max_workers=min(4, os.cpu_count() or 1)) as pool:
        yield from pool.map(_read, records)


def _read(record: Record) -> Print | UnreadableError:
    paths = _paths(record)
    try:
        rasters = [read_raster(path) for path in paths]
    except UnreadableError as error:
        return error
    except MemoryError:
        return UnreadableError("the {kind} does not fit into memory", "out of memory", "free some memory")
    file_hash = record_hash([raster.sha256 for raster in rasters])
    value_hash = record_hash([_value_hash(raster) for raster in rasters])
    first = rasters[0]
    if sum(size > 1 for size in first.shape) > 2:
        return Print(file_hash, value_hash, None, None)
    grey = _grey(first)
    return Print(file_hash, value_hash, _thumbnail(grey), file_facts(Path(paths[0]), first, grey))


def _paths(record: Record) -> list[str]:
    image = record["image"]
    return [str(path) for path in image] if isinstance(image, list) else [str(image)]


def _value_hash(raster: Raster) -> str:
    values = raster.values
    # Whole numbers may be stored as 2 bytes here and as floats there; most pictures are left as they are, for speed.
    values = values if values.dtype == np.uint8 else values.astype(np.float32)
    digest = hashlib.blake2b(repr(values.shape).encode(), digest_size=16)
    digest.update(np.ascontiguousarray(values).data)
    return digest.hexdigest()


def _grey(raster: Raster) -> np.ndarray:
    """One value a pixel, ``(H, W)``: uint8 of a common picture, else float32 without NaN."""
    values = raster.values
    sizes = [size for size in raster.shape if size > 1]
    if values.ndim > len(raster.shape):
        values = values.reshape((*raster.shape, raster.channels))
        if values.dtype == np.uint8 and raster.channels in (3, 4) and len(raster.shape) == 2:
            return np.asarray(Image.fromarray(np.ascontiguousarray(values[..., :3])).convert("L"))
        values = values[..., :3].mean(axis=-1, dtype=np.float32)
    values = values.reshape(sizes if len(sizes) == 2 else raster.shape[:2])
    return values if values.dtype == np.uint8 else np.nan_to_num(values.astype(np.float32), posinf=0, neginf=0)


def _thumbnail(grey: np.ndarray) -> np.ndarray | None:
    # Pillow's bilinear filter widens where it shrinks: it averages areas, and interpolates where a picture is small.
    small = Image.fromarray(grey).resize((SIDE, SIDE), Image.Resampling.BILINEAR, reducing_gap=3.0)
    values = np.asarray(small, dtype=np.float32)
    low, high = float(values.min()), float(values.max())
    if high - low < (_MIN_CONTRAST if grey.dtype == np.uint8 else 1e-6 * max(abs(low), abs(high), 1e-30)):
        return None
    return np.round((values - low) * (255.0 / (high - low))).astype(np.uint8)
