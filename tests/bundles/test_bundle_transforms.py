"""The pipelines of both bundles, on made and on real files: what they keep, what they change, and the way back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
from bundle_helpers import HIPPOCAMPUS, OBLIQUE_LPS, SHARED, Task, save_picture, save_volume, workflow
from monai.data import MetaTensor
from PIL import Image

from monai_seg.data import datalist


def pipeline(task: Task, name: str) -> Any:
    """The preprocessing of ``train``, ``validate`` or ``inference``."""
    if name == "inference":
        return workflow(task, "inferring").parser.get_parsed_content("preprocessing")
    return workflow(task, "training").parser.get_parsed_content(f"{name}#preprocessing")


def there_and_back(task: Task) -> tuple[Any, Any]:
    """Validation's preprocessing, and the postprocessing that inverts that very one."""
    content = workflow(task, "training").parser.get_parsed_content
    return content("validate#preprocessing"), content("validate#postprocessing")


@pytest.fixture(params=["made", "real"])
def records(request, task) -> list[dict]:
    """Three cases of the bundle's data, made by the tests or real ones."""
    if request.param == "made":
        return datalist(task.data, "training")[:3]
    folder = SHARED / ("hippocampus" if task.name == HIPPOCAMPUS else "membranes")
    if not folder.is_dir():
        pytest.skip(f"the real data are not there: {folder}")
    return datalist(folder, "training")[:3]


def on_disk(path: str) -> np.ndarray:
    if path.endswith(".nii.gz"):
        return np.asarray(nib.load(path).dataobj)
    return np.asarray(Image.open(path))


def classes_on_disk(task: Task, path: str) -> np.ndarray:
    values = on_disk(path)
    return values if task.name == HIPPOCAMPUS else (values == 0).astype(np.uint8)


def test_training_gives_crops_of_one_size_with_the_same_labels(task, records):
    preprocessing = pipeline(task, "train")
    for record in records:
        preprocessing.set_random_state(3)
        sample = preprocessing(record)
        image, label = sample["image"], sample["label"]
        assert image.shape == label.shape == (1, *task.overrides["crop_size"])
        assert image.dtype == torch.float32
        assert torch.isfinite(image).all()
        assert image.abs().max() < 30  # z-scores, stretched a little
        assert set(label.unique().tolist()) <= set(np.unique(classes_on_disk(task, record["label"])).tolist())


def test_training_repeats_with_its_seed_and_varies_without(task, records):
    preprocessing = pipeline(task, "train")

    def drawn(seed: int) -> list[torch.Tensor]:
        preprocessing.set_random_state(seed)
        return [preprocessing(record)[key].as_tensor() for record in records for key in ("image", "label")]

    first, again, other = drawn(7), drawn(7), drawn(8)
    assert all(torch.equal(one, two) for one, two in zip(first, again, strict=True))
    assert not all(torch.equal(one, two) for one, two in zip(first, other, strict=True))


def test_a_sample_is_a_function_of_seed_epoch_and_index(task):
    dataset = workflow(task, "training").parser.get_parsed_content("train#dataset")
    once = [dataset[2, index]["image"].as_tensor() for index in range(3)]
    backwards = [dataset[2, index]["image"].as_tensor() for index in (2, 1, 0)][::-1]
    assert all(torch.equal(one, two) for one, two in zip(once, backwards, strict=True))
    assert not torch.equal(dataset[3, 0]["image"].as_tensor(), once[0])


@pytest.mark.parametrize("name", ["validate", "inference"])
def test_images_are_normalised_and_on_the_network_grid(task, records, name):
    preprocessing = pipeline(task, name)
    for record in records:
        image = preprocessing(record if name == "validate" else {"image": record["image"]})["image"]
        assert image.dtype == torch.float32
        assert abs(image.mean()) < 1e-3
        assert abs(image.std() - 1) < 1e-2
        if task.name == HIPPOCAMPUS:
            assert "".join(nib.aff2axcodes(image.affine.numpy())) == "RAS"
            assert np.allclose(nib.affines.voxel_sizes(image.affine.numpy()), 1)
        else:
            assert image.shape == (1, *on_disk(record["image"]).shape)
            assert np.corrcoef(image[0].numpy().ravel(), on_disk(record["image"]).ravel())[0, 1] > 0.999


def test_inference_and_validation_give_the_same_image(task, records):
    validate, inference = pipeline(task, "validate"), pipeline(task, "inference")
    for record in records:
        assert torch.equal(
            validate(record)["image"].as_tensor(), inference({"image": record["image"]})["image"].as_tensor()
        )


def test_validation_labels_are_those_of_the_file(task, records):
    preprocessing = pipeline(task, "validate")
    for record in records:
        label = preprocessing(record)["label"]
        assert label.dtype == torch.uint8
        assert np.array_equal(label[0].numpy(), classes_on_disk(task, record["label"]))
        if task.name == HIPPOCAMPUS:
            assert np.allclose(label.affine.numpy(), nib.load(record["label"]).affine, atol=1e-5)


def test_pictures_that_are_no_squares_keep_height_and_width(membrane, tmp_path):
    values = np.random.default_rng(0).integers(0, 255, (40, 72)).astype(np.uint8)
    save_picture(tmp_path / "a.png", values)
    save_picture(tmp_path / "a_mask.png", np.where(values > 100, 255, 0).astype(np.uint8))
    record = {"image": str(tmp_path / "a.png"), "label": str(tmp_path / "a_mask.png")}
    sample = pipeline(membrane, "validate")(record)
    assert sample["image"].shape == sample["label"].shape == (1, 40, 72)
    assert np.array_equal(sample["label"][0].numpy(), (values <= 100).astype(np.uint8))


def test_a_case_smaller_than_the_crop_is_padded(task, tmp_path):
    record = small_case(task, tmp_path)
    sample = pipeline(task, "train")(record)
    assert sample["image"].shape == sample["label"].shape == (1, *task.overrides["crop_size"])


def small_case(task: Task, folder: Path) -> dict[str, str]:
    if task.name == HIPPOCAMPUS:
        noise = np.random.default_rng(0).normal(size=(9, 20, 11)).astype(np.float32)
        save_volume(folder / "image.nii.gz", noise, np.eye(4))
        save_volume(folder / "label.nii.gz", np.ones((9, 20, 11), np.uint8), np.eye(4))
        return {key: str(folder / f"{key}.nii.gz") for key in ("image", "label")}
    save_picture(folder / "image.png", np.random.default_rng(0).integers(0, 255, (9, 7)).astype(np.uint8))
    save_picture(folder / "label.png", np.zeros((9, 7), np.uint8))
    return {key: str(folder / f"{key}.png") for key in ("image", "label")}


@pytest.mark.parametrize("affine", [np.eye(4), OBLIQUE_LPS], ids=["plain", "oblique LPS, anisotropic"])
def test_predictions_come_back_to_the_grid_of_the_volume(hippocampus, tmp_path, affine):
    """A ball that is known in millimetres: predicted on the network's grid, found again on the file's."""
    shape, radius_mm = (26, 30, 20), 7.0
    centre_mm = (affine @ [*(np.array(shape) / 2), 1])[:3]
    save_volume(tmp_path / "image.nii.gz", np.random.default_rng(0).normal(size=shape).astype(np.float32), affine)
    save_volume(tmp_path / "label.nii.gz", ball(shape, affine, centre_mm, radius_mm).astype(np.uint8), affine)
    record = {key: str(tmp_path / f"{key}.nii.gz") for key in ("image", "label")}
    preprocessing, postprocessing = there_and_back(hippocampus)
    sample = preprocessing(record)
    depth_mm = radius_mm - distance_mm(sample["image"].shape[1:], sample["image"].affine.numpy(), centre_mm)
    inside = torch.as_tensor(depth_mm, dtype=torch.float32)
    logits = torch.stack([-inside, inside, -10 + 0 * inside])
    output = postprocessing({**sample, "pred": MetaTensor(logits)})
    prediction, image = output["pred"], output["image"]
    assert prediction.shape == sample["label"].shape == image.shape
    assert np.allclose(image.affine.numpy(), affine, atol=1e-4)
    assert output["logits"].shape == (3, *shape)
    found, wanted = prediction[0].numpy() == 1, ball(shape, affine, centre_mm, radius_mm)
    assert 2 * (found & wanted).sum() / (found.sum() + wanted.sum()) > 0.97
    assert set(np.unique(prediction.numpy())) == {0, 1}


def distance_mm(shape: tuple[int, ...], affine: np.ndarray, centre_mm: np.ndarray) -> np.ndarray:
    voxels = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1)
    return np.linalg.norm(voxels @ affine[:3, :3].T + affine[:3, 3] - centre_mm, axis=-1)


def ball(shape: tuple[int, ...], affine: np.ndarray, centre_mm: np.ndarray, radius_mm: float) -> np.ndarray:
    return distance_mm(shape, affine, centre_mm) < radius_mm


def test_image_comes_back_to_the_grid_of_the_file(hippocampus, records_of_hippocampus):
    preprocessing, postprocessing = there_and_back(hippocampus)
    for record in records_of_hippocampus:
        sample = preprocessing(record)
        output = postprocessing({**sample, "pred": MetaTensor(torch.zeros(3, *sample["image"].shape[1:]))})
        source = nib.load(record["image"])
        assert output["pred"].shape == (1, *source.shape)
        assert np.allclose(output["image"].affine.numpy(), source.affine, atol=1e-4)


@pytest.fixture(params=["made", "real"])
def records_of_hippocampus(request, hippocampus) -> list[dict]:
    folder = hippocampus.data if request.param == "made" else SHARED / "hippocampus"
    if not folder.is_dir():
        pytest.skip(f"the real data are not there: {folder}")
    return datalist(folder, "training")[:3]


def test_two_structures_become_the_larger_one_on_request(task):
    shape = (20, 24, 16) if task.name == HIPPOCAMPUS else (40, 40)
    logits = torch.full(shape, -5.0)
    logits[2:5, 2:5] = 5.0
    logits[8:16, 8:16] = 5.0
    channels = torch.stack([-logits, logits, torch.full(shape, -9.0)]) if task.name == HIPPOCAMPUS else logits[None]
    for wanted in (True, False):
        parser = workflow(task, "training", largest_component=wanted).parser
        steps = parser.get_parsed_content("validate#postprocessing").transforms
        sample: dict = {"pred": channels.clone()}
        for step in steps:
            sample = step(sample) if type(step).__name__ != "Invertd" else sample
        found = sample["pred"][0] > 0
        assert found[10, 10].all()
        assert found[3, 3].any() != wanted
