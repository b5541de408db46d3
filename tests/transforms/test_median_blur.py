"""Median filters: all backends equal SciPy's bit for bit, in every dtype, size and number of dimensions."""

import itertools

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.transforms import MedianSmooth
from scipy import ndimage

from monai_seg.transforms import MedianBlur, MedianBlurd
from monai_seg.transforms import median_blur as module
from monai_seg.transforms.median_blur import fastest_backend, select

DTYPES = [torch.uint8, torch.uint16, torch.int16, torch.int32, torch.float32, torch.float64]


def picture(*shape, dtype=torch.float32, seed=0, top=50):
    """Few different values, so that windows hold equal ones too."""
    return torch.from_numpy(np.random.default_rng(seed).integers(0, top, shape)).to(dtype)


def oracle(image, size):
    return np.stack([ndimage.median_filter(channel, size=size, mode="nearest") for channel in image.numpy()])


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("size", [1, 3, 5, 9, (3, 7), (1, 5)], ids=str)
@pytest.mark.parametrize("shape", [(2, 13, 17), (1, 3, 2), (1, 1, 1)], ids=str)
def test_equal_to_scipy_at_the_border_too(shape, size, dtype):
    image = picture(*shape, dtype=dtype)
    expected = oracle(image, size)
    backends = ["network", "scipy"] + ["histogram"] * (dtype == torch.uint8)
    for backend in [*backends, None]:
        blurred = MedianBlur(size, backend)(image)
        assert blurred.dtype == dtype
        assert np.array_equal(blurred.numpy(), expected), backend


@pytest.mark.parametrize("size", [3, (3, 1, 5)], ids=str)
def test_volumes(size):
    volume = picture(2, 7, 5, 6)
    assert np.array_equal(MedianBlur(size, "network")(volume).numpy(), oracle(volume, size))


def test_strips_join_without_a_seam(monkeypatch):
    monkeypatch.setattr(module, "STRIP_CPU", 40)
    image = picture(1, 23, 19)
    assert np.array_equal(MedianBlur(5)(image).numpy(), oracle(image, 5))


def test_same_values_as_monai():
    image = picture(3, 12, 15, top=10_000)
    assert torch.equal(MedianBlur(3)(image).as_tensor(), MedianSmooth(1)(image).as_tensor())


@pytest.mark.parametrize("dtype", [torch.bool, torch.float16, torch.bfloat16], ids=str)
def test_narrow_dtypes(dtype):
    image = picture(1, 9, 8, dtype=dtype, top=2)
    blurred = MedianBlur(3)(image)
    assert blurred.dtype == dtype
    assert np.array_equal(blurred.float().numpy(), oracle(image.float(), 3))


def test_infinite_values_pass():
    image = picture(1, 6, 6)
    image[0, 2, 2], image[0, 4, 1] = torch.inf, -torch.inf
    assert np.array_equal(MedianBlur(3)(image).numpy(), oracle(image, 3))


@pytest.mark.parametrize("count", range(1, 8))
def test_the_network_finds_every_rank_of_every_order(count):
    """By the 0-1 principle (Knuth 5.3.4) a network that sorts all sequences of 0 and 1 sorts all sequences."""
    for zeros_and_ones in itertools.product((0, 1), repeat=count):
        values = [torch.tensor(value) for value in zeros_and_ones]
        for rank in range(count):
            assert select(values, (rank,))[0] == sorted(zeros_and_ones)[rank]


def test_wide_windows_leave_the_network():
    byte, exact = torch.zeros(1, 9, 9, dtype=torch.uint8), torch.zeros(1, 9, 9)
    assert [fastest_backend(byte, (size, size)) for size in (3, 11, 13)] == ["network", "network", "histogram"]
    assert [fastest_backend(exact, (size, size)) for size in (5, 13)] == ["network", "scipy"]
    assert fastest_backend(torch.zeros(1, 9, 9, 9, dtype=torch.uint8), (5, 5, 5)) == "scipy"


def test_meta_data_and_other_entries_stay():
    image = MetaTensor(picture(1, 5, 6), affine=torch.diag(torch.tensor([2.0, 3, 1, 1])), meta={"name": "x"})
    sample = MedianBlurd(["image", "other"], size=3, allow_missing_keys=True)({"image": image, "label": 1})
    assert isinstance(sample["image"], MetaTensor)
    assert torch.equal(sample["image"].affine, image.affine)
    assert sample["image"].meta["name"] == "x"
    assert sample["label"] == 1
    assert np.array_equal(sample["image"].numpy(), oracle(image.as_tensor(), 3))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((4,), "size is 4; give odd widths"),
        ((-1,), "size is -1"),
        (((3, 3, 3),), r"size is \(3, 3, 3\), but the image has 2 spatial axes"),
        ((3, "opencv"), "backend is 'opencv'; give one of network"),
        ((3, "histogram"), "the image is 2D and float32; histograms filter 2D images of uint8 only"),
    ],
)
def test_refusals(arguments, message):
    with pytest.raises(ValueError, match=message):
        MedianBlur(*arguments)(torch.zeros(1, 4, 4))
