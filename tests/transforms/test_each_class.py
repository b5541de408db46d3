"""Each class cleaned up by itself: what MONAI's transforms do to one mask, whatever the form of the labels."""

from __future__ import annotations

import numpy as np
import pytest
import skimage
import torch
from hypothesis import given
from hypothesis import strategies as st
from monai.data import MetaTensor
from monai.transforms import FillHoles, KeepLargestConnectedComponent, RemoveSmallObjects
from packaging.version import Version
from scipy import ndimage

from monai_seg.transforms import EachClass, EachClassd

pytestmark = pytest.mark.filterwarnings("ignore:.*min_size.*:FutureWarning")
LARGEST = KeepLargestConnectedComponent()
# In MONAI's hands scikit-image 0.26 takes objects of min_size itself away too.
KEPT = 4 if Version(skimage.__version__) < Version("0.26") else 5


def town() -> torch.Tensor:
    """Masks of two classes that overlap: a house and a speck; a tree on the house, and a larger one beside it."""
    masks = torch.zeros(2, 8, 8)
    masks[0, :4, :4] = 1
    masks[0, 7, 0] = 1
    masks[1, 1, 1] = 1
    masks[1, 4:7, 5:7] = 1
    return masks


@pytest.mark.parametrize("transform", [RemoveSmallObjects(3), LARGEST], ids=["small", "largest"])
def test_overlapping_classes_by_hand(transform):
    expected = town()
    expected[0, 7, 0] = expected[1, 1, 1] = 0
    assert torch.equal(EachClass(transform)(town()), expected)


def test_small_objects_of_a_label_map_by_hand():
    labels = torch.tensor([[[1, 1, 0, 2, 2], [1, 1, 0, 2, 2], [0, 0, 0, 0, 0], [2, 0, 0, 0, 1]]])
    cleaned = EachClass(RemoveSmallObjects(2))(labels)
    # Each class has more pixels than that; the specks are small all the same.
    assert cleaned.tolist() == [[[1, 1, 0, 2, 2], [1, 1, 0, 2, 2], [0] * 5, [0] * 5]]
    assert cleaned.dtype == labels.dtype


def kept_by_scipy(mask: np.ndarray, choose) -> np.ndarray:
    numbers, count = ndimage.label(mask, np.ones((3, 3)))
    sizes = ndimage.sum_labels(mask, numbers, range(count + 1))
    return mask & choose(sizes)[numbers]


@given(seed=st.integers(0, 999), is_multi_label=st.booleans(), share=st.sampled_from([0.2, 0.45, 0.7]))
def test_equal_to_scipy_class_by_class(seed, is_multi_label, share):
    draw = np.random.default_rng(seed)
    if is_multi_label:
        labels = draw.uniform(size=(3, 12, 9)) < share
        masks = labels
    else:
        labels = draw.choice(4, (1, 12, 9), p=[1 - share, share / 2, share / 4, share / 4])
        masks = labels == np.arange(1, 4)[:, None, None]
    cleaned = EachClass(RemoveSmallObjects(4, connectivity=2))(torch.from_numpy(labels.astype(np.float32))).numpy()
    for index, mask in enumerate(masks):
        found = cleaned[index] > 0 if is_multi_label else cleaned[0] == index + 1
        assert np.array_equal(found, kept_by_scipy(mask, lambda sizes: sizes >= KEPT))


def test_the_dictionary_form_keeps_what_the_tensor_knows_and_what_it_was_given():
    given_masks = MetaTensor(town(), meta={"filename_or_obj": "a.png"})
    sample = EachClassd("pred", LARGEST)({"pred": given_masks, "label": 3})
    assert isinstance(sample["pred"], MetaTensor)
    assert sample["pred"].meta["filename_or_obj"] == "a.png"
    assert torch.equal(given_masks.as_tensor(), town())
    assert sample["label"] == 3


def test_volumes_and_empty_classes():
    labels = torch.zeros(2, 3, 3, 3, dtype=torch.uint8)
    labels[1, 0, 0, 0] = labels[1, 2, 2, 1:] = 1
    cleaned = EachClass(LARGEST)(labels)
    assert cleaned.sum() == 2
    assert cleaned[1, 2, 2].tolist() == [0, 1, 1]


def test_what_adds_pixels_is_refused():
    ring = torch.ones(1, 3, 3)
    ring[0, 1, 1] = 0
    with pytest.raises(ValueError, match="FillHoles adds pixels"):
        EachClass(FillHoles())(ring)
