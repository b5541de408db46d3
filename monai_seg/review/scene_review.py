"""The review of a scene: two label maps read once, in bands; what they say, as files."""

from __future__ import annotations

import json
import logging
import math
import os
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from monai_seg.data.atomic import atomic_path
from monai_seg.data.fault import fact
from monai_seg.data.raster import UnreadableError
from monai_seg.inference.row_progress import RowProgress
from monai_seg.inference.scene import Scene, open_scene
from monai_seg.review.block_comparison import ASSUMPTIONS, BlockComparison, compare_blocks
from monai_seg.review.block_counts import STATES, BlockCounts, pixel_states
from monai_seg.review.block_figure import write_block_figure
from monai_seg.review.error_map import TILE, write_error_map
from monai_seg.review.error_picture import ErrorPicture
from monai_seg.review.georeferencing import read_georeferencing
from monai_seg.review.label_map import LabelMap, ReviewError, compare_places, told_of
from monai_seg.review.pixel_measures import RESAMPLES, Measure, scene_measures

# The last to come into place is the first: where it is, all are there.
FILES = ("review.json", "error_map.tif", "error_map.png", "blocks.csv", "blocks.png")
_BAND_PIXELS = 2**24
_MOST_BLOCKS = 2**18
_TOLD_BLOCKS = 20_000
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class SceneReview:
    """What a review found.

    Args:
        reference, prediction, image: the files.
        foreground: which labels counted, in words.
        height, width, block: in pixels.
        counts: pixels in each state.
        measures: see `scene_measures`.
        blocks: see `compare_blocks`.
        notes: what the user should know of the files.
    """

    reference: str
    prediction: str
    image: str | None
    foreground: str
    height: int
    width: int
    block: int
    counts: dict[str, int]
    measures: dict[str, Measure]
    blocks: BlockComparison
    notes: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """All of it for JSON, with how the intervals were made and what the tests assume; None where undefined."""
        interval = {"method": "percentile bootstrap over blocks", "confidence": 0.95, "resamples": RESAMPLES, "seed": 0}
        return _without_nan(asdict(self) | {"interval": interval, "assumptions": ASSUMPTIONS})


def review_scene(
    reference: str | os.PathLike[str],
    prediction: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    image: str | os.PathLike[str] | None = None,
    label: int | None = None,
    reference_values: tuple[int, ...] = (),
    block: int = 64,
) -> SceneReview:
    """Compare two label maps pixel by pixel and block by block, and write `FILES`.

    TIFFs are read in bands, so that memory depends on their width; what grows with the area are a few numbers for each
    block. PNG is decoded whole.

    Args:
        reference, prediction: label maps of one size: PNG or TIFF, see `open_scene`.
        output: folder; files of an earlier review there are replaced.
        image: the scene itself, as the background of ``error_map.png``.
        label: the class that is reviewed; None takes every value but 0 together.
        reference_values: values of the reference that mean this class, where it has others than the prediction.
        block: side of a block, in pixels.

    Raises:
        ReviewError: the files cannot be read, are no label maps, or do not lie on each other; there would be too many
            blocks.
        OSError: the results cannot be written.
    """
    wanted = () if label is None else (label,)
    with ExitStack() as stack:
        paths = {"reference": reference, "prediction": prediction} | ({"image": image} if image is not None else {})
        scenes: dict[str, Scene] = {}
        for role, path in paths.items():
            with told_of(role, path):
                scenes[role] = stack.enter_context(_opened(role, Path(path)))
        maps = (
            LabelMap("reference", scenes["reference"], reference_values or wanted),
            LabelMap("prediction", scenes["prediction"], wanted),
        )
        notes = compare_places(scenes)
        height, width = scenes["reference"].facts.height, scenes["reference"].facts.width
        blocks = _blocks(height, width, block, scenes["reference"].path)
        picture = ErrorPicture(height, width, image is not None)
        # All temporary files first: a folder that cannot be written to is found before the scene is read.
        files = {name: stack.enter_context(atomic_path(Path(output) / name)) for name in FILES}
        bands = _bands(maps, scenes.get("image"), blocks, picture)
        write_error_map(files["error_map.tif"], bands, height, width, _geo_tags(scenes))
        counts = blocks.counts
        if counts.size > _TOLD_BLOCKS * len(STATES):
            logger.info("intervals: %d draws of %d blocks", RESAMPLES, counts.size // len(STATES))
        review = SceneReview(
            str(reference),
            str(prediction),
            None if image is None else str(image),
            _foreground(wanted, reference_values),
            height,
            width,
            block,
            dict(zip(STATES, counts.sum(axis=(0, 1)).tolist(), strict=True)),
            scene_measures(counts),
            compare_blocks(counts),
            (*notes, *filter(None, (each.note() for each in maps))),
        )
        picture.write(files["error_map.png"])
        blocks.write_csv(files["blocks.csv"])
        write_block_figure(files["blocks.png"], counts, block, review.blocks)
        content = json.dumps(review.as_dict(), indent=1, ensure_ascii=False, allow_nan=False)
        files["review.json"].write_text(content + "\n", encoding="utf-8")
    return review


def _opened(role: str, path: Path) -> Scene:
    """Label maps are read as they are; the picture behind them may have a palette or an opaque alpha channel too."""
    try:
        return open_scene(path)
    except UnreadableError:
        if role != "image":
            raise
        return open_scene(path, as_rgb=True)


def _bands(
    maps: tuple[LabelMap, LabelMap], image: Scene | None, blocks: BlockCounts, picture: ErrorPicture
) -> Iterator[np.ndarray]:
    """States of the rows from top to bottom, counted on their way to the error map."""
    facts = maps[0].scene.facts
    rows = TILE * max(1, _BAND_PIXELS // (TILE * facts.width))
    progress = RowProgress(f"review {maps[1].scene.path.name}", facts.height)
    for start in range(0, facts.height, rows):
        stop = min(start + rows, facts.height)
        states = pixel_states(*(each.mask(start, stop) for each in maps))
        blocks.add(states)
        if image is None:
            picture.add(states)
        else:
            with told_of("image", image.path):
                values = image.rows(start, stop)
            picture.add(states, values)
        yield states
        progress.at(stop)


def _blocks(height: int, width: int, block: int, path: Path) -> BlockCounts:
    number = -(-height // block) * -(-width // block) if block > 0 else 0
    if number > _MOST_BLOCKS:
        found = fact("reference", str(path), f"{width} x {height} px, {number:,} blocks of {block} x {block} px")
        raise ReviewError("too many blocks", [found], f"give a larger --block: {_MOST_BLOCKS:,} blocks are the most")
    return BlockCounts(height, width, block)


def _geo_tags(scenes: dict[str, Scene]) -> tuple[tuple[int, int, int, Any], ...]:
    """Those of the prediction, or of the reference where it alone has a position."""
    tags = [scenes[role].facts.geo_tags for role in ("prediction", "reference")]
    return next((each for each in tags if read_georeferencing(each)), tags[0])


def _foreground(wanted: tuple[int, ...], reference_values: tuple[int, ...]) -> str:
    named = f"label {wanted[0]}" if wanted else "every label but 0"
    if not reference_values:
        return named
    return f"{named} in the prediction, {' or '.join(map(str, reference_values))} in the reference"


def _without_nan(value: Any) -> Any:
    """JSON has no NaN."""
    if isinstance(value, dict):
        return {name: _without_nan(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and math.isnan(value) else value
