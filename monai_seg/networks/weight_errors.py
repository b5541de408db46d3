"""What is wrong with pretrained weights: they are not there, or they are not those of the network."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch

_SHOWN = 3


class WeightsUnavailableError(FileNotFoundError):
    """Pretrained weights are neither on the disk nor to be had from the network."""


class WeightsMismatchError(ValueError):
    """A file of weights is damaged, holds something else, or does not fit the network."""


def download_failed(name: str, url: str, path: Path, error: Exception) -> WeightsUnavailableError:
    """Say which file is missing, where it comes from and where it goes."""
    return WeightsUnavailableError(
        f"the pretrained weights {name} are not on this machine and cannot be downloaded\n"
        f"  found  {type(error).__name__}: {error}\n"
        f"  url    {url}\n"
        f"  file   {path}\n"
        "  mend   on a machine with a network download the url and put it there under this name; or give pretrained "
        "the path of a local .pth, .pt or .safetensors file; or null to train from scratch"
    )


def require_fit(
    found: Mapping[str, torch.Tensor], wanted: Mapping[str, torch.Tensor], architecture: str, source: str
) -> None:
    """Compare names and shapes before a network is touched.

    Args:
        found: state dict of the file, without what is left out on purpose.
        wanted: state dict of the network, likewise.
        architecture: name of the network, for the message.
        source: the file or the name of the weights, for the message.

    Raises:
        WeightsMismatchError: they differ; the message shows the first names and shapes that do.
    """
    missing = [f"{key} {_shape(wanted[key])}" for key in wanted if key not in found and not _is_counter(key)]
    foreign = [f"{key} {_shape(found[key])}" for key in found if key not in wanted and not _is_counter(key)]
    shapes = [
        f"{key} is {_shape(found[key])}, not {_shape(value)}"
        for key, value in wanted.items()
        if key in found and found[key].shape != value.shape
    ]
    differing = {"missing": missing, "foreign": foreign, "shapes": shapes}
    if not any(differing.values()):
        return
    lines = [f"  {title:<8}{_first(items)}" for title, items in differing.items() if items]
    raise WeightsMismatchError(
        f"{source} does not fit {architecture}\n" + "\n".join(lines) + "\n"
        f"  mend    give the state dict of a torchvision {architecture}, or name the architecture the weights are of"
    )


def _is_counter(key: str) -> bool:
    # Batch norm counts its batches since PyTorch 0.4.1; older files do not, nor does a frozen batch norm.
    return key.endswith("num_batches_tracked")


def _shape(tensor: torch.Tensor) -> str:
    return str(tuple(tensor.shape))


def _first(items: list[str]) -> str:
    rest = len(items) - _SHOWN
    return "; ".join(items[:_SHOWN]) + (f"; and {rest} more" if rest > 0 else "")
