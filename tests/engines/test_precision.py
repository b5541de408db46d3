"""Number formats: which one each machine gets, and that the network really computes in it."""

from __future__ import annotations

import pytest
import torch
from monai.inferers import SlidingWindowInferer

from monai_seg.engines import AutocastInferer, autocast_dtype, prepare_network
from monai_seg.engines.precision import bare

BF16, FP16 = torch.bfloat16, torch.float16


@pytest.mark.parametrize(
    ("amp", "device", "capable", "expected"),
    [
        ("auto", "cpu", True, BF16),
        ("auto", "cpu", False, None),
        (True, "cpu", False, BF16),
        (False, "cpu", True, None),
        ("auto", "cuda", True, BF16),
        ("auto", "cuda", False, FP16),
        (True, "cuda", False, FP16),
        (False, "cuda", True, None),
        ("auto", "mps", True, None),
        (True, "mps", True, FP16),
        (0, "cpu", True, None),
        (1, "cpu", False, BF16),
    ],
)
def test_format_by_device_and_capability(monkeypatch, amp, device, capable, expected):
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: capable)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
    monkeypatch.setattr(
        torch.cuda, "is_bf16_supported", lambda including_emulation=True: capable or including_emulation
    )
    assert autocast_dtype(amp, torch.device(device)) is expected


def test_tile_instructions_alone_are_enough(monkeypatch):
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: True)
    assert autocast_dtype("auto", torch.device("cpu")) is BF16


@pytest.mark.parametrize("amp", ["true", "bf16", None, 2])
def test_any_other_word_is_refused(amp):
    with pytest.raises(ValueError, match=r"amp is .*; give auto, true or false"):
        autocast_dtype(amp, torch.device("cpu"))


class Watching(torch.nn.Module):
    """A convolution that notes the format it came out in."""

    def __init__(self):
        super().__init__()
        self.layer, self.seen = torch.nn.Conv2d(1, 2, 1), []

    def forward(self, image):
        result = self.layer(image)
        self.seen.append(result.dtype)
        return result


@pytest.mark.parametrize("dtype", [BF16, None])
@pytest.mark.parametrize(
    "inferer", [None, SlidingWindowInferer(roi_size=(4, 4), overlap=0.5)], ids=["plain", "windows"]
)
def test_the_network_computes_in_the_format_and_gives_float32(dtype, inferer):
    network = Watching()
    image = torch.linspace(0, 1, 48).reshape(1, 1, 8, 6)
    prediction = AutocastInferer(inferer, dtype)(image, network)
    assert set(network.seen) == {dtype or torch.float32}
    assert prediction.dtype == torch.float32
    torch.testing.assert_close(prediction, network.layer(image), rtol=0.02, atol=0.02)
    assert network.layer.weight.dtype == torch.float32
    assert not torch.is_autocast_enabled("cpu")


def test_every_output_of_deep_supervision_comes_as_float32():
    class Deep(Watching):
        def forward(self, image):
            result = super().forward(image)
            return [result, (result,)]

    first, (second,) = AutocastInferer(None, BF16)(torch.ones(1, 1, 4, 4), Deep())
    assert first.dtype == second.dtype == torch.float32


@pytest.mark.parametrize(
    ("layer", "memory_format", "shape"),
    [
        (torch.nn.Conv2d, torch.channels_last, (1, 2, 4, 4)),
        (torch.nn.Conv3d, torch.channels_last_3d, (1, 2, 4, 4, 4)),
    ],
)
def test_prepared_network_is_the_same_function_in_another_layout(layer, memory_format, shape):
    network = layer(2, 3, 3)
    image = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    before = network(image).detach()
    prepared = prepare_network(network, torch.device("cpu"), channels_last=True)
    assert prepared is network is bare(prepared)
    assert prepared.weight.is_contiguous(memory_format=memory_format)
    torch.testing.assert_close(prepared(image), before)


def test_without_channels_last_the_layout_stays():
    network = torch.nn.Conv2d(2, 3, 3)
    assert prepare_network(network, torch.device("cpu")).weight.is_contiguous()
