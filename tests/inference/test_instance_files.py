"""Found objects as files: one COCO file, label maps, pictures, in the geometry of the inputs."""

from __future__ import annotations

import json

import nibabel as nib
import numpy as np
import pytest
import torch
from evaluated_objects import CLASSES, PREDICTIONS, REFERENCES, objects, picture, run, square
from PIL import Image

from monai_seg.engines import RunFolder
from monai_seg.inference import InstanceFiles
from monai_seg.inference.placed_masks import PlacedMask
from monai_seg.inference.prediction_files import NameCollisionError
from monai_seg.transforms import masks_to_boxes

FILES = ["objects.json", "results.json"]


def test_label_maps_show_the_better_object_and_only_confident_ones(tmp_path):
    found = objects([square(0, 0, 10, 10), square(5, 5, 15, 15), square(20, 20, 30, 30)], [0, 1, 0], [0.6, 0.9, 0.4])
    run(InstanceFiles(output_dir=tmp_path / "out"), [picture(tmp_path / "a.tif")], [found])
    written = np.asarray(Image.open(tmp_path / "out" / "a.tif"))
    assert [written[2, 2], written[7, 7], written[25, 25], written.max()] == [2, 1, 0, 2]
    again = objects([square(0, 0, 1, 1)] * 300, [0] * 300, [0.9] * 300)
    run(InstanceFiles(output_dir=tmp_path / "many", figure_count=0), [picture(tmp_path / "a.png")], [again])
    assert np.asarray(Image.open(tmp_path / "many" / "a.png")).max() == 1
    assert not (tmp_path / "many" / "figures").exists()


def test_a_run_folder_gets_pictures_of_the_first_cases_at_the_size_of_the_file(tmp_path):
    files = [picture(tmp_path / "in" / f"{name}.png") for name in "abc"]
    folder = RunFolder(tmp_path, run_dir=tmp_path / "run")
    handler = InstanceFiles(folder, figure_count=2, class_names=CLASSES, score_threshold=0.25)
    run(handler, files, PREDICTIONS, REFERENCES, image=torch.rand(1, 20, 28))  # the network saw half the size
    assert sorted(path.name for path in folder.predictions.iterdir()) == ["a.png", "b.png", "c.png", *FILES]
    assert sorted(path.name for path in folder.figures.iterdir()) == ["a.png", "b.png"]
    assert Image.open(folder.figures / "a.png").size == (2 * 486, 26 + 480 + 26)


def test_volumes_keep_their_geometry(tmp_path):
    affine = np.diag([-2.0, 1.0, 3.0, 1.0])
    nib.save(nib.Nifti1Image(np.zeros((12, 10, 8), np.int16), affine), tmp_path / "a.nii.gz")
    mask = torch.zeros(2, 12, 10, 8, dtype=torch.uint8)
    mask[0, 2:6, 3:5, 1:4] = mask[1, 8:11, 1:9, 5:7] = 1
    found = {"mask": mask, "box": masks_to_boxes(mask), "label": torch.tensor([0, 0])}
    found |= {"label_scores": torch.tensor([0.9, 0.8])}
    files, image = [str(tmp_path / "a.nii.gz")], torch.zeros(1, 12, 10, 8)
    run(InstanceFiles(output_dir=tmp_path / "out", class_names=["lesion"]), files, [found], [found], image)
    written = nib.load(tmp_path / "out" / "a.nii.gz")
    assert np.array_equal(written.affine, affine)
    assert np.array_equal(np.asanyarray(written.dataobj), (mask[0] + 2 * mask[1]).numpy())
    assert Image.open(tmp_path / "out" / "figures" / "a.png").size[1] == 26 + 480 + 26


def test_small_masks_boxes_alone_and_nothing_found(tmp_path):
    files = [picture(tmp_path / "in" / f"{name}.png") for name in "abc"]
    plain = PREDICTIONS[0]
    placed = {key: value for key, value in plain.items() if key != "mask"}
    placed["placed_mask"] = [PlacedMask.cut_out(mask.numpy()) for mask in plain["mask"]]
    boxes = {key: value for key, value in plain.items() if key != "mask"}
    for name, found in (("full", plain), ("placed", placed), ("boxes", boxes)):
        handler = InstanceFiles(output_dir=tmp_path / name, class_names=CLASSES)
        run(handler, files, [found, objects([], [], []), found], REFERENCES)
    full, same, edges = (
        json.loads((tmp_path / name / "results.json").read_text()) for name in ("full", "placed", "boxes")
    )
    assert full == same
    assert [entry["bbox"] for entry in edges["results"]] == [entry["bbox"] for entry in full["results"]]
    assert not any("segmentation" in entry for entry in edges["results"])
    assert [path.name for path in (tmp_path / "boxes").glob("*.png")] == ["b.png"]  # which has no object, but masks
    pictures = [np.asarray(Image.open(tmp_path / name / "figures" / "a.png")) for name in ("full", "placed")]
    assert np.array_equal(*pictures)
    assert np.asarray(Image.open(tmp_path / "placed" / "b.png")).max() == 0


def test_a_large_image_is_drawn_small(tmp_path):
    size = (2100, 1500)
    mask = PlacedMask((1000, 700), np.ones((300, 400), bool))
    found = {"placed_mask": [mask], "box": torch.tensor([[1000.0, 700, 1300, 1100]]), "label": torch.tensor([0]),
             "label_scores": torch.tensor([0.9])}  # fmt: skip
    file = picture(tmp_path / "a.png", size)
    run(InstanceFiles(output_dir=tmp_path / "out", class_names=CLASSES), [file], [found], image=torch.zeros(1, *size))
    drawn = Image.open(tmp_path / "out" / "figures" / "a.png")
    assert drawn.size == (2 * (700 + 6), 26 + 700 + 26)
    assert np.asarray(Image.open(tmp_path / "out" / "a.png")).sum() == 300 * 400


def test_one_place_is_needed_and_names_must_differ(tmp_path):
    with pytest.raises(ValueError, match="give either run_folder or output_dir"):
        InstanceFiles()
    files = [picture(tmp_path / name) for name in ("a.png", "a.bmp")]
    with pytest.raises(NameCollisionError):
        run(InstanceFiles(output_dir=tmp_path / "out"), files, PREDICTIONS[:2])
