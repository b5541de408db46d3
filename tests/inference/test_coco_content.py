"""The COCO file of annotated and found objects, judged by pycocotools."""

from __future__ import annotations

import contextlib
import io
import json

import numpy as np
import pytest
import torch
from evaluated_objects import CLASSES, PREDICTIONS, REFERENCES, SIZE
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from monai_seg.inference.coco_content import coco_content, coco_image
from monai_seg.transforms import masks_to_boxes


def evaluated(dataset: dict, results: list, kind: str) -> list[float]:
    with contextlib.redirect_stdout(io.StringIO()):
        reference = COCO()
        reference.dataset = dataset
        reference.createIndex()
        judge = COCOeval(reference, reference.loadRes(results), kind)
        judge.evaluate()
        judge.accumulate()
        judge.summarize()
    return judge.stats.tolist()


def judged(content: dict, kind: str = "segm") -> list[float]:
    """From what a file would hold."""
    again = json.loads(json.dumps(content))
    return evaluated({key: again[key] for key in ("images", "annotations", "categories")}, again["results"], kind)


def by_hand(image_id: int, given: dict, index: int) -> dict:
    """An entry for pycocotools made without its encoder: polygons, and runs that are not compressed."""
    mask = given["mask"][index].numpy()
    rows, columns = np.nonzero(mask)
    top, left, bottom, right = (float(edge) for edge in (rows.min(), columns.min(), rows.max() + 1, columns.max() + 1))
    entry = {
        "image_id": image_id,
        "category_id": int(given["label"][index]) + 1,
        "segmentation": [[left, top, right, top, right, bottom, left, bottom]],
        "bbox": [left, top, right - left, bottom - top],
        "area": float(mask.sum()),
    }
    if "label_scores" in given:
        return entry | {"score": float(given["label_scores"][index])}
    if given["crowd"][index]:
        edges = np.flatnonzero(np.diff(np.pad(mask.T.ravel(), 1, constant_values=2)))
        entry["segmentation"] = {"size": list(SIZE), "counts": np.diff(edges).tolist()}
    return entry | {"iscrowd": int(given["crowd"][index])}


@pytest.mark.parametrize("kind", ["segm", "bbox"])
def test_pycocotools_finds_the_same_precision_in_the_file_as_by_hand(kind):
    dataset = {
        "images": [{"id": number, "height": SIZE[0], "width": SIZE[1]} for number in (1, 2, 3)],
        "categories": [{"id": 1}, {"id": 2}],
    }
    entries = [
        [
            by_hand(number, each, index)
            for number, each in enumerate(given, start=1)
            for index in range(len(each["label"]))
        ]
        for given in (REFERENCES, PREDICTIONS)
    ]
    dataset["annotations"] = [entry | {"id": number} for number, entry in enumerate(entries[0], start=1)]
    expected = evaluated(dataset, entries[1], kind)
    images = [
        coco_image(f"{name}.png", SIZE, *pair) for name, *pair in zip("abc", REFERENCES, PREDICTIONS, strict=True)
    ]
    content = coco_content(images, CLASSES)
    assert judged(content, kind) == pytest.approx(expected, abs=1e-12)
    assert 0.3 < expected[0] < 0.9  # neither all nor nothing
    assert [entry["file_name"] for entry in content["images"]] == ["a.png", "b.png", "c.png"]
    assert content["categories"] == [{"id": 1, "name": "cell"}, {"id": 2, "name": "nucleus"}]


def test_volumes_are_coded_as_pictures_and_have_boxes_of_their_own():
    mask = torch.zeros(2, 12, 10, 8, dtype=torch.uint8)
    mask[0, 2:6, 3:5, 1:4] = mask[1, 8:11, 1:9, 5:7] = 1
    reference = {"mask": mask, "label": torch.tensor([0, 0])}
    moved = torch.roll(mask, 1, dims=3)
    found = {"mask": moved, "box": masks_to_boxes(moved), "label": reference["label"]}
    found |= {"label_scores": torch.tensor([0.8, 0.9])}
    content = coco_content([coco_image("a.nii.gz", (12, 10, 8), reference, found)], ["lesion"])
    assert content["images"] == [{"id": 1, "file_name": "a.nii.gz", "height": 12, "width": 80, "shape": [12, 10, 8]}]
    assert [entry["box"] for entry in content["results"]] == [[8, 1, 6, 11, 9, 8], [2, 3, 2, 6, 5, 5]]
    # Of three planes two agree: an overlap of 1/2 for one object. Of two planes one: 1/3.
    assert judged(content)[1] == pytest.approx(0.5 * 51 / 101, abs=0.01)


def test_what_was_not_annotated_and_what_was_not_found():
    content = coco_content([coco_image("a.png", SIZE, None, PREDICTIONS[0])], CLASSES)
    assert content["annotations"] == []
    assert [entry["score"] for entry in content["results"]] == pytest.approx([0.9, 0.7, 0.3])
    assert coco_content([], CLASSES)["results"] == []
