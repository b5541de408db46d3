"""Which weights a bundle predicts with, and how they come into its network."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from monai.bundle import ConfigParser

from monai_seg.engines.checkpoint import CheckpointError, load_checkpoint
from monai_seg.engines.precision import bare
from monai_seg.engines.run_folder import RunFolder

EXPORTED = ("model.safetensors", "model.pt")  # in the folder models of a bundle


def find_weights(bundle_root: str | Path, run_dir: str | Path = "") -> Path:
    """The weights of a run that is named, else those in the bundle's ``models``, else those of its newest run.

    Raises:
        CheckpointError: the named run has no best model.
        RunFolderError: there are no weights at all.
    """
    if run_dir:
        best = Path(run_dir) / "checkpoints" / "best.pt"
        if not best.is_file():
            raise CheckpointError(f"{run_dir} holds no checkpoints/best.pt: it is no run, or was not yet validated")
        return best
    for name in EXPORTED:
        exported = Path(bundle_root) / "models" / name
        if exported.is_file():
            return exported
    return RunFolder(bundle_root).newest("best.pt") / "checkpoints" / "best.pt"


def load_weights(network: torch.nn.Module, path: Path) -> torch.nn.Module:
    """Put the weights of a checkpoint (key ``model``) into a network and give it back in evaluation mode.

    Args:
        network: takes them.
        path: a checkpoint of this project, or safetensors with exactly the network's names, shapes and types.

    Raises:
        CheckpointError: the file is damaged or does not fit the network.
    """
    if path.suffix == ".safetensors":
        _load_safetensors(network, path)
        return network.eval()
    load_checkpoint(path, {"model": network}, next(network.parameters()).device)
    return network.eval()


def require_fit(definition: Mapping[str, Any], path: Path) -> None:
    """Refuse the network of a stranger that is not that of its weights, before it takes any memory.

    Args:
        definition: ``network_def`` of the bundle.
        path: safetensors.

    Raises:
        CheckpointError: the file is damaged, or names, shapes or types differ.
    """
    with torch.device("meta"):
        network = ConfigParser({"network_def": dict(definition)}).get_parsed_content("network_def")
    _refuse_other(network, _tensors(path), path)


def _load_safetensors(network: torch.nn.Module, path: Path) -> None:
    found = _tensors(path)
    _refuse_other(bare(network), found, path)
    bare(network).load_state_dict(found)


def _tensors(path: Path) -> dict[str, torch.Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path} cannot be read\n  found  {error}\n  mend   take another copy of it") from error


def _refuse_other(network: torch.nn.Module, found: Mapping[str, torch.Tensor], path: Path) -> None:
    wanted = {name: _kind(value) for name, value in network.state_dict().items()}
    given = {name: _kind(value) for name, value in found.items()}
    names = sorted(name for name in given.keys() | wanted.keys() if given.get(name) != wanted.get(name))
    if names:
        shown = "".join(
            f"\n  {name}: found {given.get(name, 'nothing')}, expected {wanted.get(name, 'nothing')}"
            for name in names[:5]
        )
        raise CheckpointError(
            f"{path} does not fit the network: {len(names)} weights differ{shown}\n"
            "  mend   take weights and configuration of one export"
        )


def _kind(value: torch.Tensor) -> str:
    return f"{tuple(value.shape)} {str(value.dtype).removeprefix('torch.')}"
