"""What annotation programs export becomes the same objects: each as the mask that its own program shows."""

from __future__ import annotations

import base64
import io
import math
from pathlib import Path

import numpy as np
import pytest
from annotated_folders import SIZE, SQUARE, coco, save_image, save_json, square_mask
from monai.transforms import LoadImage
from PIL import Image
from pycocotools import mask as coco_mask

from monai_seg.data import check
from monai_seg.data.layouts import read_listing
from monai_seg.transforms import LoadInstancesd


def loaded(record: dict, *class_names: str) -> dict:
    image = LoadImage(reader="PILReader", reverse_indexing=False, ensure_channel_first=True)(record["image"])
    return LoadInstancesd(class_names=list(class_names))({**record, "image": image})


def only_record(root: Path, layout: str) -> dict:
    listing = read_listing(root)
    assert listing.layout == layout
    assert listing.faults == []
    (record,) = listing.sections["unsplit"]
    assert check(root).faults == []
    return record


def test_coco_in_each_form_with_holes_in_the_numbers(tmp_path):
    mask = square_mask()
    code = coco_mask.encode(np.asfortranarray(mask))
    edges = np.flatnonzero(np.diff(np.pad(mask.T.ravel(), 1, constant_values=2)))
    plain = {"size": list(SIZE), "counts": np.diff(edges).tolist()}
    packed = {"size": list(SIZE), "counts": code["counts"].decode()}
    coco(tmp_path, {}, {"segmentation": plain}, {"segmentation": packed, "category_id": 30}, {"iscrowd": 1})
    assert check(tmp_path).faults == []
    first, second = read_listing(tmp_path).sections["unsplit"]
    sample = loaded(first, "cell", "rod")
    assert sample["mask"].shape == (4, *SIZE)
    assert all(np.array_equal(each, mask) for each in sample["mask"].numpy())
    assert sample["label"].tolist() == [0, 0, 1, 0]
    assert sample["crowd"].tolist() == [False, False, False, True]
    assert sample["box"].tolist() == [[2, 4, 8, 14]] * 4
    nothing = loaded(second, "cell", "rod")
    assert [nothing[key].shape[0] for key in ("mask", "box", "label", "crowd")] == [0] * 4
    facts = check(tmp_path).facts
    assert (facts["objects"], facts["images_without_objects"]) == ({"cell": 3, "rod": 1}, 1)


@pytest.mark.parametrize("is_project", [True, False], ids=["project", "export"])
@pytest.mark.parametrize("version", [1, 2])
def test_vgg_image_annotator(tmp_path, is_project, version):
    xs, ys = SQUARE[::2], SQUARE[1::2]
    shapes = [
        {"name": "polygon", "all_points_x": xs, "all_points_y": ys},
        {"name": "rect", "x": 4, "y": 2, "width": 10, "height": 6},
        {"name": "circle", "cx": 15, "cy": 10, "r": 6},
        {"name": "ellipse", "cx": 15, "cy": 10, "rx": 8, "ry": 3, "theta": math.pi / 2},
    ]
    values = ["cell", {"rod": False, "cell": True}, "cell", "rod"]
    regions = [{"shape_attributes": s, "region_attributes": {"type": v}} for s, v in zip(shapes, values, strict=True)]
    image = save_image(tmp_path / "images" / "a.png")
    entry = {"filename": "a.png", "size": image.stat().st_size, "file_attributes": {},
             "regions": {str(n): r for n, r in enumerate(regions)} if version == 1 else regions}  # fmt: skip
    content = {f"a.png{image.stat().st_size}": entry}
    settings = {"_via_settings": {}, "_via_attributes": {}, "_via_data_format_version": "2.0.10"}
    save_json(tmp_path / "via.json", {**settings, "_via_img_metadata": content} if is_project else content)
    sample = loaded(only_record(tmp_path, "via"), "cell", "rod")
    masks = sample["mask"].numpy()
    assert np.array_equal(masks[0], square_mask())
    assert np.array_equal(masks[1], square_mask())
    assert masks[2].sum() == pytest.approx(math.pi * 36, rel=0.05)
    assert masks[3].sum() == pytest.approx(math.pi * 24, rel=0.08)
    rows, columns = np.nonzero(masks[3])
    assert np.ptp(rows) > 2 * np.ptp(columns)  # it stands upright
    assert sample["label"].tolist() == [0, 0, 0, 1]


def test_via_without_a_class_and_with_two_to_choose_from(tmp_path):
    save_image(tmp_path / "a.png")
    region = {"shape_attributes": {"name": "rect", "x": 4, "y": 2, "width": 10, "height": 6}, "region_attributes": {}}
    save_json(tmp_path / "via.json", {"a": {"filename": "a.png", "size": 1, "regions": [region]}})
    assert only_record(tmp_path, "via")["annotations"][0]["category"] == "object"
    point = {"shape_attributes": {"name": "point", "cx": 1, "cy": 1}, "region_attributes": {"who": "me", "size": "2"}}
    save_json(tmp_path / "via.json", {"a": {"filename": "a.png", "size": 1, "regions": [point]}})
    texts = [str(fault) for fault in check(tmp_path).faults]
    assert any("via.json does not tell which attribute is the class" in text for text in texts)
    assert any("case a: a region in via.json is a point, no area" in text for text in texts)


def labelme(path: Path, *shapes: dict) -> None:
    content = {"version": "5.5.0", "flags": {}, "shapes": list(shapes), "imagePath": "..\\images\\a.png",
               "imageData": None, "imageHeight": SIZE[0], "imageWidth": SIZE[1]}  # fmt: skip
    save_json(path, content)


@pytest.mark.parametrize("folder", ["images", "annotations"])
def test_labelme_beside_the_images_or_apart(tmp_path, folder):
    save_image(tmp_path / "images" / "a.png")
    part = io.BytesIO()
    Image.fromarray(np.full((6, 10), 255, np.uint8)).save(part, "PNG")
    labelme(
        tmp_path / folder / "a.json",
        {"label": "cell", "points": np.reshape(SQUARE, (-1, 2)).tolist(), "group_id": None, "shape_type": "polygon"},
        {"label": "cell", "points": [[14, 8], [4, 2]], "shape_type": "rectangle"},
        {"label": "rod", "points": [[15, 10], [15, 4]], "shape_type": "circle"},
        {"label": "cell", "points": [[4, 2], [13, 7]], "shape_type": "mask",
         "mask": base64.b64encode(part.getvalue()).decode()},
        {"label": "rod", "points": [[0, 0], [5, 0], [5, 5], [0, 5]], "shape_type": "polygon", "group_id": 1},
        {"label": "rod", "points": [[10, 10], [12, 10], [12, 12], [10, 12]], "shape_type": "polygon", "group_id": 1},
    )  # fmt: skip
    sample = loaded(only_record(tmp_path, "labelme"), "cell", "rod")
    masks = sample["mask"].numpy()
    assert sample["label"].tolist() == [0, 0, 1, 0, 1]
    assert all(np.array_equal(masks[index], square_mask()) for index in (0, 1, 3))
    assert masks[2].sum() == pytest.approx(math.pi * 36, rel=0.05)
    assert masks[4].sum() == 25 + 4  # two parts of one object


def test_labelme_shapes_without_area_are_faults(tmp_path):
    save_image(tmp_path / "images" / "a.png")
    labelme(tmp_path / "images" / "a.json", {"label": "cell", "points": [[1, 1], [5, 5]], "shape_type": "line"})
    (fault,) = check(tmp_path).faults
    assert str(fault).startswith("case a: shape 1 in images/a.json is a line, no area")


@pytest.mark.parametrize("around", [True, False], ids=["train/images", "images/train"])
def test_yolo_outlines(tmp_path, around):
    for number, name in enumerate("ab"):
        where = Path("train", "images") if around else Path("images", "train")
        save_image(tmp_path / where / f"{name}.png", number)
    labels = tmp_path / (Path("train", "labels") if around else Path("labels", "train"))
    labels.mkdir(parents=True)
    numbers = np.reshape(SQUARE, (-1, 2)) / SIZE[::-1]
    (labels / "a.txt").write_text("1 " + " ".join(f"{value:.6f}" for value in numbers.ravel()) + "\n\n")
    (tmp_path / "data.yaml").write_text("names:\n  0: rod\n  1: cell\n")
    listing = read_listing(tmp_path)
    assert listing.layout == "yolo"
    assert listing.faults == []
    first, second = listing.sections["training"]
    sample = loaded(first, "cell", "rod")
    assert np.array_equal(sample["mask"].numpy()[0], square_mask())
    assert sample["label"].tolist() == [0]
    assert second["annotations"] == []
    assert check(tmp_path).faults == []


def test_yolo_lines_that_are_no_outlines(tmp_path):
    save_image(tmp_path / "images" / "a.png")
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels" / "a.txt").write_text("0 0.5 0.5 0.2 0.2\n3 0 0 1 0 1 1\nmany words\n")
    (tmp_path / "labels" / "c.txt").write_text("")
    (tmp_path / "classes.txt").write_text("cell\n")
    texts = [str(fault) for fault in check(tmp_path).faults]
    for wanted in ("line 1 of labels/a.txt is a box, no outline", "line 2 of labels/a.txt is of class 3, which has no",
                   "line 3 of labels/a.txt is no outline", "case c: the outlines have no image"):  # fmt: skip
        assert any(wanted in text for text in texts), wanted


def test_masks_beside_images_are_no_outlines_of_yolo(tmp_path):
    save_image(tmp_path / "images" / "a.png")
    save_image(tmp_path / "labels" / "a.png")
    (tmp_path / "labels" / "notes.txt").write_text("drawn by two people")
    assert read_listing(tmp_path).layout == "pairs"


def test_an_image_that_nobody_looked_at_is_told(tmp_path):
    coco(tmp_path, {})
    save_image(tmp_path / "images" / "c.png", 3)
    assert [str(fault).splitlines()[0] for fault in check(tmp_path).faults] == [
        "case c: the image is in no annotation file"
    ]
