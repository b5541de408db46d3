"""Pretrained weights of torchvision: found by name or in a local file, checked, and put into a network."""

from __future__ import annotations

import difflib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from http.client import HTTPException
from pathlib import Path
from typing import Any

import torch

from monai_seg.networks.input_channels import adapt_statistics, adapt_stem
from monai_seg.networks.weight_errors import (
    WeightsMismatchError,
    WeightsUnavailableError,
    download_failed,
    require_fit,
)

logger = logging.getLogger(__name__)

# All weights of torchvision were trained with the statistics of ImageNet, those for detection among them.
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
SUFFIXES = (".pth", ".pt", ".safetensors")


@dataclass(frozen=True)
class PretrainedWeights:
    """A state dict and the input that it was trained with.

    Args:
        source: the file or the name of the weights, for messages.
        state: tensors by name, on the CPU.
        mean: subtracted from each channel of an image in [0, 1].
        std: what each channel is divided by afterwards.
    """

    source: str
    state: Mapping[str, torch.Tensor]
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD


def load_pretrained(
    network: torch.nn.Module,
    pretrained: str | Path,
    architecture: str,
    ignore: Sequence[str] = ("fc.",),
    stem: str = "conv1.weight",
) -> PretrainedWeights:
    """Put pretrained weights into a network with the parameter names of torchvision; all of them, or none.

    A stem of another number of image channels takes the weights as `adapt_stem` changes them.

    Args:
        network: such as a torchvision ResNet, or a part of it that bears the same names.
        pretrained: name of torchvision weights (``IMAGENET1K_V2``, ``ResNet50_Weights.IMAGENET1K_V1``, ``DEFAULT``),
            or the path of a state dict (``.pth``, ``.pt``, ``.safetensors``).
        architecture: what torchvision calls the network, as ``resnet50``.
        ignore: beginnings of parameter names to leave alone, in the file and in the network; the classifier head.
        stem: name of the first convolution's weight.

    Returns:
        What was loaded, with mean and deviation for the channels that the network's stem has.

    Raises:
        ValueError: torchvision knows no such weights or architecture.
        WeightsUnavailableError: there is no such file, or it cannot be downloaded.
        WeightsMismatchError: the file is damaged, or names or shapes differ from the network's.

    Example:
        >>> from torchvision.models import resnet18
        >>> load_pretrained(resnet18(num_classes=5), "IMAGENET1K_V1", "resnet18").mean  # doctest: +SKIP
        (0.485, 0.456, 0.406)
    """
    weights = read_pretrained(pretrained, architecture)
    state = {key: value for key, value in weights.state.items() if not key.startswith(tuple(ignore))}
    wanted = {key: value for key, value in network.state_dict().items() if not key.startswith(tuple(ignore))}
    mean, std = weights.mean, weights.std
    if stem in wanted:
        channels = wanted[stem].shape[1]
        mean, std = adapt_statistics(mean, channels), adapt_statistics(std, channels)
        if stem in state and state[stem].ndim == 4 and state[stem].shape[1] != channels:
            state[stem] = adapt_stem(state[stem], channels)
    require_fit(state, wanted, architecture, weights.source)
    network.load_state_dict(state, strict=False)  # strict but for what is ignored, which was looked at above
    logger.info("pretrained weights: %s", weights.source)
    return replace(weights, state=state, mean=mean, std=std)


def read_pretrained(pretrained: str | Path, architecture: str) -> PretrainedWeights:
    """Read weights by name (downloaded once, then from torch hub's folder) or from a file; see `load_pretrained`.

    A file says nothing of its input; it is taken to expect ImageNet's mean and deviation, as torchvision's own do.
    """
    if isinstance(pretrained, Path) or pretrained.endswith(SUFFIXES):
        path = Path(pretrained).expanduser()
        return PretrainedWeights(str(path), _read_state(path))
    weights = _find(pretrained, architecture)
    path = Path(torch.hub.get_dir()) / "checkpoints" / weights.url.rpartition("/")[2]
    if not path.is_file():
        _download(repr(weights), weights.url, path)
    transforms = weights.transforms()
    return PretrainedWeights(
        repr(weights),
        _read_state(path),
        tuple(getattr(transforms, "mean", IMAGENET_MEAN)),
        tuple(getattr(transforms, "std", IMAGENET_STD)),
    )


def _find(name: str, architecture: str) -> Any:
    """The entry of torchvision's register of weights."""
    from torchvision.models import get_model_weights  # takes a second: only when weights are asked for

    known = get_model_weights(architecture)  # its ValueError names an unknown architecture
    prefix, _, member = name.rpartition(".")
    if prefix in ("", known.__name__) and member in known.__members__:
        return known[member]
    names = [f"{known.__name__}.{entry}" for entry in known.__members__]
    nearest = difflib.get_close_matches(name, [*names, *known.__members__], n=1, cutoff=0.6)
    hint = f": did you mean {nearest[0]!r}?" if nearest else ""
    raise ValueError(
        f"torchvision has no weights {name!r} for {architecture}{hint}\n"
        f"  known  {', '.join(names)}\n"
        f"  mend   give one of these, or the path of a {', '.join(SUFFIXES)} file"
    )


def _download(name: str, url: str, path: Path) -> None:
    logger.info("downloading %s to %s", url, path)
    hashed = torch.hub.HASH_REGEX.search(path.name)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(url, str(path), hashed.group(1) if hashed else None)
    except (OSError, HTTPException, RuntimeError) as error:  # no network, cut off, or the wrong checksum
        raise download_failed(name, url, path, error) from error


def _read_state(path: Path) -> dict[str, torch.Tensor]:
    if not path.is_file():
        raise WeightsUnavailableError(f"there is no file of weights {path.absolute()}")
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            content: Any = load_file(path)
        else:
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # what a damaged file raises depends on the byte
        first_line = str(error).strip().partition("\n")[0]
        raise WeightsMismatchError(
            f"{path} cannot be read\n"
            f"  found  {path.stat().st_size} bytes: {first_line}\n"
            "  mend   the file is truncated, damaged, or holds code, which is never run; take another copy of it"
        ) from error
    if not isinstance(content, Mapping) or not all(isinstance(value, torch.Tensor) for value in content.values()):
        held = f"the keys {', '.join(map(str, list(content)[:5]))}" if isinstance(content, Mapping) else type(content)
        raise WeightsMismatchError(
            f"{path} holds no state dict\n"
            f"  found  {held}\n"
            "  mend   save the tensors alone: torch.save(network.state_dict(), path)"
        )
    return dict(content)
