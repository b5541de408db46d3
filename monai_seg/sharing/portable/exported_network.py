"""A network that comes as a program of ``torch.export``: tensors in, tensors out, and no code of its own."""

from __future__ import annotations

from typing import Any

import torch
from monai.data import MetaTensor
from monai.utils.type_conversion import convert_to_dst_type


class ExportedNetwork(torch.nn.Module):
    """The program of a file as a network that MONAI's engines run.

    Args:
        file: that ``torch.export.save`` wrote.
        device: to run on.

    Shape:
        image ``(B, C, H, W[, D])``, float32.
    """

    def __init__(self, file: str, device: str | torch.device = "cpu") -> None:
        super().__init__()
        self.program: Any
        program = torch.export.load(file).module().to(device)
        # Not a child: a program is made for evaluation and refuses to be told so by eval().
        object.__setattr__(self, "program", program)

    def forward(self, image: torch.Tensor) -> Any:
        if not isinstance(image, MetaTensor):
            return self.program(image)
        output = self.program(image.as_tensor())
        # What is inverted afterwards is what was done to the image, as its prediction is to tell too.
        return convert_to_dst_type(output, image)[0] if isinstance(output, torch.Tensor) else output
