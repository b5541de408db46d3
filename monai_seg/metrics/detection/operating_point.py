"""At one score threshold: which one to choose, what each image then shows, and what becomes of each object."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from monai_seg.metrics.detection.image_objects import Code, ImageObjects
from monai_seg.metrics.detection.matching import Matches

IMAGE_COLUMNS = ("dice", "iou", "n_reference", "n_predicted", "matched", "missed", "false", "matched_iou")


def best_score_threshold(matches: Sequence[Matches], iou: float = 0.5) -> float:
    """The threshold with the best F1 over all classes, in the middle between the scores that it parts.

    Choose it on the validation section: on the test section it flatters.

    Args:
        matches: of each class.
        iou: overlap from which an object is found.

    Returns:
        A score in [0, 1]; 0.5 where nothing is found or annotated.
    """
    scores = np.concatenate([each.scores for each in matches]) if matches else np.zeros(0)
    right = np.concatenate([each.right[each.at(iou)] for each in matches]) if matches else np.zeros(0)
    wrong = np.concatenate([each.wrong[each.at(iou)] for each in matches]) if matches else np.zeros(0)
    total = sum(int(each.references.sum()) for each in matches)
    if not total or not right.any():
        return 0.5
    order = np.argsort(-scores, kind="stable")
    scores, right, wrong = scores[order], np.cumsum(right[order]), np.cumsum(wrong[order])
    last = np.append(scores[1:] != scores[:-1], True)
    f1 = np.where(last, 2 * right / (total + right + wrong), -1.0)
    best = int(np.argmax(f1))
    below = scores[best + 1] if best + 1 < len(scores) else 0.0
    return float((scores[best] + below) / 2)


def image_table(images: Sequence[ImageObjects], matches: Matches, label: int, threshold: float) -> np.ndarray:
    """One row for each image, with `IMAGE_COLUMNS`, of the objects of a class with at least this score.

    ``dice`` and ``iou`` compare all found masks together with all annotated ones: undefined (NaN) where both are empty,
    0 where one is. ``matched_iou`` is the mean overlap of the matched ones. Crowds count nowhere.

    Args:
        images: all of them.
        matches: of this class in them.
        label: index of the class.
        threshold: lowest score.

    Shape:
        Gives ``(I, 8)``, float.
    """
    at, counted = matches.at(0.5), matches.scores >= threshold
    table = np.full((len(images), len(IMAGE_COLUMNS)), np.nan)
    for number, image in enumerate(images):
        mine = counted & (matches.image == number)
        found = int(matches.right[at, mine].sum())
        wrong = int(matches.wrong[at, mine].sum())
        overlaps = matches.iou[at, mine][matches.right[at, mine]]
        references = int(matches.references[number])
        table[number, 2:] = (references, int(mine.sum()), found, references - found, wrong, _mean(overlaps))
        if image.has_masks:
            table[number, :2] = _union_overlap(image, label, threshold)
    return table


def object_table(images: Sequence[ImageObjects], matches: Matches, threshold: float) -> list[dict[str, object]]:
    """One row for each object that is found with at least this score, or missed.

    Args:
        images: all of them.
        matches: of one class in them.
        threshold: lowest score.

    Returns:
        ``case``; ``kind``, which is matched, false or missed; ``score``; ``reference``, the number of the annotated
        object within its image, from 0; ``iou`` with it. What is undefined is None.
    """
    at, rows = matches.at(0.5), []
    kept = np.flatnonzero((matches.scores >= threshold) & ~matches.ignored[at])
    found: set[tuple[int, int]] = set()
    for index in kept:
        image, partner = int(matches.image[index]), int(matches.matched[at, index])
        row: dict[str, object] = {"case": images[image].name, "kind": "false", "score": float(matches.scores[index])}
        row |= {"reference": None, "iou": None}
        if partner >= 0:
            found.add((image, partner))
            row |= {"kind": "matched", "reference": partner, "iou": float(matches.iou[at, index])}
        rows.append((image, -float(matches.scores[index]), row))
    for image, item in enumerate(images):
        for number in np.flatnonzero((item.reference_labels == matches.label) & ~item.crowd):
            if (image, int(number)) not in found:
                missed: dict[str, object] = {"case": item.name, "kind": "missed", "reference": int(number)}
                missed |= {"score": None, "iou": None}
                rows.append((image, 1.0, missed))
    return [row for _, _, row in sorted(rows, key=lambda each: each[:2])]


def _union_overlap(image: ImageObjects, label: int, threshold: float) -> tuple[float, float]:
    from pycocotools import mask as coco_mask

    kept = (image.labels == label) & (image.scores >= threshold)
    found = _union([code for code, is_in in zip(image.codes, kept, strict=True) if is_in])
    wanted = (image.reference_labels == label) & ~image.crowd
    annotated = _union([code for code, is_in in zip(image.reference_codes, wanted, strict=True) if is_in])
    sizes = [float(coco_mask.area(code)) if code else 0.0 for code in (found, annotated)]
    if not any(sizes):
        return float("nan"), float("nan")
    if not all(sizes):
        return 0.0, 0.0
    common = float(coco_mask.area(coco_mask.merge([found, annotated], intersect=True)))
    return 2 * common / sum(sizes), common / (sum(sizes) - common)


def _union(codes: list[Code]) -> Code | None:
    from pycocotools import mask as coco_mask

    return coco_mask.merge(codes) if codes else None


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else float("nan")
