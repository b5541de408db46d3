"""One picture of the objects of an image: annotated ones beside found ones, outlined, with their classes and scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

from monai_seg.handlers.panel import CLASS_COLOURS, GAP, HEAD, framed, grey_levels

_TILE = 384
_BACKGROUND, _TEXT = (24, 24, 24), (235, 235, 235)
_ANNOTATED = (86, 180, 233)


def instance_panel(
    image: torch.Tensor,
    reference: Mapping[str, torch.Tensor] | None,
    prediction: Mapping[str, torch.Tensor],
    class_names: Sequence[str] = (),
    score_threshold: float = 0.0,
) -> np.ndarray:
    """Draw the outlines of annotated objects (blue) and of found ones (by class) side by side.

    Args:
        image: intensities, any range; grey or the first three channels.
        reference: ``mask`` and ``label``, see `LoadInstancesd`; None draws what was found alone.
        prediction: ``mask`` (or only ``box``), ``label`` and ``label_scores``.
        class_names: written beside the score where there are several.
        score_threshold: found objects below it are left out.

    Shape:
        image ``(C, H, W)`` or ``(C, H, W, D)``; masks ``(N, H, W[, D])``. Gives ``(rows, columns, 3)``, uint8. Of a
        volume the plane that cuts most objects is shown.
    """
    picture = _plain(image)
    annotated = None if reference is None else _plain(reference["mask"])
    kept = _plain(prediction["label_scores"]) >= score_threshold
    found = _found_masks(prediction, picture.shape[1:])[kept]
    if picture.ndim == 4:
        plane = _fullest_plane([each for each in (annotated, found) if each is not None], picture.shape[-1])
        picture, found = picture[..., plane], found[..., plane]
        annotated = None if annotated is None else annotated[..., plane]
    scale = _TILE / max(picture.shape[1:])
    size = (max(1, round(picture.shape[2] * scale)), max(1, round(picture.shape[1] * scale)))  # columns, rows
    base = Image.fromarray(grey_levels(picture)).resize(size, Image.Resampling.BILINEAR)
    tiles, headings = [np.array(base)], ["input"]
    if annotated is not None:
        tiles.append(_outlined(base, annotated, [_ANNOTATED] * len(annotated), [""] * len(annotated)))
        headings.append(_counted("annotated", annotated))
    labels = _plain(prediction["label"])[kept]
    scores = _plain(prediction["label_scores"])[kept]
    colours = [CLASS_COLOURS[int(label) % len(CLASS_COLOURS)] for label in labels]
    tiles.append(_outlined(base, found, colours, _captions(labels, scores, class_names)))
    headings.append(_counted("found", found))
    body = np.concatenate([framed(tile, _TILE) for tile in tiles], axis=1)
    return np.concatenate([_heading(headings), body])


def _plain(values: torch.Tensor) -> np.ndarray:
    return np.asarray(torch.as_tensor(values).detach().cpu())


def _found_masks(prediction: Mapping[str, torch.Tensor], size: tuple[int, ...]) -> np.ndarray:
    """Masks, or filled boxes of a network without masks."""
    if "mask" in prediction:
        return _plain(prediction["mask"])
    boxes = _plain(prediction["box"])
    filled = np.zeros((len(boxes), *size), np.uint8)
    for place, box in zip(filled, boxes.round().astype(int), strict=True):
        place[tuple(slice(low, high) for low, high in zip(box[: len(size)], box[len(size) :], strict=True))] = 1
    return filled


def _fullest_plane(masks: Sequence[np.ndarray], depth: int) -> int:
    counts = sum((each.any(axis=(1, 2)).sum(axis=0) for each in masks), np.zeros(depth))
    best = np.flatnonzero(counts == counts.max())
    return int(best[len(best) // 2])


def _outlined(
    base: Image.Image, masks: np.ndarray, colours: Sequence[tuple[int, int, int]], captions: Sequence[str]
) -> np.ndarray:
    from skimage.segmentation import find_boundaries

    drawn, places = np.array(base), []
    for mask, colour in zip(masks, colours, strict=True):
        large = np.array(
            Image.fromarray((mask > 0).astype(np.uint8) * 255).resize(base.size, Image.Resampling.BILINEAR)
        )
        drawn[find_boundaries(large >= 128, mode="thick")] = colour
        inside = np.argwhere(large >= 128)
        places.append(inside.min(axis=0) if len(inside) else None)
    picture = Image.fromarray(drawn)
    pen, font = ImageDraw.Draw(picture), ImageFont.load_default(13)
    for place, colour, caption in zip(places, colours, captions, strict=True):
        if place is None or not caption:
            continue
        width = pen.textlength(caption, font=font) + 6
        left = min(max(0, int(place[1])), max(0, base.width - int(width)))
        top = max(0, int(place[0]) - 17)
        pen.rectangle((left, top, left + width, top + 15), fill=_BACKGROUND)
        pen.text((left + 3, top), caption, fill=colour, font=font)
    return np.array(picture)


def _captions(labels: np.ndarray, scores: np.ndarray, class_names: Sequence[str]) -> list[str]:
    named = [f"{class_names[int(label)]} " if len(class_names) > 1 else "" for label in labels]
    return [f"{name}{score:.2f}" for name, score in zip(named, scores, strict=True)]


def _counted(word: str, masks: np.ndarray) -> str:
    return f"{word}: {len(masks)} object{'' if len(masks) == 1 else 's'}"


def _heading(headings: Sequence[str]) -> np.ndarray:
    strip = Image.new("RGB", (len(headings) * (_TILE + GAP), HEAD), _BACKGROUND)
    draw = ImageDraw.Draw(strip)
    for column, text in enumerate(headings):
        draw.text((column * (_TILE + GAP) + 6, 5), text, fill=_TEXT, font=ImageFont.load_default(14))
    return np.array(strip)
