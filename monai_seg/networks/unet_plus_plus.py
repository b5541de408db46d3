"""UNet++ whose heads can be used alone: MONAI's network, trained with all heads and pruned to one of them."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from monai.networks.nets import BasicUNetPlusPlus

from monai_seg.networks.mirror_padding import crop_to, mirror_to_multiple

_DEPTH = 4  # levels below the full size, and so many heads
_STRIDE = 2**_DEPTH


class UNetPlusPlus(BasicUNetPlusPlus):
    """MONAI's UNet++ that computes what the chosen head needs, and nothing else.

    The heads 1 to 4 sit on the nested nodes 0_1 to 0_4, all at full size. Head 1 takes two levels of the encoder, head
    4 all five: a smaller one costs less and sees less far. The weights have MONAI's names and go both ways.

    **With deep supervision**: in training mode a list of four logits, head 4 first. The loss that averages over them is
    ``DeepSupervisionLoss(loss, weights=[0.25] * 4)``. In evaluation mode there is one tensor, that of `head`, and the
    same wrapped loss takes it as the loss alone. ``network.head = 2`` chooses another one at any time.

    **Without**: one tensor in both modes, that of head 4. The other heads are not trained and cannot be chosen; their
    weights are there for the sake of the names, without a gradient.

    Args:
        spatial_dims: 2 or 3.
        in_channels: of the image.
        out_channels: of the logits.
        features: of the encoder's five levels, finest first, and of node 0_4.
        deep_supervision: train all heads.
        act, norm, bias, dropout: of the convolutions, as in MONAI.
        upsample: ``"deconv"``, ``"pixelshuffle"`` or ``"nontrainable"``.
        head: that evaluation mode gives, 1 to 4.

    Shape:
        image ``(B, in_channels, H, W)`` or ``(B, in_channels, H, W, D)`` of any size. Gives ``(B, out_channels, ...)``
        of the same size. For sizes that are no multiple of 16 the decoder repeats the edge, as MONAI's. Smaller images,
        with an axis below 16 or all axes below 32, would leave the deepest level no pixel or one, and a norm needs two:
        they are padded inside to multiples of 32 by mirroring, whatever the head, and the result is cropped back.

    Raises:
        ValueError: an option is none of these, the head is not trained, or an image has another number of channels.

    Source:
        arXiv:1807.10165, where choosing a head is called pruning (fast mode). Tests compare with MONAI's network.
    """

    def __init__(
        self,
        spatial_dims: int = 3,
        in_channels: int = 1,
        out_channels: int = 2,
        features: Sequence[int] = (32, 32, 64, 128, 256, 32),
        deep_supervision: bool = False,
        act: str | tuple = ("LeakyReLU", {"negative_slope": 0.1, "inplace": True}),
        norm: str | tuple = ("instance", {"affine": True}),
        bias: bool = True,
        dropout: float | tuple = 0.0,
        upsample: str = "deconv",
        head: int = _DEPTH,
    ) -> None:
        if spatial_dims not in (2, 3):
            raise ValueError(f"spatial_dims is {spatial_dims}; give 2 or 3")
        super().__init__(
            spatial_dims, in_channels, out_channels, features, deep_supervision, act, norm, bias, dropout, upsample
        )
        self.spatial_dims, self.in_channels = spatial_dims, in_channels
        self.trained_heads = tuple(range(1, _DEPTH + 1)) if deep_supervision else (_DEPTH,)
        for untrained in set(range(1, _DEPTH + 1)) - set(self.trained_heads):
            # DistributedDataParallel waits in vain for a gradient of parameters that take no part.
            self.get_submodule(f"final_conv_0_{untrained}").requires_grad_(False)
        self.head = head

    @property
    def head(self) -> int:
        """Number of the head whose logits evaluation mode gives."""
        return self._head

    @head.setter
    def head(self, head: int) -> None:
        if head not in self.trained_heads:
            known = " or ".join(map(str, self.trained_heads))
            mend = "" if self.deep_supervision else "; to choose among heads, train them all with deep_supervision"
            raise ValueError(f"head is {head}; this network has head {known}{mend}")
        self._head = head

    def forward(self, image: torch.Tensor) -> torch.Tensor | list[torch.Tensor]:
        if image.ndim != 2 + self.spatial_dims or image.shape[1] != self.in_channels:
            axes = ", ".join(("height", "width", "depth")[: self.spatial_dims])
            raise ValueError(
                f"the image has shape {tuple(image.shape)}; the network takes (batch, {self.in_channels}, {axes}): "
                "mend spatial_dims or in_channels, or the transforms that load the image"
            )
        size = image.shape[2:]
        is_small = _is_too_small(size)
        padded = _mirrored(image) if is_small else image
        supervises = self.training and self.deep_supervision
        heads = self.trained_heads[::-1] if supervises else (self.head,)
        nodes = self._finest_nodes(padded, max(heads))
        logits = [self.get_submodule(f"final_conv_0_{head}")(nodes[head]) for head in heads]
        outputs = [_cropped(item, size) for item in logits] if is_small else logits
        return outputs if supervises else outputs[0]

    def _finest_nodes(self, image: torch.Tensor, head: int) -> list[torch.Tensor]:
        """Features of the nodes 0_0 to 0_head: row by row the nodes so far, extended by one diagonal per level."""
        rows = [[self.conv_0_0(image)]]
        for level in range(1, head + 1):
            rows.append([self.get_submodule(f"conv_{level}_0")(rows[-1][0])])
            for row in reversed(range(level)):
                node = self.get_submodule(f"upcat_{row}_{level - row}")
                rows[row].append(node(rows[row + 1][-1], torch.cat(rows[row], dim=1)))
        return rows[0]

    def pruned(self) -> UNetPlusPlus:
        """A copy without the parameters that `head` does not need, for export; it gives one tensor in both modes.

        Returns:
            The network, in the mode of this one. Its state dict is the part of MONAI's that is used, and `head` is the
            only one left.
        """
        lean = copy.deepcopy(self)
        for name in dict(self.named_children()):
            kind, row, column = name.rsplit("_", 2)
            is_needed = int(column) == self.head if kind == "final_conv" else int(row) + int(column) <= self.head
            if not is_needed:
                delattr(lean, name)
        lean.deep_supervision, lean.trained_heads = False, (self.head,)
        return lean


def _is_too_small(size: Sequence[int]) -> bool:
    deepest = [length // _STRIDE for length in size]
    return min(deepest) < 1 or max(deepest) < 2  # a norm over a single pixel is none


def _mirrored(image: torch.Tensor) -> torch.Tensor:
    padded = mirror_to_multiple(image, 2 * _STRIDE)
    if image.ndim == 5:  # the function pads two axes: the first one comes to the end for a second turn
        padded = mirror_to_multiple(padded.transpose(2, -1), 2 * _STRIDE).transpose(2, -1)
    return padded.contiguous()


def _cropped(padded: torch.Tensor, size: Sequence[int]) -> torch.Tensor:
    if len(size) == 3:  # the other way round: what is a multiple already is left as it is
        padded = crop_to(padded.transpose(2, -1), padded.shape[-2], size[0], 2 * _STRIDE).transpose(2, -1)
    return crop_to(padded, size[-2], size[-1], 2 * _STRIDE)
