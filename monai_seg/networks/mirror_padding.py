"""Padding by reflection that works for an image of any size, however small."""

from __future__ import annotations

import torch


def mirror_to_multiple(image: torch.Tensor, multiple: int) -> torch.Tensor:
    """Pad height and width to the next multiple, evenly on both sides, by mirroring at the edge pixels.

    The edge pixel is repeated (NumPy's ``symmetric``), and where the image ends the mirror image is mirrored again, so
    that one pixel is enough; PyTorch's ``reflect`` refuses margins as wide as the image. There is no branch on the
    size: an exported network keeps working for all sizes.

    Args:
        image: to be padded.
        multiple: that both sizes of the result are divisible by.

    Shape:
        image ``(..., H, W)``, at least one pixel. Gives ``(..., H', W')``.

    Example:
        >>> mirror_to_multiple(torch.tensor([[1, 2, 3]]), 4).tolist()[0]
        [1, 2, 3, 3]
    """
    for axis in (-2, -1):
        size = image.shape[axis]
        before = margin(size, multiple)
        padded = (size + multiple - 1) // multiple * multiple
        index = torch.arange(padded, device=image.device) - before
        index = index % torch.full_like(index, 2 * size)  # ONNX has no remainder by a size that is not known
        image = image.index_select(axis, torch.minimum(index, 2 * size - 1 - index))
    return image


def crop_to(padded: torch.Tensor, height: int, width: int, multiple: int) -> torch.Tensor:
    """Take out of a padded tensor what lay there before `mirror_to_multiple`."""
    for axis, size in ((-2, height), (-1, width)):
        # Of a slice, torch.export asks whether it is the whole, and then refuses sizes where the answer differs.
        index = torch.arange(size, device=padded.device) + margin(size, multiple)
        padded = padded.index_select(axis, index)
    return padded


def margin(size: int, multiple: int) -> int:
    """Pixels that `mirror_to_multiple` puts before the first one."""
    return (-size % multiple) // 2
