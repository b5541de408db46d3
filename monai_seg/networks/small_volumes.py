"""Keep convolutions of tiny volumes out of bfloat16 on a processor, where their gradients are wrong."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

_SMALLEST = 4  # voxels along an axis, from which on no wrong gradient was seen
_CONTEXT, _GUARDED = "_float32_context", "_small_volumes_in_float32"


def small_volumes_in_float32(network: nn.Module) -> nn.Module:
    """Make a network's 3D convolutions compute in float32 where their input is a few voxels small.

    oneDNN, as torch 2.14 brings it, reads memory that nobody has written when it takes the gradient of the weights of
    a ``Conv3d`` in bfloat16 whose input has 2 x 2 x 2 or 2 x 2 x 3 voxels: the bottom of many a U-Net, and the last
    level of a feature pyramid. Most gradients come out right, some are 1e30. On a GPU, in float32 and for larger inputs
    nothing changes.

    Args:
        network: changed in place, once.

    Returns:
        The same network.
    """
    for module in network.modules():
        if isinstance(module, (nn.Conv3d, nn.ConvTranspose3d)) and not hasattr(module, _GUARDED):
            module.register_forward_pre_hook(_enter)
            module.register_forward_hook(_leave, always_call=True)
            setattr(module, _GUARDED, True)
    return network


def _enter(module: nn.Module, inputs: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...] | None:
    image = inputs[0]
    if image.device.type != "cpu" or not torch.is_autocast_enabled("cpu") or min(image.shape[2:]) >= _SMALLEST:
        return None
    context = torch.autocast("cpu", enabled=False)
    context.__enter__()
    module.__dict__[_CONTEXT] = context
    return (image.float(), *inputs[1:])


def _leave(module: nn.Module, inputs: Any, outputs: Any) -> None:
    context = module.__dict__.pop(_CONTEXT, None)
    if context is not None:
        context.__exit__(None, None, None)
