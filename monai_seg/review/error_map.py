"""The error map of a scene as a GeoTIFF: tiled, compressed, with a colour table, written as its rows come."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from monai_seg.handlers.panel import LEGEND
from monai_seg.review.block_counts import FN, FP, TP

TILE = 256
_CLASSIC_BYTES = (
    2**32 - 2**25
)  # a BigTIFF where it may grow beyond 4 GB, as tifffile chooses by itself for whole arrays
# In the order of the states, with the names and the colours of the pictures of cases.
NAMES = ("rightly background", *(name for name, _ in LEGEND[:3]))
COLOURS = ((24, 24, 24), *(colour for _, colour in LEGEND[:3]))
DESCRIPTION = f"0 TN {NAMES[0]}; {TP} TP {NAMES[TP]}; {FP} FP {NAMES[FP]}; {FN} FN {NAMES[FN]}"


def write_error_map(
    path: Path,
    bands: Iterable[np.ndarray],
    height: int,
    width: int,
    geo_tags: Sequence[tuple[int, int, int, Any]] = (),
) -> None:
    """Write the states of all pixels; bands are taken one after the other and not kept.

    `StripWriter` writes the label maps of predictions, but grey only: the colour table and the tiles are tifffile's.

    Args:
        path: file to write; give a temporary one from `atomic_path`.
        bands: rows of `pixel_states` from top to bottom; all but the last a multiple of `TILE` high.
        height, width: in pixels.
        geo_tags: of a scene on the same grid, see `SceneFacts`.
    """
    import tifffile

    table = np.zeros((3, 256), np.uint16)
    table[:, : len(COLOURS)] = np.array(COLOURS).T * 257  # a TIFF's colours have 16 bits
    with tifffile.TiffWriter(path, bigtiff=height * width > _CLASSIC_BYTES) as file:
        file.write(
            _tiles(bands),
            shape=(height, width),
            dtype=np.uint8,
            tile=(TILE, TILE),
            photometric="palette",
            colormap=table,
            compression="zlib",
            description=DESCRIPTION,
            metadata=None,
            software=False,
            extratags=[(*tag, True) for tag in geo_tags],
            maxworkers=1,
        )


def _tiles(bands: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    for states in bands:
        for top in range(0, len(states), TILE):
            for left in range(0, states.shape[1], TILE):
                part = states[top : top + TILE, left : left + TILE]
                yield np.pad(part, [(0, TILE - length) for length in part.shape])
