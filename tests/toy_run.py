"""A whole training run on five images of 8 x 8 pixels, made of the project's own engines and handlers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from monai.data import DataLoader, MetaTensor
from monai.losses import DiceCELoss
from monai.transforms import AsDiscreted, Compose, CopyItemsd

from monai_seg.data.epoch_sampler import EpochSampler
from monai_seg.engines import Evaluator, RunFolder, Trainer
from monai_seg.handlers import (
    CaseMetric,
    CaseTable,
    Checkpoints,
    ConsoleProgress,
    CosineSchedule,
    IntervalValidation,
    ModelSelection,
    TensorBoardReview,
    WeightAverage,
)
from monai_seg.metrics import CaseLoss, Dice

TRAINING_CASES, VALIDATION_CASES = 5, 3


class ToyCases(torch.utils.data.Dataset):
    """Squares in noise that differs between epochs; ``data`` holds the records, as MONAI's datasets have it."""

    def __init__(self, folder: Path, count: int) -> None:
        self.data = [{"image": str(folder / f"case_{index}.png")} for index in range(count)]

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, key: Any) -> dict[str, MetaTensor]:
        epoch, index = key if isinstance(key, tuple) else (0, key)
        draw = torch.Generator().manual_seed(1000 * epoch + index)
        label = torch.zeros(1, 8, 8)
        label[:, 2:6, 1 + index % 3 : 5] = 1
        image = label + 0.3 * torch.randn(1, 8, 8, generator=draw)
        file = self.data[index]["image"]
        return {
            name: MetaTensor(tensor, affine=torch.eye(4), meta={"filename_or_obj": file})
            for name, tensor in (("image", image), ("label", label))
        }


class ToyRun:
    """Network, engines and handlers of a run; `train` restores it first where it is to resume."""

    def __init__(
        self,
        folder: Path,
        max_epochs: int = 2,
        resume: bool = False,
        name: str = "run",
        tensorboard: bool = False,
        time_budget_s: float = 0.0,
        patience: int = 0,
        interval: int = 1,
        save_interval_s: float = 300.0,
        loss: Callable | None = None,
        average_decay: float = 0.0,
        train_handlers: Sequence[Any] = (),
        **trainer_options: Any,
    ) -> None:
        with torch.random.fork_rng():
            torch.manual_seed(0)
            layers = (
                torch.nn.Conv2d(1, 4, 3, padding=1),
                torch.nn.ReLU(),
                torch.nn.Dropout(0.5),
                torch.nn.Conv2d(4, 2, 1),
            )
            self.network = torch.nn.Sequential(*layers)
        self.optimizer = torch.optim.AdamW(self.network.parameters(), lr=0.05)
        self.run_folder = RunFolder(folder / "bundle", run_dir=folder / name, resume=resume)
        self.loss = loss or DiceCELoss(to_onehot_y=True, softmax=True)
        self.average = WeightAverage(self.network, average_decay)
        self.evaluator = self._evaluator(folder)
        self.schedule = CosineSchedule(self.optimizer, time_budget_s)
        self.selection = ModelSelection(self.evaluator, self.average.network, self.run_folder, patience)
        state = {
            "model": self.network,
            "optimizer": self.optimizer,
            "schedule": self.schedule,
            "selection": self.selection,
            "average": self.average,
        }
        self.checkpoints = Checkpoints(state, self.run_folder, self.evaluator, save_interval_s)
        review = TensorBoardReview(
            self.evaluator,
            self.optimizer,
            self.run_folder,
            ["object"],
            cases=2,
            hyperparameters={"learning_rate": 0.05},
        )
        self.console = ConsoleProgress(self.evaluator, self.selection)
        handlers = [
            self.schedule,
            self.average,
            *([review] if tensorboard else []),
            IntervalValidation(self.evaluator, interval),
            self.console,
            self.selection,
            self.checkpoints,
            *train_handlers,
        ]
        cases = ToyCases(folder / "images", TRAINING_CASES)
        self.trainer = Trainer(
            torch.device("cpu"),
            max_epochs,
            DataLoader(cases, batch_size=2, sampler=EpochSampler(len(cases))),
            self.network,
            self.optimizer,
            self.loss,
            train_handlers=handlers,
            **{"amp": False, **trainer_options},
        )

    def _evaluator(self, folder: Path) -> Evaluator:
        return Evaluator(
            torch.device("cpu"),
            DataLoader(ToyCases(folder / "images", VALIDATION_CASES), batch_size=1),
            self.average.network,
            postprocessing=Compose([CopyItemsd("pred", names="logits"), AsDiscreted("pred", argmax=True)]),
            key_val_metric={"dice": CaseMetric(Dice(2))},
            additional_metrics={"loss": CaseMetric(CaseLoss(self.loss), prediction="logits", save_details=False)},
            val_handlers=[CaseTable(["object"])],
            amp=False,
        )

    def train(self) -> ToyRun:
        if self.checkpoints.restore(self.trainer):
            self.trainer.run()
        return self

    def weights(self) -> torch.Tensor:
        return torch.cat([parameter.detach().flatten() for parameter in self.network.parameters()])
