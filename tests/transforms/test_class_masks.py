"""Classes from the values of mask files: label maps, overlapping masks, and what is refused."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from monai.data import MetaTensor
from monai.transforms import AsDiscrete, MapLabelValue

from monai_seg.transforms import ClassMasks, ClassMasksd

DTYPES = [torch.bool, torch.uint8, torch.uint16, torch.int16, torch.int64, torch.float16, torch.float32, torch.float64]


def test_overlapping_regions_by_hand():
    labels = torch.tensor([[[0, 1, 2], [3, 7, 255]]])  # 3: a tree over a building; 7 is of no class
    masks = ClassMasks([[1, 3], [2, 3, 255]], multi_label=True)(labels)
    assert masks.dtype == torch.uint8
    assert masks.tolist() == [[[0, 1, 0], [1, 0, 0]], [[0, 0, 1], [1, 0, 1]]]


def test_label_map_counts_classes_from_one_in_their_order():
    labels = torch.tensor([[[[0], [9]], [[4], [1]]]])  # a volume; class 2 is written as 4 and as 9
    label_map = ClassMasks([[1], [9, 4]])(labels)
    assert label_map.dtype == torch.uint8
    assert label_map.tolist() == [[[[0], [2]], [[2], [1]]]]


def test_zero_may_be_a_class():
    assert ClassMasks([[0]])(torch.tensor([[[0, 255]]])).tolist() == [[[1, 0]]]


@given(
    order=st.permutations(range(8)),
    cuts=st.tuples(st.integers(1, 3), st.integers(4, 6)),
    seed=st.integers(0, 99),
)
def test_label_map_equals_monais_and_its_one_hot_form_the_masks(order, cuts, seed):
    classes = [order[: cuts[0]], order[cuts[0] : cuts[1]]]  # the rest of the values is background
    labels = torch.from_numpy(np.random.default_rng(seed).integers(0, 8, (1, 5, 7)))
    target = [next((k for k, each in enumerate(classes, 1) if value in each), 0) for value in range(8)]
    expected = MapLabelValue(orig_labels=list(range(8)), target_labels=target)(labels)
    label_map = ClassMasks(classes)(labels)
    assert torch.equal(label_map, expected.to(torch.uint8))
    masks = ClassMasks(classes, multi_label=True)(labels)
    assert torch.equal(masks, AsDiscrete(to_onehot=3)(label_map)[1:].to(torch.uint8))


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_any_whole_dtype(dtype):
    labels = torch.tensor([[[0, 1], [1, 0]]]).to(dtype)
    assert ClassMasks([[1, 300]], multi_label=True)(labels).tolist() == [[[0, 1], [1, 0]]]


@pytest.mark.parametrize("multi_label", [False, True])
def test_dictionary_form_keeps_what_the_tensor_knows(multi_label):
    label = MetaTensor(torch.tensor([[[0.0, 1.0]]]), affine=torch.diag(torch.tensor([2.0, 3.0, 1.0, 1.0])))
    label.meta["filename_or_obj"] = "a.png"
    image = torch.rand(3, 1, 2)
    step = ClassMasksd(["label", "second"], [[1], [2]], multi_label=multi_label, allow_missing_keys=True)
    sample = step({"image": image, "label": label})
    assert isinstance(sample["label"], MetaTensor)
    assert sample["label"].meta["filename_or_obj"] == "a.png"
    assert torch.equal(sample["label"].affine, label.affine)
    assert sample["image"] is image
    assert label.tolist() == [[[0, 1]]]


def test_array_of_numpy():
    assert ClassMasks([[2]])(np.array([[[2, 1]]], np.uint16)).tolist() == [[[1, 0]]]


@pytest.mark.parametrize("wrong", [0.5, float("nan"), float("inf")])
def test_fractions_are_refused(wrong):
    with pytest.raises(ValueError, match="nearest neighbour"):
        ClassMasks([[1]])(torch.tensor([[[0.0, wrong]]]))


def test_colours_are_refused():
    with pytest.raises(ValueError, match="3 channels"):
        ClassMasks([[1]])(torch.zeros(3, 2, 2))


@pytest.mark.parametrize(
    ("class_values", "message"),
    [
        ([[1, 3], [2, 3]], "3 is under two classes"),
        ([1, 2], "one list of values per class"),
        ([], "at least one value"),
        ([[1], []], "at least one value"),
        ([[1.5]], "whole numbers"),
        ([[value] for value in range(256)], "256 classes"),
    ],
)
def test_impossible_classes_are_refused_at_construction(class_values, message):
    with pytest.raises(ValueError, match=message):
        ClassMasks(class_values)


def test_a_value_twice_in_one_class_is_once_in_it():
    assert ClassMasks([[1, 1]])(torch.tensor([[[1, 0]]])).tolist() == [[[1, 0]]]
