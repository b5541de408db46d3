"""TensorBoard: one event file for a run, with curves, pictures of fixed cases, and hyper-parameters beside results."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from ignite.engine import Events
from monai.utils.enums import CommonKeys as Keys
from torch.utils.tensorboard import SummaryWriter
from torch.utils.tensorboard.summary import hparams

from monai_seg.data.layouts.files import stem
from monai_seg.data.layouts.listing import first_image
from monai_seg.engines.distribution import rank, world_size
from monai_seg.engines.run_folder import RunFolder
from monai_seg.engines.trainer import case_files
from monai_seg.handlers.panel import case_panel


class TensorBoardReview:
    """Log a training run to ``tensorboard/`` of its folder, on the first rank.

    All values lie on one axis, the iteration, so that a resumed run erases just what it does again (``purge_step``).

    Args:
        evaluator: validates during training; every number in its metrics becomes a curve.
        optimizer: whose learning rate is logged.
        run_folder: gives the place of the event file.
        class_names: classes of the per-class metrics, as in `CaseTable`.
        cases: how many cases of the validation section to draw, spread evenly over it, the same ones all along.
        hyperparameters: what to show in the HPARAMS tab beside the final metrics.
        graph_of: a network to draw as a graph, None for none.
    """

    def __init__(
        self,
        evaluator: Any,
        optimizer: torch.optim.Optimizer,
        run_folder: RunFolder,
        class_names: Sequence[str],
        cases: int = 4,
        hyperparameters: Mapping[str, Any] | None = None,
        graph_of: torch.nn.Module | None = None,
    ) -> None:
        self.evaluator, self.optimizer, self.run_folder = evaluator, optimizer, run_folder
        self.class_names, self.cases = list(class_names), cases
        self.hyperparameters, self.graph_of = dict(hyperparameters or {}), graph_of
        self._writer: SummaryWriter | None = None
        self._losses: list[torch.Tensor] = []
        self._images = 0
        self._epoch_began = 0.0

    def attach(self, engine: Any) -> None:
        """Attach to the trainer."""
        if rank() != 0:
            return
        engine.add_event_handler(Events.STARTED, self._open)
        engine.add_event_handler(Events.EPOCH_STARTED, self._begin_epoch)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._log_iteration)
        self.evaluator.add_event_handler(Events.ITERATION_COMPLETED, self._draw, engine)
        # First at the end of the epoch: what comes after is validation, which is not the training's time.
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._log_epoch)
        self.evaluator.add_event_handler(Events.COMPLETED, self._log_validation, engine)
        engine.add_event_handler(Events.COMPLETED, self._close)

    @property
    def writer(self) -> SummaryWriter:
        """The one writer of the run."""
        if self._writer is None:
            raise RuntimeError("the event file is opened when training starts")
        return self._writer

    def _open(self, engine: Any) -> None:
        if self._writer is None:
            self._make_writer(engine.state.iteration)
            if self.graph_of is not None:
                self._draw_graph(engine, self.graph_of)

    def _make_writer(self, iteration: int) -> None:
        purge = iteration + 1 if iteration else None
        self._writer = SummaryWriter(str(self.run_folder.path / "tensorboard"), purge_step=purge)
        self._writer.add_custom_scalars({"train and validation": self._layout()})

    def _layout(self) -> dict[str, list]:
        """Charts that put together what is read together."""
        names = [name for name in self.evaluator.metric_names if name != "loss"]
        charts = {name: ["Multiline", [f"{name}/{each}" for each in ("mean", *self.class_names)]] for name in names}
        return {"loss": ["Multiline", ["loss/train", "loss/validation"]], **charts}

    def _begin_epoch(self) -> None:
        self._losses.clear()
        self._images = 0
        self._epoch_began = time.monotonic()

    def _log_iteration(self, engine: Any) -> None:
        # A reference, not a number: reading it now would make a GPU wait for the host in each iteration.
        self._losses.append(engine.state.output[Keys.LOSS].detach())
        self._images += len(engine.state.output[Keys.IMAGE])

    def _log_epoch(self, engine: Any) -> None:
        if self._writer is None:  # a resumed run that first ends the epoch in which it was killed
            self._make_writer(engine.state.iteration - 1)
        step = engine.state.iteration
        if self._losses:
            seconds = time.monotonic() - self._epoch_began
            self.writer.add_scalar("loss/train", torch.stack(self._losses).mean().item(), step)
            self.writer.add_scalar("speed/seconds_per_step", seconds / len(self._losses), step)
            self.writer.add_scalar("speed/images_per_second", self._images / seconds, step)
        for index, group in enumerate(self.optimizer.param_groups):
            self.writer.add_scalar(f"learning_rate/group_{index}", group["lr"], step)
        self.writer.add_scalar("progress/epoch", engine.state.epoch, step)

    def _log_validation(self, trainer: Any) -> None:
        for name, value in self.evaluator.state.metrics.items():
            if isinstance(value, (int, float)) and not math.isnan(value):
                self.writer.add_scalar(self._tag(name), value, trainer.state.iteration)
        self.writer.flush()

    def _tag(self, name: str) -> str:
        for class_name in self.class_names:
            metric = name.removesuffix(f"_{class_name}")
            if metric != name and metric in self.evaluator.state.metrics:
                return f"{metric}/{class_name}"
        return "loss/validation" if name == "loss" else f"{name}/mean"

    def _draw(self, trainer: Any) -> None:
        chosen = self._chosen()
        for sample, output in zip(self.evaluator.state.batch, self.evaluator.state.output, strict=True):
            file = case_files([sample])[0]
            if file not in chosen:
                continue
            picture = self._picture(sample, output)
            self.writer.add_image(f"review/{stem(file)}", picture, trainer.state.iteration, dataformats="HWC")

    def _picture(self, sample: Any, output: Any) -> np.ndarray:
        reference = output[Keys.LABEL]
        spacing = tuple(float(size) for size in reference.pixdim[: reference.ndim - 1])
        return case_panel(output[Keys.IMAGE], reference, output[Keys.PRED], spacing, self.class_names)

    def _chosen(self) -> set[str]:
        files = [first_image(record) for record in self.evaluator.data_loader.dataset.data][:: world_size()]
        count = min(self.cases, len(files))
        return {files[index * len(files) // count] for index in range(count)}

    def _draw_graph(self, engine: Any, network: torch.nn.Module) -> None:
        sample = next(iter(engine.data_loader))[Keys.IMAGE][:1].as_tensor().to(engine.state.device)
        network = copy.deepcopy(network)
        network._compiled_call_impl = None  # a compiled network cannot be traced
        self.writer.add_graph(network, sample)

    def _close(self) -> None:
        metrics = {
            f"final/{name}": value
            for name, value in self.evaluator.state.metrics.items()
            if isinstance(value, (int, float)) and not math.isnan(value)
        }
        if self.hyperparameters and metrics:
            # Not `add_hparams`: it opens a second event file in a folder of its own.
            for summary in hparams(self.hyperparameters, metrics):
                self.writer._get_file_writer().add_summary(summary)
            for name, value in metrics.items():
                self.writer.add_scalar(name, value)
        self.writer.close()
