"""Which weights a bundle predicts with, and how they come into its network."""

from __future__ import annotations

from pathlib import Path

import torch

from monai_seg.engines.checkpoint import CheckpointError, load_checkpoint
from monai_seg.engines.run_folder import RunFolder


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
    exported = Path(bundle_root) / "models" / "model.pt"
    if exported.is_file():
        return exported
    return RunFolder(bundle_root).newest("best.pt") / "checkpoints" / "best.pt"


def load_weights(network: torch.nn.Module, path: Path) -> torch.nn.Module:
    """Put the weights of a checkpoint (key ``model``) into a network and give it back in evaluation mode.

    Raises:
        CheckpointError: the file is damaged or does not fit the network.
    """
    load_checkpoint(path, {"model": network}, next(network.parameters()).device)
    return network.eval()
