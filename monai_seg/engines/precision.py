"""Which number format the network computes in, chosen by what the processor really has."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from monai.inferers import Inferer, SimpleInferer

from monai_seg.engines.distribution import world_size
from monai_seg.networks.small_volumes import small_volumes_in_float32


def autocast_dtype(amp: str | bool, device: torch.device) -> torch.dtype | None:
    """The lower precision to compute in, or None for float32.

    Args:
        amp: ``"auto"`` takes bfloat16 where the hardware multiplies it, float16 on older GPUs, and float32 on other
            processors; ``True`` insists on a lower precision; ``False`` gives float32.
        device: where the network computes.

    Returns:
        ``torch.bfloat16``, ``torch.float16`` (needs a gradient scaler) or None.

    Raises:
        ValueError: ``amp`` is none of these.
    """
    if amp not in ("auto", True, False):
        raise ValueError(f"amp is {amp!r}; give auto, true or false")
    amp = amp if amp == "auto" else bool(amp)  # 0 and 1, as a command line may give them
    if amp is False:
        return None
    if device.type == "cuda":
        # Emulated bfloat16 (older GPUs) is slower than float16.
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16
    if device.type == "cpu":
        return torch.bfloat16 if amp is True or _cpu_multiplies_bfloat16() else None
    return torch.float16 if amp is True else None


def _cpu_multiplies_bfloat16() -> bool:
    # Without these instructions oneDNN falls back to a reference kernel: a 3D convolution was measured at 200 times
    # the time of float32.
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()


class AutocastInferer(Inferer):
    """Any inferer, with the network in a lower precision and the prediction back in float32.

    MONAI's engines autocast on CUDA alone and leave ``amp`` without effect elsewhere. The loss and all that comes
    after it stay in float32: sums over a volume lose their last digits in half precision.

    Args:
        inferer: how to call the network, None for a plain call.
        dtype: from `autocast_dtype`; None computes in float32.
    """

    def __init__(self, inferer: Inferer | None, dtype: torch.dtype | None) -> None:
        super().__init__()
        self.inferer, self.dtype = inferer or SimpleInferer(), dtype

    def __call__(self, inputs: torch.Tensor, network: torch.nn.Module, *args: Any, **kwargs: Any) -> Any:
        context: AbstractContextManager = nullcontext()
        if self.dtype is not None:
            context = torch.autocast(_first_of(inputs).device.type, self.dtype)
        with context:
            return _to_float32(self.inferer(inputs, network, *args, **kwargs))


def _first_of(inputs: Any) -> torch.Tensor:
    return inputs if isinstance(inputs, torch.Tensor) else inputs[0]  # images of several sizes


def _to_float32(prediction: Any) -> Any:
    if isinstance(prediction, (list, tuple)):  # deep supervision, or the objects of each image
        return type(prediction)(_to_float32(item) for item in prediction)
    if isinstance(prediction, dict):  # losses, or objects with boxes, labels and masks
        return {name: _to_float32(item) for name, item in prediction.items()}
    return prediction.float() if prediction.is_floating_point() else prediction


def prepare_network(
    network: torch.nn.Module, device: torch.device, channels_last: bool = False, compile: bool = False
) -> torch.nn.Module:
    """Move a network to its device, in the memory format and the mode that suit it, shared by all ranks.

    Args:
        network: from the configuration, on the CPU.
        device: where to compute.
        channels_last: store features last; pays with batch norm in 2D and with small 3D networks on CPUs, measure it.
        compile: run ``torch.compile``; what cannot be compiled runs eagerly, with a notice in the log.

    Returns:
        The same network, wrapped for gradient exchange where there are several processes.
    """
    network = network.to(device)
    if channels_last:
        is_3d = any(parameter.ndim == 5 for parameter in network.parameters())
        network = network.to(memory_format=torch.channels_last_3d if is_3d else torch.channels_last)
    if device.type == "cpu" and not compile:
        small_volumes_in_float32(network)
    if compile:
        torch._dynamo.config.suppress_errors = True
        network.compile(dynamic=False)  # with symbolic shapes the compiler stops on some networks
    if world_size() == 1:
        return network
    # A one-GPU machine under torchrun and the CPU take no device_ids.
    ids = [device.index] if device.type == "cuda" else None
    return torch.nn.parallel.DistributedDataParallel(network, device_ids=ids)


def stop_compiling(network: torch.nn.Module) -> bool:
    """Let a compiled network run eagerly from now on.

    Returns:
        Whether it was compiled.
    """
    module = bare(network)
    was_compiled = module._compiled_call_impl is not None
    module._compiled_call_impl = None
    return was_compiled


def bare(network: torch.nn.Module) -> torch.nn.Module:
    """The network as the configuration made it, without the wrapper of several processes."""
    return network.module if isinstance(network, torch.nn.parallel.DistributedDataParallel) else network
