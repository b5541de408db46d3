"""U-Net with a ResNet of torchvision as its encoder, for images of any size and any number of channels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from monai_seg.networks.decoder import Norm, UNetDecoder
from monai_seg.networks.encoder import ResNetEncoder
from monai_seg.networks.mirror_padding import crop_to, mirror_to_multiple

_STRIDE = 32
_SUPERVISED_LEVELS = 4  # strides 1, 2, 4 and 8; an object of the size of a coarser pixel is not worth a loss


class ResNet50UNet(nn.Module):
    """Segment 2D images with a pretrained ResNet and a U-Net decoder.

    **Input**: images scaled to [0, 1]. The network normalises them itself, with the mean and deviation that its weights
    were trained with: they belong to the weights, not to the data, and lie with them in the state dict (buffers
    ``mean`` and ``std``). So a recipe cannot get them wrong, and inference makes the network with ``pretrained=None``
    and finds the right values in the checkpoint. A network from scratch expects mean 0.5 and deviation 0.25.

    **Deep supervision**: in training mode a list of four logits, from the decoder's levels at strides 1, 2, 4 and 8,
    all at the full size of the image. The finest comes first, as MONAI's ``DeepSupervisionLoss(loss)`` weights them: 1,
    1/2, 1/4, 1/8 by default. The target needs no resizing. In evaluation mode there is one tensor, as ever, and the
    same wrapped loss takes it as the loss alone. The additional heads are part of the state dict.

    **Learning rates**: pretrained layers want smaller steps than the new ones, see `parameter_groups`.

    Args:
        in_channels: of the image. The pretrained stem is kept for any number: see `adapt_stem`.
        out_channels: of the logits.
        encoder: ``resnet18``, ``resnet34``, ``resnet50``, ``resnet101`` or ``resnet152``.
        pretrained: name of torchvision weights (``DEFAULT``, ``IMAGENET1K_V2``, ``ResNet50_Weights.IMAGENET1K_V1``),
            path of a state dict of a torchvision ResNet (``.pth``, ``.pt``, ``.safetensors``), or None for random
            weights and for those of a checkpoint that is loaded afterwards.
        frozen_stages: how many stages of the encoder neither train nor change their batch norm: 0 to 5, from the
            stem on. Of use with pretrained weights only.
        decoder_channels: of the five levels, coarsest first.
        norm: of the decoder: ``"batch"``, ``"instance"``, ``"group"`` or MONAI's pair of a name and its options.
            The encoder keeps its batch norm.
        dropout: share of the decoder's last features that are dropped whole before the logits, in training. It comes
            after the last norm, whose statistics it would falsify otherwise (arXiv:1801.05134).
        deep_supervision: give logits of several levels in training.

    Shape:
        image ``(B, in_channels, H, W)`` with any H and W from 1 on. Gives ``(B, out_channels, H, W)``, not resized: the
        image is padded inside to a multiple of 32 by mirroring, and the result is cropped back. To train on a batch of
        one image, batch norm needs more than 32 pixels along one side; so does, along both, what ``torch.export`` makes
        for sizes left open. ONNX takes all of them.

    Raises:
        ValueError: an option is none of these, or an image has another number of channels.
        WeightsUnavailableError, WeightsMismatchError: see `load_pretrained`.

    Source:
        arXiv:1505.04597, arXiv:1512.03385. Tests compare the encoder with torchvision's own network.
    """

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(
        self,
        in_channels: int = 3,
        out_channels: int = 1,
        encoder: str = "resnet50",
        pretrained: str | Path | None = None,
        frozen_stages: int = 0,
        decoder_channels: Sequence[int] = (256, 128, 64, 32, 16),
        norm: Norm = "batch",
        dropout: float = 0.0,
        deep_supervision: bool = False,
    ) -> None:
        super().__init__()
        if out_channels < 1:
            raise ValueError(f"out_channels is {out_channels}; give 1 or more")
        if not 0.0 <= dropout < 1.0:
            raise ValueError(f"dropout is {dropout}; give a share from 0 (nothing is dropped) to below 1")
        self.in_channels, self.deep_supervision = in_channels, deep_supervision
        self.encoder = ResNetEncoder(encoder, in_channels, pretrained, frozen_stages)
        self.register_buffer("mean", torch.tensor(self.encoder.mean).view(-1, 1, 1))
        self.register_buffer("std", torch.tensor(self.encoder.std).view(-1, 1, 1))
        self.decoder = UNetDecoder(self.encoder.channels, decoder_channels, norm)
        supervised = decoder_channels[::-1][: _SUPERVISED_LEVELS if deep_supervision else 1]
        self.heads = nn.ModuleList(
            nn.Sequential(nn.Dropout2d(dropout), nn.Conv2d(width, out_channels, kernel_size=1)) for width in supervised
        )

    def forward(self, image: torch.Tensor) -> torch.Tensor | list[torch.Tensor]:
        if image.ndim != 4 or image.shape[1] != self.in_channels:
            raise ValueError(
                f"the image has shape {tuple(image.shape)}; the network takes (batch, {self.in_channels}, height, "
                "width): mend in_channels, or the transforms that load the image"
            )
        height, width = image.shape[-2:]
        padded = mirror_to_multiple((image - self.mean) / self.std, _STRIDE)
        self._refuse_single_value(padded)
        levels = self.decoder(self.encoder(padded))
        heads = list(self.heads) if self.training else [self.heads[0]]
        logits = [head(level) for head, level in zip(heads, levels, strict=False)]
        full_size = [logits[0], *(_resize(coarse, logits[0]) for coarse in logits[1:])]
        outputs = [crop_to(item, height, width, _STRIDE) for item in full_size]
        return outputs if self.training and self.deep_supervision else outputs[0]

    def _refuse_single_value(self, padded: torch.Tensor) -> None:
        trains_at_the_bottom = self.training and self.encoder.frozen_stages < 5
        if trains_at_the_bottom and len(padded) == 1 and padded.shape[-2:] == (_STRIDE, _STRIDE):
            raise ValueError(
                f"one image of at most {_STRIDE} x {_STRIDE} pixels leaves batch norm a single value per channel\n"
                "  mend   train on larger images, or with a batch_size that leaves no last batch of one image"
            )

    def parameter_groups(self, encoder_lr: float, decoder_lr: float) -> list[dict[str, Any]]:
        """Two groups for an optimiser, each with its learning rate; frozen parameters are in neither.

        With several processes ask the network itself, not its wrapper: the parameters are the same.

        Args:
            encoder_lr: for the ResNet, often a tenth of the other one.
            decoder_lr: for all that starts from random weights.

        Example:
            >>> network = ResNet50UNet(encoder="resnet18", frozen_stages=1)
            >>> optimizer = torch.optim.AdamW(network.parameter_groups(encoder_lr=1e-4, decoder_lr=1e-3))
            >>> [group["lr"] for group in optimizer.param_groups]
            [0.0001, 0.001]
        """
        encoder = [parameter for parameter in self.encoder.parameters() if parameter.requires_grad]
        decoder = [*self.decoder.parameters(), *self.heads.parameters()]
        return [
            {"name": "encoder", "params": encoder, "lr": encoder_lr},
            {"name": "decoder", "params": decoder, "lr": decoder_lr},
        ]


def _resize(coarse: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    return F.interpolate(coarse, size=like.shape[-2:], mode="bilinear", align_corners=False)
