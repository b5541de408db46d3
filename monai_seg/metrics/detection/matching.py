"""Which found object is which annotated one, by the evaluation of COCO, at several overlaps at once."""

from __future__ import annotations

import contextlib
import io
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import numpy as np

from monai_seg.metrics.detection.image_objects import ImageObjects

COCO_THRESHOLDS = tuple(np.linspace(0.5, 0.95, 10).round(2).tolist())
MOST_DETECTIONS = 100
SIZES = {  # COCO's, in pixels of the mask
    "all": (0.0, 1e10),
    "small": (0.0, 32.0**2),
    "medium": (32.0**2, 96.0**2),
    "large": (96.0**2, 1e10),
}


@dataclass(frozen=True)
class Matches:
    """The found objects of one class in all images, the best first, and whether each is right.

    Attributes:
        label: index of the class.
        thresholds: overlaps (IoU) from which a pair counts, ``(T,)``.
        scores: of the found objects, ``(D,)``, falling.
        image: index of the image of each, ``(D,)``.
        order: rank of each within its image, from 0, ``(D,)``.
        matched: annotated object that each is, by its number within the image; -1 where it is none, ``(T, D)``.
        ignored: neither right nor wrong, as they belong to a crowd or are of another size, ``(T, D)``.
        iou: overlap of each with the object that it is, 0 where it is none, ``(T, D)``.
        references: annotated objects to be found in each image, ``(I,)``.
    """

    label: int
    thresholds: np.ndarray
    scores: np.ndarray
    image: np.ndarray
    order: np.ndarray
    matched: np.ndarray
    ignored: np.ndarray
    iou: np.ndarray
    references: np.ndarray

    @property
    def right(self) -> np.ndarray:
        """Found objects that are annotated ones, ``(T, D)``."""
        return (self.matched >= 0) & ~self.ignored

    @property
    def wrong(self) -> np.ndarray:
        """Found objects that are nothing, ``(T, D)``."""
        return (self.matched < 0) & ~self.ignored

    def at(self, threshold: float) -> int:
        """Index of an overlap."""
        return int(np.argmin(np.abs(self.thresholds - threshold)))


def match_objects(
    images: Sequence[ImageObjects],
    label: int,
    kind: Literal["mask", "box"] = "mask",
    thresholds: Sequence[float] = COCO_THRESHOLDS,
    size: str = "all",
) -> Matches:
    """Match the objects of one class: the best found first, each to the annotated one that it overlaps most.

    Args:
        images: all of them.
        label: index of the class.
        kind: whether masks or boxes overlap.
        thresholds: overlaps (IoU) from which a pair counts: COCO's ten by default; 0.1 to 0.5 are usual for lesions.
        size: ``"all"``, or ``"small"``, ``"medium"``, ``"large"``: objects of other sizes are ignored, see `SIZES`.

    Raises:
        ValueError: masks are to be matched, but only boxes were found.

    Source:
        arXiv:1405.0312; the matching is that of ``pycocotools.cocoeval.COCOeval``, for volumes too.
    """
    if kind == "mask" and not all(image.has_masks for image in images):
        raise ValueError("only boxes were found: match boxes, or take a network that gives masks")
    evaluation = _evaluation_class()(images, label, kind, thresholds, SIZES[size])
    with contextlib.redirect_stdout(io.StringIO()):  # it reports its progress there
        evaluation.evaluate()
    return _joined(evaluation, images, np.asarray(thresholds, dtype=float))


@lru_cache(maxsize=1)
def _evaluation_class() -> Any:
    """The class below; pycocotools is only imported where objects are matched."""
    from pycocotools.cocoeval import COCOeval

    class Evaluation(COCOeval):
        """COCO's evaluation, on objects that come from no COCO file, and on boxes of any number of axes."""

        def __init__(
            self,
            images: Sequence[ImageObjects],
            label: int,
            kind: str,
            thresholds: Sequence[float],
            area: tuple[float, float],
        ) -> None:
            super().__init__(iouType="segm")
            self.images, self.label, self.kind = images, label, kind
            self.params.imgIds, self.params.catIds = list(range(len(images))), [label]
            self.params.iouThrs = np.asarray(thresholds, dtype=float)
            self.params.areaRng, self.params.areaRngLbl = [list(area)], ["all"]
            self.params.maxDets = [MOST_DETECTIONS]

        def _prepare(self) -> None:
            self._gts, self._dts = defaultdict(list), defaultdict(list)
            for number, image in enumerate(self.images):
                self._gts[number, self.label] = _annotated(image, self.label, self.kind)
                self._dts[number, self.label] = _found(image, self.label, self.kind)
            self.evalImgs: list = []
            self.eval: dict = {}

        def computeIoU(self, imgId: int, catId: int) -> Any:
            if self.kind == "mask":
                return super().computeIoU(imgId, catId)
            found, annotated = self._dts[imgId, catId][:MOST_DETECTIONS], self._gts[imgId, catId]
            if not found or not annotated:
                return []
            crowd = np.array([each["iscrowd"] for each in annotated], bool)
            return box_iou(_boxes(found), _boxes(annotated), crowd)

    return Evaluation


def box_iou(found: np.ndarray, annotated: np.ndarray, crowd: np.ndarray) -> np.ndarray:
    """Overlap of boxes; of a crowd, the share of the found box that lies in it, as COCO counts.

    Shape:
        found ``(D, 4 or 6)``, annotated ``(G, 4 or 6)``, crowd ``(G,)``. Gives ``(D, G)``.
    """
    dims = found.shape[1] // 2
    low = np.maximum(found[:, None, :dims], annotated[None, :, :dims])
    high = np.minimum(found[:, None, dims:], annotated[None, :, dims:])
    common = np.clip(high - low, 0, None).prod(axis=2)
    found_size, annotated_size = (
        np.clip(each[:, dims:] - each[:, :dims], 0, None).prod(axis=1) for each in (found, annotated)
    )
    whole = np.where(crowd[None], found_size[:, None], found_size[:, None] + annotated_size[None] - common)
    return np.divide(common, whole, out=np.zeros_like(common), where=whole > 0)


def _annotated(image: ImageObjects, label: int, kind: str) -> list[dict[str, Any]]:
    return [
        # Numbers from 1 on: COCO's evaluation takes 0 for "no match".
        {
            "id": number + 1,
            "segmentation": image.reference_codes[number],
            "box": image.reference_boxes[number],
            "area": _area(image.reference_codes[number]),
            "iscrowd": int(image.crowd[number]),
            "ignore": int(image.crowd[number]),
        }
        for number in np.flatnonzero(image.reference_labels == label)
    ]


def _found(image: ImageObjects, label: int, kind: str) -> list[dict[str, Any]]:
    dims = len(image.size)
    return [
        {
            "id": int(number) + 1,
            "segmentation": image.codes[number] if image.codes else None,
            "box": box,
            "area": _area(image.codes[number])
            if kind == "mask"
            else float(np.clip(box[dims:] - box[:dims], 0, None).prod()),
            "score": float(image.scores[number]),
        }
        for number, box in enumerate(image.boxes)
        if image.labels[number] == label
    ]


def _boxes(objects: Sequence[dict[str, Any]]) -> np.ndarray:
    return np.stack([each["box"] for each in objects])


def _area(code: dict[str, Any]) -> float:
    from pycocotools import mask as coco_mask

    return float(coco_mask.area(code))


def _joined(evaluation: Any, images: Sequence[ImageObjects], thresholds: np.ndarray) -> Matches:
    count = len(thresholds)
    scores, image, order = [np.zeros(0)], [np.zeros(0, int)], [np.zeros(0, int)]
    matched, ignored, overlaps = [np.zeros((count, 0), int)], [np.zeros((count, 0), bool)], [np.zeros((count, 0))]
    references = np.zeros(len(images), int)
    for number, result in enumerate(evaluation.evalImgs):
        if result is None:
            continue
        references[number] = int((np.asarray(result["gtIgnore"]) == 0).sum())
        found = len(result["dtScores"])
        scores.append(np.asarray(result["dtScores"], dtype=float))
        image.append(np.full(found, number))
        order.append(np.arange(found))
        partner = np.asarray(result["dtMatches"]).astype(int).reshape(count, found) - 1
        matched.append(partner)
        ignored.append(np.asarray(result["dtIgnore"], dtype=bool).reshape(count, found))
        overlaps.append(_overlap(evaluation, number, partner))
    falling = np.argsort(-np.concatenate(scores), kind="stable")
    return Matches(
        evaluation.label,
        thresholds,
        np.concatenate(scores)[falling],
        np.concatenate(image)[falling],
        np.concatenate(order)[falling],
        np.concatenate(matched, axis=1)[:, falling],
        np.concatenate(ignored, axis=1)[:, falling],
        np.concatenate(overlaps, axis=1)[:, falling],
        references,
    )


def _overlap(evaluation: Any, number: int, partner: np.ndarray) -> np.ndarray:
    ious = evaluation.ious[number, evaluation.label]
    if not len(ious):
        return np.zeros(partner.shape)
    column = {each["id"] - 1: place for place, each in enumerate(evaluation._gts[number, evaluation.label])}
    places = np.array([[column.get(each, -1) for each in row] for row in partner]).reshape(partner.shape)
    values = np.asarray(ious)[np.arange(partner.shape[1])[None], np.maximum(places, 0)]
    return np.where(places >= 0, values, 0.0)
