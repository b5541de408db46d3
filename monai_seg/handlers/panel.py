"""One picture of a case: input, reference, prediction and errors, side by side; a row for each plane and mask."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

HEADINGS = ("input", "reference", "prediction", "errors")
LEGEND = (
    ("hit", (46, 160, 67)),
    ("false alarm", (214, 64, 69)),
    ("missed", (56, 120, 220)),
    ("wrong class", (228, 170, 30)),
)
# Okabe and Ito's colours, which the colour-blind can tell apart.
CLASS_COLOURS = ((230, 159, 0), (86, 180, 233), (0, 158, 115), (204, 121, 167), (240, 228, 66), (213, 94, 0))
TILE, GAP, HEAD = 240, 6, 26


def case_panel(
    image: torch.Tensor,
    reference: torch.Tensor,
    prediction: torch.Tensor,
    spacing: tuple[float, ...] | None = None,
    class_names: Sequence[str] = (),
) -> np.ndarray:
    """Draw input, reference, prediction and an error map.

    Args:
        image: intensities, any range; grey or the first three channels.
        reference: label map, or masks of classes that may overlap.
        prediction: of the same kind, on the same grid.
        spacing: size of a voxel along each axis, so that volumes keep their proportions; 1 if None.
        class_names: of labels 1, 2 ..., or of the masks, for the legend.

    Shape:
        image ``(C, H, W)`` or ``(C, H, W, D)``; label maps ``(1, ...)``, masks ``(K, ...)`` of 0 and 1. Gives
        ``(rows, columns, 3)``, uint8. A volume shows three rows: the planes through the centre of the reference's
        structure (of the volume where it is empty). Each mask has its own row or rows, with its class written on them.

    Raises:
        ValueError: reference and prediction have not the same number of channels.
    """
    arrays = [np.asarray(torch.as_tensor(item).detach().cpu()) for item in (image, reference, prediction)]
    size = spacing or (1.0,) * (arrays[0].ndim - 1)
    tile = _tile_size(arrays[0])
    rows = []
    for name, each in _label_maps(arrays, class_names):
        rows += [_named(_row(planes, tile), name) for planes in _planes(each, size, tile)]
    body = np.concatenate([np.pad(row, ((0, GAP), (0, 0), (0, 0)), constant_values=24) for row in rows])
    return np.concatenate([_heading(tile), body, _legend(tile, class_names)])


def _label_maps(arrays: list[np.ndarray], class_names: Sequence[str]) -> list[tuple[str, list[np.ndarray]]]:
    """Each mask as a label map in which only its class is, beside the image; label maps as they are, without a name."""
    image, reference, prediction = arrays
    if len(reference) != len(prediction):
        raise ValueError(f"the reference has {len(reference)} channels, the prediction {len(prediction)}")
    if len(reference) == 1:
        return [("", arrays)]
    names = class_names if len(class_names) == len(reference) else [f"class {k + 1}" for k in range(len(reference))]
    return [
        (name, [image, *((masks[k : k + 1] > 0) * np.uint8(k + 1) for masks in (reference, prediction))])
        for k, name in enumerate(names)
    ]


def _tile_size(image: np.ndarray) -> int:
    """Side of a tile in pixels: a picture may be twice as large as a plane of a volume, of which there are three."""
    return TILE if image.ndim == 4 else min(2 * TILE, max(TILE, *image.shape[1:]))


def _planes(arrays: list[np.ndarray], spacing: tuple[float, ...], tile: int) -> list[list[np.ndarray]]:
    """The 2D planes to draw, each array resized so that a pixel is square."""
    image, reference, _ = arrays
    if image.ndim == 3:
        return [[_resized(array, (spacing[0], spacing[1]), tile) for array in arrays]]
    structure = np.argwhere(reference[0] > 0)
    centre = structure.mean(axis=0).round().astype(int) if len(structure) else np.array(image.shape[1:]) // 2
    planes = []
    for axis in (2, 1, 0):
        rest = [spacing[other] for other in range(3) if other != axis]
        # Transposed and turned upside down, so that axial planes look as radiologists see them.
        cut = [np.take(array, centre[axis], axis=axis + 1).swapaxes(1, 2)[:, ::-1] for array in arrays]
        planes.append([_resized(array, (rest[1], rest[0]), tile) for array in cut])
    return planes


def _resized(array: np.ndarray, spacing: tuple[float, float], tile: int) -> np.ndarray:
    """An array ``(C, H, W)`` scaled into a square tile; nearest neighbour, since labels have no in-between."""
    height, width = array.shape[1] * spacing[0], array.shape[2] * spacing[1]
    scale = tile / max(height, width)
    shape = (max(1, round(height * scale)), max(1, round(width * scale)))
    index = [np.minimum((np.arange(n) * m / n).astype(int), m - 1) for n, m in zip(shape, array.shape[1:], strict=True)]
    return array[:, index[0]][:, :, index[1]]


def _row(planes: list[np.ndarray], tile: int) -> np.ndarray:
    image, reference, prediction = planes
    grey = grey_levels(image)
    tiles = [
        grey,
        _overlay(grey, reference[0], CLASS_COLOURS),
        _overlay(grey, prediction[0], CLASS_COLOURS),
        _overlay(grey, _error_kinds(reference[0], prediction[0]), tuple(colour for _, colour in LEGEND)),
    ]
    return np.concatenate([framed(each, tile) for each in tiles], axis=1)


def _named(row: np.ndarray, name: str) -> np.ndarray:
    """The row with a class's name in its upper left corner."""
    if not name:
        return row
    picture = Image.fromarray(row)
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(14)
    draw.rectangle((0, 0, draw.textlength(name, font=font) + 11, 22), fill=(24, 24, 24))
    draw.text((6, 2), name, fill=(235, 235, 235), font=font)
    return np.array(picture)


def grey_levels(image: np.ndarray) -> np.ndarray:
    """Intensities from the 1st to the 99th percentile as 0 to 255, three channels last."""
    channels = image[:3] if image.shape[0] >= 3 else np.repeat(image[:1], 3, axis=0)
    low, high = np.percentile(channels, (1, 99))
    scaled = np.clip((channels - low) / max(high - low, 1e-9), 0, 1) * 255
    return np.moveaxis(scaled, 0, -1).astype(np.uint8)


def _error_kinds(reference: np.ndarray, prediction: np.ndarray) -> np.ndarray:
    """1 hit, 2 false alarm, 3 missed, 4 taken for another class, 0 rightly background."""
    conditions = [
        (reference > 0) & (prediction == reference),
        (reference == 0) & (prediction > 0),
        (reference > 0) & (prediction == 0),
        (reference > 0) & (prediction > 0),
    ]
    return np.select(conditions, [1, 2, 3, 4], 0)


def _overlay(grey: np.ndarray, labels: np.ndarray, colours: tuple[tuple[int, int, int], ...]) -> np.ndarray:
    drawn = grey.astype(float)
    for label in np.unique(labels[labels > 0]).astype(int):
        drawn[labels == label] = 0.45 * drawn[labels == label] + 0.55 * np.array(colours[(label - 1) % len(colours)])
    return drawn.astype(np.uint8)


def framed(drawn: np.ndarray, tile: int) -> np.ndarray:
    """The drawing in the middle of a square, with a gap to its right."""
    top, left = (tile - drawn.shape[0]) // 2, (tile - drawn.shape[1]) // 2
    frame = np.full((tile, tile + GAP, 3), 24, np.uint8)
    frame[top : top + drawn.shape[0], left : left + drawn.shape[1]] = drawn
    return frame


def _heading(tile: int) -> np.ndarray:
    strip = Image.new("RGB", (len(HEADINGS) * (tile + GAP), HEAD), (24, 24, 24))
    draw = ImageDraw.Draw(strip)
    for column, text in enumerate(HEADINGS):
        draw.text((column * (tile + GAP) + 6, 5), text, fill=(235, 235, 235), font=ImageFont.load_default(14))
    return np.array(strip)


def _legend(tile: int, class_names: Sequence[str]) -> np.ndarray:
    width = len(HEADINGS) * (tile + GAP)
    strip = Image.new("RGB", (width, HEAD), (24, 24, 24))
    classes = [(name, CLASS_COLOURS[index % len(CLASS_COLOURS)]) for index, name in enumerate(class_names)]
    for left, entries in ((tile + GAP + 6, classes), (width - 372, LEGEND)):
        _entries(ImageDraw.Draw(strip), left, entries)
    return np.array(strip)


def _entries(draw: ImageDraw.ImageDraw, left: int, entries: Sequence[tuple[str, tuple[int, int, int]]]) -> None:
    font = ImageFont.load_default(13)
    for text, colour in entries:
        draw.rectangle((left, 8, left + 11, 19), fill=colour)
        draw.text((left + 16, 5), text, fill=(235, 235, 235), font=font)
        left += 26 + int(draw.textlength(text, font=font))
