"""Shrinking with anti-aliasing: true to the edge where MONAI darkens it, equal to scikit-image, and invertible."""

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.transforms import Compose, Resize
from skimage.transform import resize

from monai_seg.transforms import EdgeTrueResize, EdgeTrueResized


@pytest.mark.parametrize("size", [(613, 500), (2000, 1500)], ids=["613 pixels", "2000 pixels"])
def test_white_stays_white_where_monai_darkens_the_edge(size):
    white = torch.ones(1, *size)
    options = {"spatial_size": 256, "size_mode": "longest", "mode": "bilinear", "anti_aliasing": True}
    assert torch.allclose(EdgeTrueResize(**options)(white), torch.ones(()), atol=1e-5)
    assert Resize(**options)(white).min() < 0.9


@pytest.mark.parametrize("shape", [(60, 45), (30, 24, 18)], ids=["2D", "3D"])
def test_equal_to_scikit_image(shape):
    image = np.random.default_rng(0).random(shape, dtype=np.float32)
    wanted = resize(image, [length // 3 for length in shape], order=1, mode="edge", anti_aliasing=True)
    found = EdgeTrueResize(
        [length // 3 for length in shape], mode="bilinear" if len(shape) == 2 else "trilinear", anti_aliasing=True
    )(torch.from_numpy(image)[None])
    assert np.abs(found[0].numpy() - wanted).max() < 1e-5


@pytest.mark.parametrize("anti_aliasing", [True, False])
def test_without_shrinking_it_is_monais(anti_aliasing):
    image = torch.rand(2, 20, 31, generator=torch.Generator().manual_seed(0))
    options = {"spatial_size": (40, 62), "mode": "bilinear", "anti_aliasing": anti_aliasing}
    assert torch.equal(EdgeTrueResize(**options)(image), Resize(**options)(image))


def test_label_keeps_its_values_and_all_is_inverted():
    image = MetaTensor(torch.rand(3, 90, 64), meta={"filename_or_obj": "a.png"})
    label = MetaTensor((torch.arange(90 * 64).view(1, 90, 64) % 7 > 3).float())
    chain = Compose(
        EdgeTrueResized(["image", "label"], 32, "longest", mode=["bilinear", "nearest"], anti_aliasing=[True, False])
    )
    small = chain({"image": image, "label": label})
    assert small["image"].shape == (3, 32, 23)
    assert small["image"].meta["filename_or_obj"] == "a.png"
    assert set(small["label"].unique().tolist()) == {0.0, 1.0}
    assert torch.equal(torch.as_tensor(small["label"]), torch.as_tensor(Resize(32, "longest", "nearest")(label)))
    back = chain.inverse(small)
    assert back["image"].shape == (3, 90, 64)
    assert back["label"].shape == (1, 90, 64)


def test_own_width_of_the_gaussian():
    step = torch.zeros(1, 64, 64)
    step[..., 32:] = 1
    narrow, wide = (
        EdgeTrueResize((16, 16), mode="bilinear", anti_aliasing=True, anti_aliasing_sigma=sigma)(step)
        for sigma in (0.1, 6.0)
    )
    assert narrow[0, 8, 7] < 0.05
    assert 0.35 < wide[0, 8, 7] < 0.5
