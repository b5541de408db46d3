"""Look at the annotated objects of one image: whether each can be drawn, lies in the image, and is of a known class."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from monai_seg.data.annotations.drawing import AnnotationError, run_length_code, wrong_polygons
from monai_seg.data.fault import enumerate_briefly, fact

if TYPE_CHECKING:
    import numpy as np

_BOX_TOLERANCE = 2.0  # pixels, between the box as written and that of the polygon; programs round differently
_EDGE_TOLERANCE = 1.0  # pixels outside the image that nobody means


class Findings(Protocol):
    """Where findings go; see `monai_seg.data.check_case.CaseFindings`."""

    def add(self, problem: str, facts: Sequence[str], mend: str, is_fault: bool = True) -> None: ...


def look_at_annotations(
    record: Mapping[str, Any],
    size: Sequence[int],
    name: str,
    findings: Findings,
    class_names: Sequence[str] | None = None,
) -> None:
    """Note what is wrong with the annotations of an image.

    Args:
        record: with ``annotations``, and with ``size`` where the data set tells it.
        size: height and width of the image file.
        name: of the image file, for messages.
        findings: gets the faults and the warnings.
        class_names: the classes that a network is to know; None takes any.
    """
    annotations = record["annotations"]
    if not isinstance(annotations, list) or not all(isinstance(each, Mapping) for each in annotations):
        findings.add("the annotations are no list of objects", [fact("image", name)], "write a list of annotations")
        return
    told = record.get("size")
    if told is not None and list(told) != list(size):
        facts = [fact("image", name, _pixels(size)), fact("annotations", "for", _pixels(told))]
        mend = "export the annotations again for this very file; a rotated or resized copy shifts every object"
        findings.add("image and annotations differ in size", facts, mend)
    if class_names is not None:
        _look_at_classes(annotations, name, findings, class_names)
    for number, annotation in enumerate(annotations, start=1):
        where = f"object {number} of {len(annotations)}"
        segmentation = annotation.get("segmentation")
        if isinstance(segmentation, Mapping):
            _look_at_code(segmentation, size, name, where, findings)
        else:
            _look_at_polygons(annotation, size, name, where, findings)


def _look_at_classes(
    annotations: Sequence[Mapping[str, Any]], name: str, findings: Findings, class_names: Sequence[str]
) -> None:
    strange = Counter(str(each.get("category")) for each in annotations if each.get("category") not in class_names)
    if strange:
        found = enumerate_briefly([f"{key} ({count})" for key, count in strange.items()], 4)
        facts = [fact("image", name, found), fact("known", ", ".join(class_names))]
        findings.add("objects are of unknown classes", facts, "correct them, or add the classes to class_names")


def _look_at_code(code: Mapping[str, Any], size: Sequence[int], name: str, where: str, findings: Findings) -> None:
    from pycocotools import mask as coco_mask

    try:
        area = int(coco_mask.area(run_length_code(code, size)))
    except AnnotationError as error:
        findings.add(str(error), [fact("image", name, where)], "export the annotations again for this very file")
        return
    if not area:
        findings.add("an object has no pixel", [fact("image", name, where)], "draw it again, or remove it")


def _look_at_polygons(
    annotation: Mapping[str, Any], size: Sequence[int], name: str, where: str, findings: Findings
) -> None:
    import numpy as np

    wrong = wrong_polygons(annotation.get("segmentation"))
    if wrong:
        findings.add(wrong, [fact("image", name, where)], "draw the object again, or remove it")
        return
    polygons = [np.asarray(part, dtype=float).reshape(-1, 2) for part in annotation["segmentation"]]
    facts = [fact("image", name, where)]
    if any(abs(_area(polygon)) < 1e-6 and not _crosses_itself(polygon) for polygon in polygons):
        findings.add("a polygon encloses no area", facts, "draw the object again, or remove it")
        return
    points = np.concatenate(polygons)
    low, high = points.min(0), points.max(0)
    extent = np.array([size[1], size[0]], dtype=float)
    corners = f"x {low[0]:g} to {high[0]:g}, y {low[1]:g} to {high[1]:g}"
    outside = [*facts, fact("polygon", corners), fact("image size", _pixels(size))]
    if (high <= 0).any() or (low >= extent).any():
        findings.add("an object lies outside the image", outside, "correct it, or remove it")
        return
    if (low < -_EDGE_TOLERANCE).any() or (high > extent + _EDGE_TOLERANCE).any():
        mend = "what lies outside is cut off; look whether the annotations are of this file"
        findings.add("an object reaches out of the image", outside, mend, is_fault=False)
    if any(_crosses_itself(polygon) for polygon in polygons):
        findings.add("a polygon crosses itself", facts, "look at it: parts of it may be lost", is_fault=False)
    _compare_box(annotation.get("bbox"), low, high, facts, findings)


def _compare_box(box: Any, low: np.ndarray, high: np.ndarray, facts: list[str], findings: Findings) -> None:
    import numpy as np

    if not isinstance(box, Sequence) or len(box) != 4:
        return  # boxes are made from the masks; a missing one is no loss
    x, y, width, height = (float(value) for value in box)
    written = np.array([x, y, x + width, y + height])
    if np.abs(written - np.concatenate([low, high])).max() > _BOX_TOLERANCE:
        drawn = f"x {low[0]:g} to {high[0]:g}, y {low[1]:g} to {high[1]:g}"
        box_text = f"x {x:g} to {x + width:g}, y {y:g} to {y + height:g}"
        mend = "the polygon is taken; look which of them is right"
        findings.add("box and polygon disagree", [*facts, fact("polygon", drawn), fact("bbox", box_text)], mend, False)


def _area(polygon: np.ndarray) -> float:
    """Signed area of a polygon ``(N, 2)`` by the shoelace formula."""
    import numpy as np

    x, y = polygon.T
    return float((x * np.roll(y, -1) - y * np.roll(x, -1)).sum() / 2)


def _crosses_itself(polygon: np.ndarray) -> bool:
    """Whether two edges that share no corner cross; all pairs at once."""
    import numpy as np

    if len(polygon) < 4:
        return False
    start, end = polygon, np.roll(polygon, -1, axis=0)
    first, second = np.triu_indices(len(polygon), k=2)
    apart = ~((first == 0) & (second == len(polygon) - 1))
    first, second = first[apart], second[apart]

    def side(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> np.ndarray:
        return np.sign((b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (b[:, 1] - a[:, 1]) * (c[:, 0] - a[:, 0]))

    one, two = (start[first], end[first]), (start[second], end[second])
    return bool(((side(*one, two[0]) * side(*one, two[1]) < 0) & (side(*two, one[0]) * side(*two, one[1]) < 0)).any())


def _pixels(size: Sequence[int]) -> str:
    return f"{size[1]} x {size[0]} px"
