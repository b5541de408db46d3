"""What a bundle's inferer and postprocessing say of a scene, and what a scene refuses to follow."""

from __future__ import annotations

import numpy as np
import pytest
import skimage
import torch
from monai.inferers import SimpleInferer, SlidingWindowInferer
from monai.transforms import (
    Activationsd,
    AsDiscreted,
    Compose,
    FillHolesd,
    Invertd,
    KeepLargestConnectedComponent,
    KeepLargestConnectedComponentd,
    RemoveSmallObjects,
    RemoveSmallObjectsd,
)
from packaging.version import Version

from monai_seg.inference.scene_cleaning import RowFile, SceneCleaning
from monai_seg.inference.scene_prediction import Decision
from monai_seg.inference.scene_recipe import cleaning_of, decision_of, keeps_channels, set_threshold, window_of
from monai_seg.inference.streamed import Window
from monai_seg.inference.tile_preprocessing import NotStreamableError
from monai_seg.transforms import EachClassd

SIGMOID, HALF = Activationsd("pred", sigmoid=True), AsDiscreted("pred", threshold=0.5)
ARGMAX = AsDiscreted("pred", argmax=True)
# In MONAI's hands scikit-image 0.26 takes objects of min_size itself away too.
KEPT = 20 if Version(skimage.__version__) < Version("0.26") else 21


def each(transform) -> EachClassd:
    return EachClassd("pred", transform)


def largest(**options) -> KeepLargestConnectedComponentd:
    return KeepLargestConnectedComponentd("pred", **options)


def test_the_window_is_that_of_the_inferer():
    inferer = SlidingWindowInferer([64, 32], 3, overlap=[0.5, 0.25], mode="gaussian", padding_mode="replicate")
    wanted = Window((64, 32), (0.5, 0.25), "gaussian", (0.125, 0.125), "replicate", 0.0, 3)
    assert window_of(inferer) == wanted
    assert window_of(SlidingWindowInferer(64)) == Window((64, 64), (0.25, 0.25), "constant", batch_size=1)


@pytest.mark.parametrize(
    ("inferer", "text"),
    [
        (SimpleInferer(), "is a SimpleInferer"),
        (SlidingWindowInferer([8, 8, 8]), "3 axes"),
        (SlidingWindowInferer([8, -1]), "roi_size"),
    ],
)
def test_other_inferers_are_refused(inferer, text):
    with pytest.raises(NotStreamableError, match=text):
        window_of(inferer)


@pytest.mark.parametrize(
    ("steps", "threshold", "wanted"),
    [
        ([SIGMOID, HALF], None, Decision("sigmoid", 0.5)),
        ([SIGMOID, HALF], 0.2, Decision("sigmoid", 0.2)),
        ([ARGMAX], None, Decision("softmax")),
        ([Activationsd("pred", softmax=True), ARGMAX, None], None, Decision("softmax")),
        ([SIGMOID, AsDiscreted(["label", "pred"], threshold=[0.1, 0.7])], None, Decision("sigmoid", 0.7)),
        # A bundle that says by expression which of the two it is gives both arguments.
        (
            [Activationsd("pred", sigmoid=True, softmax=False), AsDiscreted("pred", argmax=False, threshold=0.5)],
            None,
            Decision("sigmoid", 0.5),
        ),
        (
            [Activationsd("pred", sigmoid=False, softmax=True), AsDiscreted("pred", argmax=True, threshold=None)],
            None,
            Decision("softmax"),
        ),
    ],
)
def test_the_decision_is_that_of_the_postprocessing(steps, threshold, wanted):
    assert decision_of(Compose([step for step in steps if step]), threshold) == wanted


@pytest.mark.parametrize(
    ("steps", "threshold", "text"),
    [
        ([SIGMOID], None, "does not hold one AsDiscreted"),
        ([ARGMAX], 0.3, "takes the most likely class"),
        ([HALF], None, "not one of a sigmoid's probability"),
        ([SIGMOID, AsDiscreted("pred")], None, "neither argmax nor threshold"),
        ([SIGMOID, AsDiscreted("pred", argmax=True, threshold=0.5)], None, "both argmax and threshold"),
        ([AsDiscreted("pred", argmax=True, to_onehot=3)], None, "to_onehot"),
    ],
)
def test_unclear_decisions_are_refused(steps, threshold, text):
    with pytest.raises(NotStreamableError, match=text):
        decision_of(Compose(steps), threshold)


def test_another_threshold_is_put_into_the_transform():
    steps = Compose([SIGMOID, AsDiscreted(["label", "pred"], threshold=0.5)])
    set_threshold(steps, 0.9)
    assert steps.transforms[1].threshold == [0.5, 0.9]


@pytest.mark.parametrize(
    ("steps", "wanted"),
    [
        ([SIGMOID, HALF], SceneCleaning()),
        ([SIGMOID, HALF, largest()], SceneCleaning(largest_component="each")),
        ([Invertd("pred", Compose([]), "image"), ARGMAX, largest(independent=False, connectivity=1)],
         SceneCleaning(largest_component="all", connectivity=1)),
        ([SIGMOID, HALF, RemoveSmallObjectsd("pred", 20)], SceneCleaning(KEPT, connectivity=1)),
        ([SIGMOID, HALF, RemoveSmallObjectsd("pred", 20, connectivity=2), largest()],
         SceneCleaning(KEPT, largest_component="each")),
        ([ARGMAX, each(RemoveSmallObjects(20, connectivity=2)), each(KeepLargestConnectedComponent(independent=False))],
         SceneCleaning(KEPT, largest_component="each")),
    ],
)  # fmt: skip
def test_cleaning_is_that_of_the_postprocessing(steps, wanted):
    assert cleaning_of(Compose(steps)) == wanted


@pytest.mark.parametrize(
    ("steps", "text"),
    [
        ([SIGMOID, HALF, FillHolesd("pred")], "holds FillHolesd"),
        ([ARGMAX, RemoveSmallObjectsd("pred")], "holds RemoveSmallObjectsd"),
        ([SIGMOID, HALF, largest(), RemoveSmallObjectsd("pred")], "holds RemoveSmallObjectsd"),
        ([SIGMOID, HALF, RemoveSmallObjectsd("pred"), largest()], "differ in connectivity"),
        ([SIGMOID, HALF, largest(num_components=2)], "several components"),
        ([ARGMAX, largest(applied_labels=[1])], "chosen labels"),
        ([ARGMAX, each(KeepLargestConnectedComponent([1]))], "chosen labels"),
        ([ARGMAX, each(torch.abs)], "holds EachClassd"),
        ([ARGMAX, RemoveSmallObjectsd("pred")], "hold RemoveSmallObjects in monai_seg.transforms.EachClassd"),
    ],
)
def test_cleaning_that_would_differ_is_refused(steps, text):
    with pytest.raises(NotStreamableError, match=text):
        cleaning_of(Compose(steps))


@pytest.mark.filterwarnings("ignore:.*min_size.*:FutureWarning")
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    "steps",
    [
        [largest()],
        [largest(connectivity=1)],
        [RemoveSmallObjectsd("pred", 6)],
        [RemoveSmallObjectsd("pred", 6, connectivity=2), largest()],
    ],
    ids=["largest", "largest along axes", "small", "small, then largest"],
)
def test_cleaning_gives_what_the_transforms_give(steps, seed, tmp_path):
    noise = np.random.default_rng(seed).uniform(size=(40, 30)) < 0.45
    wanted = Compose(steps)({"pred": torch.from_numpy(noise[None].astype(np.float32))})["pred"][0].numpy()
    rows = RowFile(tmp_path / "map", 40, 30, np.uint8)
    rows.append(noise)
    cleaning_of(Compose([SIGMOID, HALF, *steps])).clean(rows)
    assert np.array_equal(next(rows.bands())[1], wanted)
    rows.close()


@pytest.mark.parametrize("step", [RemoveSmallObjectsd("pred"), largest()], ids=["small", "largest"])
def test_what_monai_does_to_several_masks_at_once_is_refused(step):
    with pytest.raises(NotStreamableError, match=r"in monai_seg\.transforms\.EachClassd"):
        cleaning_of(Compose([SIGMOID, HALF, step]), is_multi_label=True)
    assert cleaning_of(Compose([SIGMOID, HALF, each(step.converter)]), is_multi_label=True)


@pytest.mark.filterwarnings("ignore:.*min_size.*:FutureWarning")
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("is_multi_label", [False, True], ids=["label map", "masks"])
@pytest.mark.parametrize(
    "steps",
    [
        [each(KeepLargestConnectedComponent())],
        [each(RemoveSmallObjects(6))],
        [each(RemoveSmallObjects(6, connectivity=2)), each(KeepLargestConnectedComponent())],
    ],
    ids=["largest", "small", "small, then largest"],
)
def test_cleaning_of_several_classes_gives_what_the_transforms_give(steps, is_multi_label, seed, tmp_path):
    draw = np.random.default_rng(seed)
    maps = draw.uniform(size=(3, 40, 30)) < 0.45 if is_multi_label else draw.integers(0, 3, (1, 40, 30))
    wanted = Compose(steps)({"pred": torch.from_numpy(maps.astype(np.float32))})["pred"].numpy()
    cleaning = cleaning_of(Compose([*([SIGMOID, HALF] if is_multi_label else [ARGMAX]), *steps]), is_multi_label)
    for index, label_map in enumerate(maps):
        rows = RowFile(tmp_path / str(index), 40, 30, np.uint8)
        rows.append(label_map)
        cleaning.clean(rows)
        assert np.array_equal(next(rows.bands())[1], wanted[index])
        rows.close()


@pytest.mark.parametrize(("steps", "wanted"), [([SIGMOID, HALF], True), ([HALF], True), ([ARGMAX], False), ([], False)])
def test_a_threshold_keeps_the_channels(steps, wanted):
    assert keeps_channels(Compose(steps)) is wanted
