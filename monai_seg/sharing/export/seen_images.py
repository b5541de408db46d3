"""What a network sees of the sample: the first batch that the inferer shows it."""

from __future__ import annotations

from typing import Any

import torch

from monai_seg.data import images
from monai_seg.sharing.export.errors import ExportError
from monai_seg.sharing.export.trained_bundle import TrainedBundle


class _SeenError(Exception):
    """Carries the batch out of the inferer."""

    def __init__(self, batch: torch.Tensor) -> None:
        super().__init__()
        self.batch = batch


def seen_images(trained: TrainedBundle) -> torch.Tensor:
    """Real inputs of the network, of the size of its windows, for exports and comparisons.

    Returns:
        ``(B, C, H, W[, D])``, float32, on the CPU.

    Raises:
        ExportError: the inferer shows the network nothing.
    """
    configuration = trained.workflow.configuration
    place = str(trained.sample_files[0]) if len(trained.sample_files) == 1 else str(trained.sample_files[0].parent)
    record = configuration.get_parsed_content("preprocessing")(images(place)[0])
    image = torch.as_tensor(record["image"]).float()[None]
    image = image.as_tensor() if hasattr(image, "as_tensor") else image

    def look(batch: torch.Tensor, *_: Any) -> torch.Tensor:
        raise _SeenError(batch)

    try:
        configuration.get_parsed_content("inferer")(image, look)
    except _SeenError as seen:
        return seen.batch.detach().cpu().float().contiguous()
    raise ExportError("the bundle's inferer shows its network nothing of the sample")
