"""Sliding windows over a streamed scene: the numbers of MONAI's, reading each row once, holding one row of tiles."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.inferers import sliding_window_inference

from monai_seg.inference.streamed import Window, stream_prediction

SIZES = [(150, 170), (64, 48), (65, 48), (10, 300), (300, 10), (3, 5), (1, 1)]


def scene(height: int, width: int, channels: int = 3) -> torch.Tensor:
    return torch.rand(channels, height, width, generator=torch.Generator().manual_seed(height * width))


@pytest.fixture
def network():
    torch.manual_seed(0)
    # More than a pixel wide and not symmetric, so that borders and places matter.
    layers = torch.nn.Conv2d(3, 4, 5, padding=2), torch.nn.ReLU(), torch.nn.Conv2d(4, 2, 3, padding=1)
    return torch.nn.Sequential(*layers)


def streamed(image: torch.Tensor, window: Window, network) -> torch.Tensor:
    rows = stream_prediction(lambda a, b: image[:, a:b], tuple(image.shape[1:]), window, network)
    return torch.cat(list(rows), dim=1)


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize(
    "options",
    [
        {"overlap": (0.5, 0.5), "mode": "gaussian"},
        {"overlap": (0.25, 0.6), "mode": "gaussian", "sigma_scale": (0.2, 0.1)},
        {"overlap": (0.0, 0.0), "mode": "constant"},
        {"overlap": (0.9, 0.9), "mode": "gaussian", "padding_mode": "replicate"},
        {"overlap": (0.5, 0.5), "mode": "constant", "cval": -2.0},
    ],
    ids=["plain", "uneven", "no overlap", "dense", "padding value"],
)
def test_the_numbers_are_those_of_the_whole_image(size, options, network):
    image = scene(*size)
    found = streamed(image, Window((64, 48), **options, batch_size=3), network)
    with torch.no_grad():
        wanted = sliding_window_inference(image[None], (64, 48), 4, network, **options)[0]
    assert found.shape == wanted.shape
    np.testing.assert_allclose(found.numpy(), wanted.numpy(), rtol=0, atol=1e-5)


def test_each_row_is_read_once_and_handed_out_as_soon_as_no_tile_reaches_it(network):
    image, read, lags = scene(400, 100), [], []

    def rows(start: int, stop: int) -> torch.Tensor:
        read.extend(range(start, stop))
        return image[:, start:stop]

    done = 0
    for part in stream_prediction(rows, (400, 100), Window((64, 48)), network):
        done += part.shape[1]
        lags.append(len(read) - done)
    assert read == list(range(400))
    assert done == 400
    assert max(lags) < 64


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"roi_size": (64, -1)}, r"roi_size is \(64, -1\)"),
        ({"roi_size": (64, 64, 64)}, "height and width of a tile"),
        ({"roi_size": (8, 8), "overlap": (1.0, 0.5)}, r"overlap is \(1\.0, 0\.5\)"),
        ({"roi_size": (8, 8), "batch_size": 0}, "batch_size is 0"),
    ],
)
def test_impossible_windows(options, text):
    with pytest.raises(ValueError, match=text):
        Window(**options)


def test_a_network_that_changes_the_size_is_refused():
    with pytest.raises(ValueError, match=r"turns tiles of shape \(4, 3, 64, 48\) into \(4, 3, 32, 24\)"):
        streamed(scene(64, 200), Window((64, 48)), torch.nn.AvgPool2d(2))


def test_a_scene_without_pixels_is_refused(network):
    with pytest.raises(ValueError, match="the scene has 0 x 5 pixels"):
        streamed(torch.zeros(3, 0, 5), Window((64, 48)), network)
