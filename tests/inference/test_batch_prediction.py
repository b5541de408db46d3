"""Several classes through a whole bundle: by one label map or by masks that overlap, as pictures and as scenes."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
import yaml
from monai.networks.nets import BasicUNet
from PIL import Image

from monai_seg.engines import save_checkpoint
from monai_seg.inference.batch_prediction import BatchPrediction, PredictionOptions
from monai_seg.inference.bundle_workflow import BundleError, BundleWorkflow
from monai_seg.inference.label_map_file import ClassMaskError

BUNDLE = Path(__file__).parents[2] / "bundles" / "membrane_em_segmentation"
NETWORK = {"_target_": "BasicUNet", "spatial_dims": 2, "in_channels": 1, "features": [4] * 6}
CLEANING = [
    {"_target_": "monai_seg.transforms.EachClassd", "keys": "pred", "transform": transform}
    for transform in (
        {"_target_": "RemoveSmallObjects", "min_size": 4, "connectivity": 2},
        {"_target_": "KeepLargestConnectedComponent"},
    )
]

pytestmark = pytest.mark.filterwarnings("ignore:.*min_size.*:FutureWarning")


@pytest.fixture(autouse=True)
def _process_as_it_was(monkeypatch):
    """A bundle run adds its folder to the search path and sets an exception hook."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def bundle_of(folder: Path) -> Path:
    """The membranes' bundle with classes by configuration, as given to it: one class until a run says otherwise."""
    shutil.copytree(BUNDLE, folder / "bundle")
    file = folder / "bundle" / "configs" / "inference.yaml"
    config = yaml.safe_load(file.read_text())
    config |= {"class_names": ["membrane"], "multi_label": False, "roi_size": [32, 32], "amp": False}
    config["exclusive"] = "$len(@class_names) > 1 and not @multi_label"
    config["network_def"] = NETWORK | {"out_channels": "$len(@class_names) + @exclusive"}
    config["postprocessing"]["transforms"] = [
        {"_target_": "Activationsd", "keys": "pred", "sigmoid": "$not @exclusive", "softmax": "@exclusive"},
        {
            "_target_": "AsDiscreted",
            "keys": "pred",
            "argmax": "@exclusive",
            "threshold": "$None if @exclusive else 0.5",
        },
        *CLEANING,
    ]
    del config["largest_component"]
    config["handlers"][0]["class_names"] = "@class_names"
    file.write_text(yaml.safe_dump(config, sort_keys=False))
    return folder / "bundle"


def run_of(folder: Path, class_names: list[str], multi_label: bool, seed: int = 1, **more: object) -> Path:
    """A run that trained on these classes; it says so in its configuration."""
    torch.manual_seed(seed)
    channels = len(class_names) + (not multi_label)
    network = BasicUNet(2, 1, channels, [4] * 6)
    # Untrained logits lie on one side: bring them apart, so that each class has pixels and lacks some.
    torch.nn.init.normal_(network.final_conv.weight, std=8.0)
    save_checkpoint(folder / "checkpoints" / "best.pt", {"model": network})
    config = {"class_names": class_names, "multi_label": multi_label, "learning_rate": 0.1} | more
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    return folder


@pytest.fixture
def image(tmp_path) -> Path:
    values = np.random.default_rng(0).integers(0, 256, (70, 50)).astype("u1")
    (tmp_path / "in").mkdir()
    Image.fromarray(values).save(tmp_path / "in" / "a.png")
    return tmp_path / "in" / "a.png"


def predicted(bundle: Path, image: Path, out: Path, **options: object) -> list[str]:
    batch = BatchPrediction(bundle, out, PredictionOptions(**options))
    batch.run([image])
    return [f"{outcome.state}: {outcome.text}" for outcome in batch.outcomes]


def test_overlapping_classes_have_the_same_masks_by_either_way(tmp_path, image):
    bundle, run, out = bundle_of(tmp_path), run_of(tmp_path / "run", ["cell", "membrane"], True), tmp_path / "out"
    assert predicted(bundle, image, out, runs=[run]) == [
        f"done: {out / 'cell' / 'a.png'}, {out / 'membrane' / 'a.png'}"
    ]
    assert predicted(bundle, image, out, runs=[run], scene_pixels=10)[0].startswith("done: ")
    files = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
    assert files == {"cell/a.png", "cell/a.tif", "membrane/a.png", "membrane/a.tif"}
    masks = []
    for name in ("cell", "membrane"):
        whole = np.asarray(Image.open(out / name / "a.png"))
        # The z-score is summed in another order: what lies on the threshold may fall to either side.
        assert (whole != tifffile.imread(out / name / "a.tif")).mean() < 0.01
        masks.append(whole > 0)
    assert all(0 < mask.mean() < 1 for mask in masks)


def test_exclusive_classes_have_one_label_map_by_either_way(tmp_path, image):
    bundle, run, out = bundle_of(tmp_path), run_of(tmp_path / "run", ["cell", "membrane"], False), tmp_path / "out"
    for pixels in (10, 10**6):
        assert predicted(bundle, image, out, runs=[run], scene_pixels=pixels)[0].startswith("done: ")
    assert sorted(path.name for path in out.iterdir()) == ["a.png", "a.tif"]
    whole = np.asarray(Image.open(out / "a.png"))
    assert len(np.unique(whole)) > 1
    assert whole.max() <= 2
    assert (whole != tifffile.imread(out / "a.tif")).mean() < 0.01


def test_thresholds_views_and_probabilities_of_overlapping_classes(tmp_path, image):
    bundle, run, out = bundle_of(tmp_path), run_of(tmp_path / "run", ["cell", "membrane"], True), tmp_path / "out"
    file = bundle / "configs" / "inference.yaml"
    config = yaml.safe_load(file.read_text())
    config["postprocessing"]["transforms"] = config["postprocessing"]["transforms"][:2]
    file.write_text(yaml.safe_dump(config, sort_keys=False))
    options = {"runs": [run], "test_time_augmentation": True, "threshold": 0.3}
    assert predicted(bundle, image, out, **options, probabilities=True)[0].startswith("done: ")
    probabilities = tifffile.imread(out / "a_probabilities.tif")
    assert probabilities.shape == (70, 50, 2)
    assert predicted(bundle, image, out, **options)[0].startswith("done: ")
    for index, name in enumerate(("cell", "membrane")):
        assert np.array_equal(tifffile.imread(out / name / "a.tif"), probabilities[..., index] >= 0.3)
        clear = np.abs(probabilities[..., index] - 0.3) > 1e-4
        assert np.array_equal(
            np.asarray(Image.open(out / name / "a.png"))[clear], probabilities[..., index][clear] >= 0.3
        )


def test_masks_that_are_there_are_kept_and_what_is_missing_is_told(tmp_path, image):
    bundle, run, out = bundle_of(tmp_path), run_of(tmp_path / "run", ["cell", "membrane"], True), tmp_path / "out"
    (out / "membrane").mkdir(parents=True)
    (out / "membrane" / "a.png").write_bytes(b"mine")
    (said,) = predicted(bundle, image, out, runs=[run])
    assert (
        said
        == f"exists: {out / 'membrane' / 'a.png'} is there, {out / 'cell' / 'a.png'} is not; --overwrite replaces it"
    )
    assert (out / "membrane" / "a.png").read_bytes() == b"mine"
    assert predicted(bundle, image, out, runs=[run], overwrite=True)[0].startswith("done: ")
    assert np.asarray(Image.open(out / "membrane" / "a.png")).shape == (70, 50)


def test_a_class_whose_name_is_no_folder_is_refused_at_once(tmp_path, image):
    run = run_of(tmp_path / "run", ["cell/wall", "membrane"], True)
    with pytest.raises(ClassMaskError, match="class 'cell/wall' cannot name the folder"):
        predicted(bundle_of(tmp_path), image, tmp_path / "out", runs=[run])


def test_runs_that_mean_different_things_are_not_averaged(tmp_path):
    bundle = bundle_of(tmp_path)
    one = run_of(tmp_path / "one", ["cell", "membrane"], True)
    other = run_of(tmp_path / "other", ["membrane", "cell"], True, seed=2)
    with pytest.raises(BundleError, match="runs differ in class_names"):
        BundleWorkflow(bundle, [one, other])
    same = run_of(tmp_path / "same", ["cell", "membrane"], True, seed=2, image_size=[64, 64])
    assert BundleWorkflow(bundle, [one, same]).overlapping_classes == ("cell", "membrane")


def test_only_what_the_bundle_knows_is_taken_from_a_run(tmp_path):
    bundle = bundle_of(tmp_path)
    file = bundle / "configs" / "inference.yaml"
    file.write_text(file.read_text().replace("'@roi_size'", "'@image_size'").replace("\nroi_size:", "\nimage_size:"))
    run = run_of(tmp_path / "run", ["cell", "membrane"], False, image_size=[64, 64], seed=3)
    workflow = BundleWorkflow(bundle, [run])
    parser = workflow._workflow.parser
    assert (parser["image_size"], parser["class_names"]) == ([64, 64], ["cell", "membrane"])
    assert parser["seed"] == 0
    assert "learning_rate" not in parser
    assert workflow.overlapping_classes == ()
