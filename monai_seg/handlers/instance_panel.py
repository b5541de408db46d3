"""One picture of the objects of an image: annotated and found ones outlined in two colours, with class and score."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

from monai_seg.handlers.outlines import DARK, LIGHT, Colour, OutlineDrawing
from monai_seg.handlers.panel import CLASS_COLOURS, GAP, HEAD, framed, grey_levels
from monai_seg.transforms.mask_boxes import masks_to_boxes

FOUND, ANNOTATED = CLASS_COLOURS[0], CLASS_COLOURS[1]
_TILE, _LARGEST_TILE = 480, 1024  # small images are enlarged, large ones shrunk


@dataclass
class _Objects:
    """Objects as arrays; without masks where only boxes are known."""

    masks: np.ndarray | None
    boxes: np.ndarray
    labels: np.ndarray
    scores: np.ndarray
    crowd: np.ndarray

    def chosen(self, kept: np.ndarray) -> _Objects:
        masks = None if self.masks is None else self.masks[kept]
        return _Objects(masks, self.boxes[kept], self.labels[kept], self.scores[kept], self.crowd[kept])

    def planes(self, depth: int) -> np.ndarray:
        """Which planes of the last axis of a volume each object cuts, ``(N, depth)``."""
        if self.masks is not None:
            return np.asarray(self.masks.any(axis=(1, 2)))
        middle = np.arange(depth) + 0.5
        return (self.boxes[:, 2:3] <= middle) & (middle < self.boxes[:, 5:6])


def instance_panel(
    image: torch.Tensor,
    reference: Mapping[str, torch.Tensor] | None,
    prediction: Mapping[str, torch.Tensor],
    class_names: Sequence[str] = (),
    score_threshold: float = 0.0,
    spacing: tuple[float, ...] | None = None,
) -> np.ndarray:
    """Draw the image, and beside it the outlines of annotated objects (blue) and of found ones (orange, with boxes).

    Crowds are dashed. Captions of the best scores are set first; those that would hide another one are left out.

    Args:
        image: intensities, any range; grey or the first three channels.
        reference: ``mask`` or ``box``, ``label`` and perhaps ``crowd``, see `LoadInstancesd`; None draws what was found
            alone.
        prediction: ``mask`` or ``box`` or both, ``label`` and ``label_scores``.
        class_names: written at the objects.
        score_threshold: found objects below it are left out.
        spacing: size of a voxel along each axis, so that planes keep their proportions; 1 if None.

    Shape:
        image ``(C, H, W)`` or ``(C, H, W, D)``; masks ``(N, H, W[, D])``, boxes ``(N, 4)`` or ``(N, 6)``. Gives
        ``(rows, columns, 3)``, uint8. Of a volume the plane of the last axis that cuts most objects is shown, the
        middle one where there are several, as radiologists see it.
    """
    picture = _plain(image)
    found = _objects(prediction)
    found = found.chosen(found.scores >= score_threshold)
    found = found.chosen(np.argsort(-found.scores, kind="stable"))
    annotated = None if reference is None else _objects(reference)
    counts, size = _counts(annotated, found, score_threshold), tuple(spacing or (1.0,) * (picture.ndim - 1))
    if picture.ndim == 4:
        depth = picture.shape[-1]
        plane = _fullest_plane([each for each in (annotated, found) if each is not None], depth)
        counts += f", plane {plane + 1} of {depth}"
        picture = _upright(picture[..., plane])
        found, size = _in_plane(found, plane, picture.shape[1], depth), (size[1], size[0])
        annotated = None if annotated is None else _in_plane(annotated, plane, picture.shape[1], depth)
    base, scale = _base(picture, (size[0], size[1]))
    drawing = OutlineDrawing(base, scale)
    if annotated is not None:
        _draw(drawing, annotated, ANNOTATED)
    _draw(drawing, found, FOUND, with_boxes=True)
    _write(drawing, found, FOUND, class_names, scores=True)
    if annotated is not None and len(class_names) > 1:
        _write(drawing, annotated, ANNOTATED, class_names, scores=False)
    tile = max(base.shape[:2])
    body = np.concatenate([framed(each, tile) for each in (base, drawing.finish())], axis=1)
    entries = [("found", FOUND)]
    if annotated is not None:
        entries.insert(0, ("annotated (crowds dashed)" if annotated.crowd.any() else "annotated", ANNOTATED))
    return np.concatenate([_strip(tile, ["input", counts]), body, _strip(tile, [], entries)])


def _plain(values: torch.Tensor) -> np.ndarray:
    return np.asarray(torch.as_tensor(values).detach().cpu())


def _objects(given: Mapping[str, torch.Tensor]) -> _Objects:
    labels = _plain(given["label"])
    masks = _plain(given["mask"]) != 0 if "mask" in given else None
    boxes = given["box"] if masks is None or "box" in given else masks_to_boxes(torch.from_numpy(masks))
    return _Objects(
        masks,
        _plain(boxes).astype(float),
        labels,
        _plain(given["label_scores"]) if "label_scores" in given else np.ones(len(labels)),
        _plain(given["crowd"]).astype(bool) if "crowd" in given else np.zeros(len(labels), bool),
    )


def _counts(annotated: _Objects | None, found: _Objects, score_threshold: float) -> str:
    least = f" (score {score_threshold:.2f} or more)" if score_threshold > 0 else ""
    known = "" if annotated is None else f"{len(annotated.labels)} annotated, "
    return f"{known}{len(found.labels)} found{least}"


def _fullest_plane(objects: Sequence[_Objects], depth: int) -> int:
    cut = sum((each.planes(depth).sum(axis=0) for each in objects), np.zeros(depth))
    best = np.flatnonzero(cut == cut.max())
    return int(best[len(best) // 2])


def _in_plane(objects: _Objects, plane: int, width: int, depth: int) -> _Objects:
    """The objects that a plane cuts, as objects of a picture."""
    kept = objects.chosen(objects.planes(depth)[:, plane])
    first, second, _, first_end, second_end, _ = kept.boxes.reshape(-1, 6).T
    boxes = np.stack([width - second_end, first, width - second, first_end], axis=1)
    return replace(kept, masks=None if kept.masks is None else _upright(kept.masks[..., plane]), boxes=boxes)


def _upright(planes: np.ndarray) -> np.ndarray:
    """Transposed and turned upside down, so that axial planes look as radiologists see them."""
    return planes.swapaxes(1, 2)[:, ::-1]


def _base(picture: np.ndarray, spacing: tuple[float, float]) -> tuple[np.ndarray, tuple[float, float]]:
    """The image to draw on, with square pixels, and how many of its pixels are one of the image."""
    height, width = picture.shape[1] * spacing[0], picture.shape[2] * spacing[1]
    zoom = min(max(_TILE, max(picture.shape[1:])), _LARGEST_TILE) / max(height, width)
    rows, columns = max(1, round(height * zoom)), max(1, round(width * zoom))
    base = Image.fromarray(grey_levels(picture)).resize((columns, rows), Image.Resampling.BICUBIC)
    return np.array(base), (rows / picture.shape[1], columns / picture.shape[2])


def _draw(drawing: OutlineDrawing, objects: _Objects, colour: Colour, with_boxes: bool = False) -> None:
    for index in reversed(range(len(objects.labels))):  # the best on top
        if with_boxes or objects.masks is None:
            drawing.box(objects.boxes[index], colour)
        if objects.masks is not None:
            drawing.outline(objects.masks[index], colour, dashed=bool(objects.crowd[index]))


def _write(
    drawing: OutlineDrawing, objects: _Objects, colour: Colour, class_names: Sequence[str], scores: bool
) -> None:
    for box, label, score in zip(objects.boxes, objects.labels, objects.scores, strict=True):
        name = class_names[int(label)] if int(label) < len(class_names) else f"class {int(label)}"
        drawing.caption(box, f"{name} {score:.2f}" if scores else name, colour)


def _strip(tile: int, headings: Sequence[str], entries: Sequence[tuple[str, Colour]] = ()) -> np.ndarray:
    """A line of text as wide as the panel: headings of its columns, or the legend of its second one."""
    strip = Image.new("RGB", (2 * (tile + GAP), HEAD), DARK)
    pen, font = ImageDraw.Draw(strip), ImageFont.load_default(14)
    for column, text in enumerate(headings):
        pen.text((column * (tile + GAP) + 6, 4), text, fill=LIGHT, font=font)
    left = tile + GAP + 6
    for text, colour in entries:
        pen.rectangle((left, 11, left + 17, 14), fill=colour)
        pen.text((left + 24, 4), text, fill=LIGHT, font=font)
        left += 40 + int(pen.textlength(text, font=font))
    return np.array(strip)
