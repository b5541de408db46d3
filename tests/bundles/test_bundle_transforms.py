"""The pipelines of each bundle, on made and on real files: what they keep, what they change, and the way back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
from bundle_helpers import SHARED, pipeline, workflow
from bundle_tasks import HIPPOCAMPUS, OBLIQUE_LPS, PICTURE_TASKS, Task, array, save, short_name
from monai.data import MetaTensor

from monai_seg.data import datalist
from monai_seg.data.counter_seed import seeded_generators
from monai_seg.data.layouts import read_listing

each_picture_task = pytest.mark.parametrize("task", PICTURE_TASKS, ids=short_name, indirect=True)


def there_and_back(task: Task) -> tuple[Any, Any]:
    """Validation's preprocessing, and the postprocessing that inverts that very one."""
    content = workflow(task, "training").parser.get_parsed_content
    return content("validate#preprocessing"), content("validate#postprocessing")


@pytest.fixture(params=["made", "real"])
def records(request, task) -> list[dict]:
    """Three cases of the bundle's data, made by the tests or real ones."""
    folder = SHARED / task.real
    if request.param == "made":
        folder = task.data
    elif not task.real or not folder.is_dir():
        pytest.skip("the real data are not there" if task.real else "no real data with masks")
    return datalist(folder, "training")[:3]


def test_training_gives_crops_of_one_size_with_the_same_labels(task, records):
    preprocessing = pipeline(task, "train")
    for record in records:
        preprocessing.set_random_state(3)
        sample = preprocessing(record)
        image, label = sample["image"], sample["label"]
        assert image.shape == (task.channels, *task.training_size)
        assert label.shape == (1, *task.training_size)
        assert image.dtype == torch.float32
        assert torch.isfinite(image).all()
        assert image.abs().max() < task.intensity_limit
        assert set(label.unique().tolist()) <= set(np.unique(task.labels(record["label"])).tolist())


def test_training_repeats_with_its_seed_and_varies_without(task, records):
    preprocessing = pipeline(task, "train")

    def drawn(seed: int) -> list[torch.Tensor]:
        preprocessing.set_random_state(seed)
        with seeded_generators(seed):  # as in training: some transforms draw from PyTorch's generator
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


@each_picture_task
@pytest.mark.parametrize("name", ["validate", "inference"])
def test_networks_see_the_values_of_the_file(task, records, name):
    preprocessing = pipeline(task, name)
    for record in records:
        image = preprocessing(record if name == "validate" else {"image": record["image"]})["image"]
        assert image.dtype == torch.float32
        assert np.allclose(image.numpy(), task.seen(array(record["image"])), atol=1e-5)


@pytest.mark.parametrize("task", [HIPPOCAMPUS], ids=short_name, indirect=True)
@pytest.mark.parametrize("name", ["validate", "inference"])
def test_volumes_are_normalised_and_on_the_network_grid(task, records, name):
    preprocessing = pipeline(task, name)
    for record in records:
        image = preprocessing(record if name == "validate" else {"image": record["image"]})["image"]
        assert image.dtype == torch.float32
        assert abs(image.mean()) < 1e-3
        assert abs(image.std() - 1) < 1e-2
        assert "".join(nib.aff2axcodes(image.affine.numpy())) == "RAS"
        assert np.allclose(nib.affines.voxel_sizes(image.affine.numpy()), 1)


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
        assert np.array_equal(label[0].numpy(), task.labels(record["label"]))


def test_validation_labels_lie_where_those_of_the_volume_lie(hippocampus, records_of_hippocampus):
    preprocessing = pipeline(hippocampus, "validate")
    for record in records_of_hippocampus:
        label = preprocessing(record)["label"]
        assert np.allclose(label.affine.numpy(), nib.load(record["label"]).affine, atol=1e-5)


@pytest.mark.parametrize("task", [task for task in PICTURE_TASKS if "roi_size" in task.overrides],
                         ids=short_name, indirect=True)  # fmt: skip
def test_pictures_that_are_no_squares_keep_height_and_width(task, tmp_path):
    record = only_case(task.write(tmp_path, 1, shape=(40, 72)))
    sample = pipeline(task, "validate")(record)
    assert sample["image"].shape == (task.channels, 40, 72)
    assert np.array_equal(sample["label"][0].numpy(), task.labels(record["label"]))


def test_a_case_smaller_than_the_crop_is_padded(task, tmp_path):
    record = only_case(task.write(tmp_path, 1, shape=(9, 7, 11)[: len(task.shape)]))
    sample = pipeline(task, "train")(record)
    assert sample["image"].shape == (task.channels, *task.training_size)
    assert sample["label"].shape == (1, *task.training_size)


def only_case(folder: Path) -> dict[str, str]:
    (record,) = [record for part in read_listing(folder).sections.values() for record in part]
    return record


@pytest.mark.parametrize("affine", [np.eye(4), OBLIQUE_LPS], ids=["plain", "oblique LPS, anisotropic"])
def test_predictions_come_back_to_the_grid_of_the_volume(hippocampus, tmp_path, affine):
    """A ball that is known in millimetres: predicted on the network's grid, found again on the file's."""
    shape, radius_mm = (26, 30, 20), 7.0
    centre_mm = (affine @ [*(np.array(shape) / 2), 1])[:3]
    save(tmp_path / "image.nii.gz", np.random.default_rng(0).normal(size=shape).astype(np.float32), affine)
    save(tmp_path / "label.nii.gz", ball(shape, affine, centre_mm, radius_mm).astype(np.uint8), affine)
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
    logits = torch.full(task.shape, -5.0)
    logits[2:5, 2:5] = 5.0
    logits[8:16, 8:16] = 5.0
    is_exclusive = len(task.class_names) > 1
    channels = torch.stack([-logits, logits, torch.full(task.shape, -9.0)]) if is_exclusive else logits[None]
    for wanted in (True, False):
        parser = workflow(task, "training", largest_component=wanted).parser
        steps = parser.get_parsed_content("validate#postprocessing").transforms
        sample: dict = {"pred": channels.clone()}
        for step in steps:
            sample = step(sample) if type(step).__name__ != "Invertd" else sample
        found = sample["pred"][0] > 0
        assert found[10, 10].all()
        assert found[3, 3].any() != wanted
