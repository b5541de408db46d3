"""The evaluation loop: MONAI's, with autocast by device."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import torch
from monai.data import DataLoader
from monai.engines import SupervisedEvaluator
from monai.engines.utils import default_prepare_batch
from monai.inferers import Inferer
from monai.transforms import Transform

from monai_seg.engines.precision import AutocastInferer, autocast_dtype


class Evaluator(SupervisedEvaluator):
    """MONAI's `SupervisedEvaluator` whose ``amp`` works on every device, and whose predictions come as float32.

    Args:
        device, val_data_loader, network, prepare_batch, inferer, postprocessing, key_val_metric,
            additional_metrics, val_handlers: as in MONAI.
        amp: ``"auto"``, True or False, see `autocast_dtype`.
    """

    def __init__(
        self,
        device: torch.device,
        val_data_loader: Iterable | DataLoader,
        network: torch.nn.Module,
        prepare_batch: Callable = default_prepare_batch,
        inferer: Inferer | None = None,
        postprocessing: Transform | None = None,
        key_val_metric: dict | None = None,
        additional_metrics: dict | None = None,
        val_handlers: Sequence | None = None,
        amp: str | bool = "auto",
    ) -> None:
        self.metric_names = [*(key_val_metric or {}), *(additional_metrics or {})]
        super().__init__(
            device=device,
            val_data_loader=val_data_loader,
            network=network,
            prepare_batch=prepare_batch,
            inferer=AutocastInferer(inferer, autocast_dtype(amp, torch.device(device))),
            postprocessing=postprocessing,
            key_val_metric=key_val_metric,
            additional_metrics=additional_metrics,
            val_handlers=val_handlers,
        )
