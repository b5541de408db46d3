"""One atomic store for all that a run has learnt: it is whole on disk at any moment, or the older one still is."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from monai_seg.data.atomic import atomic_path
from monai_seg.engines.precision import bare

FORMAT = 1


class CheckpointError(ValueError):
    """A checkpoint that is missing, damaged, foreign, or of another run."""


class NonFiniteWeightsError(FloatingPointError):
    """A network holds NaN or infinite weights and was not saved; the older checkpoint is still there."""


def save_checkpoint(path: Path, state: Mapping[str, Any], facts: Mapping[str, Any] | None = None) -> None:
    """Write the state of several objects in one file, so that a kill at any moment loses nothing that was there.

    Args:
        path: file to write or replace.
        state: objects with ``state_dict``, by name; a network is stored without the wrapper of several processes.
        facts: plain numbers, text and lists to keep beside them.

    Raises:
        NonFiniteWeightsError: a network's weights are not finite; the file stays as it was.
    """
    for name, item in state.items():
        _refuse_non_finite(name, item, path)
    content = {name: _unwrapped(item).state_dict() for name, item in state.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as temporary:
        torch.save({"format": FORMAT, "facts": dict(facts or {}), **content}, temporary)


def load_checkpoint(path: Path, state: Mapping[str, Any], device: torch.device | str = "cpu") -> dict[str, Any]:
    """Put a stored state back into the objects; either all of them take it, or an error says why.

    Args:
        path: file that `save_checkpoint` wrote. Only tensors and plain values are read, never code.
        state: objects with ``load_state_dict``, by the names they were stored under; a part of them will do.
        device: where the tensors go.

    Returns:
        The facts that were stored beside.

    Raises:
        CheckpointError: the file is missing, damaged or not a checkpoint of this project, or does not fit an object.
    """
    content = read_checkpoint(path, device)
    missing = [name for name in state if name not in content]
    if missing:
        raise CheckpointError(
            f"{path} holds no {', '.join(missing)}\n"
            f"  found  {', '.join(sorted(set(content) - {'format', 'facts'})) or 'nothing'}\n"
            "  mend   give the last.pt of a run of this bundle; best.pt holds the network alone and cannot be resumed"
        )
    for name, item in state.items():
        try:
            _unwrapped(item).load_state_dict(content[name])
        except (RuntimeError, KeyError, ValueError, TypeError, AttributeError) as error:
            raise CheckpointError(
                f"{path} does not fit this bundle's {name}\n"
                f"  found  {_first_lines(str(error))}\n"
                "  mend   resume with the configuration that the run began with (config.yaml beside its checkpoints)"
            ) from error
    return content["facts"]


def read_checkpoint(path: Path, device: torch.device | str = "cpu") -> dict[str, Any]:
    """The content of a checkpoint file of this project, checked to be one.

    Raises:
        CheckpointError: the file is missing, truncated, damaged, of a newer version, or something else.
    """
    if not path.is_file():
        raise CheckpointError(f"there is no checkpoint {path}")
    try:
        content = torch.load(path, map_location=device, weights_only=True)
    except Exception as error:  # what a damaged file raises depends on the byte: IndexError, struct.error, ...
        raise CheckpointError(
            f"{path} cannot be read\n"
            f"  found  {path.stat().st_size} bytes: {_first_lines(str(error))}\n"
            "  mend   the file is truncated, damaged, or holds code, which is never run; take another copy of it"
        ) from error
    version = content.get("format") if isinstance(content, dict) else None
    if not isinstance(version, int):
        raise CheckpointError(f"{path} is no checkpoint of monai-seg: it has no format number; export or retrain it")
    if version != FORMAT:
        raise CheckpointError(
            f"{path} has checkpoint format {version}, this version of monai-seg reads {FORMAT}\n"
            "  mend   use the version of monai-seg that environment.json of the run names"
        )
    return content


def _refuse_non_finite(name: str, item: Any, path: Path) -> None:
    if not isinstance(item, torch.nn.Module):
        return
    broken = [key for key, value in _unwrapped(item).named_parameters() if not torch.isfinite(value).all()]
    if broken:
        raise NonFiniteWeightsError(
            f"{len(broken)} weights of the {name} are not finite, such as {broken[0]}; {path} was left as it was\n"
            "  mend   lower learning_rate, or bound the gradients with --train#trainer#max_gradient_norm 12"
        )


def _unwrapped(item: Any) -> Any:
    return bare(item) if isinstance(item, torch.nn.Module) else item


def _first_lines(text: str, lines: int = 3, width: int = 160) -> str:
    shown = [line.strip()[:width] for line in text.strip().splitlines() if line.strip()][:lines]
    return " | ".join(shown) or "no further message"
