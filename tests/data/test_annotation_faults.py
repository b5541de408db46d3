"""Annotations that contradict themselves or their images: each is listed, with its place and what to do."""

from __future__ import annotations

import numpy as np
import pytest
from annotated_folders import SIZE, coco, save_image
from PIL import Image

from monai_seg.data import check

ENTRY = {"height": SIZE[0], "width": SIZE[1]}
OTHER = {"size": [30, 20], "counts": [600]}


@pytest.mark.parametrize(
    ("annotation", "text"),
    [
        ({"segmentation": [[1, 1, 5, 5]]}, "a polygon has 2 points; 3 enclose an area"),
        ({"segmentation": [[1, 1, 5, 5, 7]]}, "a polygon has 5 numbers, which are no pairs"),
        ({"segmentation": [[1, 1, 5, 5, 9, 9]]}, "a polygon encloses no area"),
        ({"segmentation": [[1, 1, 5, 5, 9, "x"]]}, "a polygon holds something else than numbers"),
        ({"segmentation": [[1, 1, 5, 5, 9, float("nan")]]}, "a polygon holds NaN or infinite numbers"),
        ({"segmentation": []}, "there is no segmentation"),
        ({"segmentation": [[40, 2, 50, 2, 50, 8]]}, "an object lies outside the image"),
        ({"segmentation": OTHER}, "a run-length code is of 20 x 30 pixels, the image of 30 x 20"),
        ({"segmentation": {"size": list(SIZE), "counts": [10, 20]}}, "a run-length code covers 30 of 600 pixels"),
        ({"segmentation": {"size": list(SIZE), "counts": [600]}}, "an object has no pixel"),
        ({"segmentation": {"size": list(SIZE), "counts": "abc"}}, "a run-length code covers"),
        ({"category_id": 99}, "an annotation is of no category"),
        ({"image_id": 99}, "an annotation in annotations.json is of no image"),
        ({"category_id": None}, "annotation 1 in annotations.json is incomplete"),
        ({"id": 1}, "annotations in annotations.json share an id"),
    ],
)
def test_each_is_a_fault_that_says_what_to_do(tmp_path, annotation, text):
    coco(tmp_path, annotation, {})
    faults = [str(fault) for fault in check(tmp_path).faults]
    assert len(faults) == 1
    assert text in faults[0]
    assert "\n  mend " in faults[0]


@pytest.mark.parametrize(
    ("annotation", "text"),
    [
        ({"segmentation": [[-9, 2, 14, 2, 14, 8]]}, "an object reaches out of the image"),
        ({"segmentation": [[2, 2, 12, 12, 12, 2, 2, 12]]}, "a polygon crosses itself"),
        ({"bbox": [4, 2, 20, 6]}, "box and polygon disagree"),
    ],
)
def test_what_may_be_meant_is_a_warning(tmp_path, annotation, text):
    report = check(coco(tmp_path, annotation))
    assert report.faults == []
    assert [text in str(warning) for warning in report.warnings] == [True]


@pytest.mark.parametrize(
    ("images", "text"),
    [
        ([{"id": 5, "file_name": "a.png", "height": 30, "width": 20}], "image and annotations differ in size"),
        ([{"id": 5, "file_name": "a.png"}, {"id": 5, "file_name": "b.png"}], "two images in annotations.json have the"),
        ([{"id": 5, "file_name": "gone.png"} | ENTRY], "the listed image is missing"),
        ([{"id": 5}], "image 1 in annotations.json is incomplete"),
    ],
)
def test_images_that_are_not_those_annotated(tmp_path, images, text):
    coco(tmp_path, {}, images=images)
    assert any(text in str(fault) for fault in check(tmp_path).faults)


def test_two_categories_with_one_id(tmp_path):
    coco(tmp_path, {}, categories=[{"id": 7, "name": "cell"}, {"id": 7, "name": "rod"}])
    assert any("two categories in annotations.json have the same id" in str(each) for each in check(tmp_path).faults)


def test_a_turn_by_exif_is_told_before_it_shifts_the_objects(tmp_path):
    coco(tmp_path, {}, images=[{"id": 5, "file_name": "a.jpg"} | ENTRY, {"id": 9, "file_name": "b.png"} | ENTRY])
    (tmp_path / "images" / "a.png").unlink()
    turned = Image.Exif()
    turned[274] = 6
    save_image(tmp_path / "images" / "a.jpg", exif=turned)
    assert any("the image is turned by an EXIF tag" in str(each) for each in check(tmp_path).faults)


def test_classes_that_the_network_is_not_to_know(tmp_path):
    coco(tmp_path, {}, {"category_id": 30})
    (fault,) = check(tmp_path, class_names=["cell"]).faults
    assert "objects are of unknown classes" in str(fault)
    assert "rod (1)" in str(fault)


def test_images_that_cannot_be_read(tmp_path):
    coco(tmp_path, {})
    (tmp_path / "images" / "a.png").write_bytes(b"no picture")
    assert any("case a: " in str(fault) for fault in check(tmp_path).faults)
    values = np.zeros(SIZE, np.uint8)
    Image.fromarray(values).save(tmp_path / "images" / "a.png")
    assert any("constant" in str(warning) for warning in check(tmp_path).warnings)
