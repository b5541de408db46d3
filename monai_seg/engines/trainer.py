"""The training loop: MONAI's, with autocast by device, counted randomness and a stop at the first non-finite loss."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from ignite.engine import Events
from monai.data import DataLoader
from monai.engines import SupervisedTrainer
from monai.engines.utils import IterationEvents, default_prepare_batch
from monai.inferers import Inferer
from monai.utils.enums import CommonKeys as Keys

from monai_seg.data.counter_seed import counter_seed
from monai_seg.data.epoch_sampler import EpochSampler
from monai_seg.engines.distribution import rank
from monai_seg.engines.precision import AutocastInferer, autocast_dtype, stop_compiling

logger = logging.getLogger(__name__)


class NonFiniteLossError(FloatingPointError):
    """The loss became NaN or infinite; the weights are still those of the step before."""


class Trainer(SupervisedTrainer):
    """MONAI's `SupervisedTrainer` whose result depends on seed and data, not on worker count, kills or luck.

    It differs from its parent in this: ``amp`` works on every device (the parent's is CUDA's alone, in silence),
    random numbers inside the network are a function of seed and iteration, gradients may be clipped, and a loss that
    is not finite stops the run *before* it reaches the weights.

    Args:
        device, max_epochs, train_data_loader, network, optimizer, loss_function, prepare_batch, inferer,
            train_handlers: as in MONAI. The loader's sampler is an `EpochSampler`.
        seed: seed of the run.
        amp: ``"auto"``, True or False, see `autocast_dtype`.
        max_gradient_norm: gradients are scaled down to this norm; 0 leaves them as they are.
    """

    def __init__(
        self,
        device: torch.device,
        max_epochs: int,
        train_data_loader: Iterable | DataLoader,
        network: torch.nn.Module,
        optimizer: torch.optim.Optimizer,
        loss_function: Callable,
        prepare_batch: Callable = default_prepare_batch,
        inferer: Inferer | None = None,
        train_handlers: Sequence | None = None,
        seed: int = 0,
        amp: str | bool = "auto",
        max_gradient_norm: float = 0.0,
    ) -> None:
        self.seed, self.max_gradient_norm = seed, max_gradient_norm
        dtype = autocast_dtype(amp, torch.device(device))
        super().__init__(
            device=device,
            max_epochs=max_epochs,
            train_data_loader=train_data_loader,
            network=network,
            optimizer=optimizer,
            loss_function=loss_function,
            prepare_batch=prepare_batch,
            inferer=AutocastInferer(inferer, dtype),
            decollate=False,
            optim_set_to_none=True,
        )
        self.loss_scaler = torch.amp.GradScaler(self.state.device.type, enabled=dtype is torch.float16)
        # The position comes first: handlers of the same event may look at the data.
        self.add_event_handler(Events.EPOCH_STARTED, self._set_position)
        self._register_handlers(train_handlers or ())
        # Last: Ignite swallows an error that a handler looks at, and one that raises hides it from those after it.
        self.add_event_handler(Events.EXCEPTION_RAISED, _raise)

    def _set_position(self) -> None:
        sampler = getattr(self.data_loader, "sampler", None)
        if isinstance(sampler, EpochSampler):
            done = self.state.iteration % self.state.epoch_length
            sampler.set_position(self.state.epoch, start=done * self.data_loader.batch_size)

    def _iteration(self, engine: Any, batchdata: dict[str, torch.Tensor]) -> dict:
        try:
            return self._step(batchdata)
        except (RuntimeError, AssertionError, TypeError) as error:
            # What the compiler gets wrong may show in the backward pass only. A step that failed left no trace, as its
            # random numbers are counted, so it is done again.
            if not stop_compiling(self.network):
                raise
            logger.warning(
                "the compiled network failed (%s); training goes on without torch.compile",
                str(error).partition("\n")[0],
            )
            return self._step(batchdata)

    def _step(self, batchdata: Any) -> dict:
        torch.manual_seed(counter_seed(self.seed, self.state.iteration, rank()))
        self.network.train()
        self.optimizer.zero_grad(set_to_none=self.optim_set_to_none)
        self._learn(batchdata)
        if self.max_gradient_norm:
            self.loss_scaler.unscale_(self.optimizer)
            torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.max_gradient_norm)
        self.fire_event(IterationEvents.BACKWARD_COMPLETED)
        self.loss_scaler.step(self.optimizer)
        self.loss_scaler.update()
        self.fire_event(IterationEvents.MODEL_COMPLETED)
        return self.state.output

    def _learn(self, batchdata: Any) -> None:
        """Give each weight its gradient, and leave images, targets, prediction and loss in ``state.output``."""
        inputs, targets = self.prepare_batch(batchdata, self.state.device, self.non_blocking, **self.to_kwargs)[:2]
        # Meta data has done its work; tracking it through the network costs more than a small network itself.
        inputs, targets = (getattr(tensor, "as_tensor", lambda t=tensor: t)() for tensor in (inputs, targets))
        self.state.output = {Keys.IMAGE: inputs, Keys.LABEL: targets}
        self.state.output[Keys.PRED] = self.inferer(inputs, self.network)
        self.fire_event(IterationEvents.FORWARD_COMPLETED)
        loss = self.loss_function(self.state.output[Keys.PRED], targets).mean()
        self.state.output[Keys.LOSS] = loss
        self.fire_event(IterationEvents.LOSS_COMPLETED)
        self._refuse_non_finite(loss, batchdata)
        self.loss_scaler.scale(loss).backward()

    def _refuse_non_finite(self, loss: torch.Tensor, batchdata: Any) -> None:
        if not torch.isfinite(loss):
            raise NonFiniteLossError(self._non_finite(loss, batchdata))

    def _non_finite(self, loss: torch.Tensor, batchdata: Any) -> str:
        names = ", ".join(case_files(batchdata)) or "unknown"
        return (
            f"the loss is {loss.item()} in epoch {self.state.epoch}, iteration {self.state.iteration}\n"
            f"  batch  {names}\n"
            "  mend   look at these cases (`monai-seg check`), or lower learning_rate; last.pt holds the finite "
            "weights of the last save, from which --resume true goes on"
        )


def _raise(error: BaseException) -> None:
    raise error


def case_files(batch: Any) -> list[str]:
    """Names of the image files of a batch (collated or a list of samples), empty where they are not known."""
    image = batch.get(Keys.IMAGE) if isinstance(batch, dict) else [item[Keys.IMAGE] for item in batch]
    if isinstance(image, list):
        return [name for item in image for name in case_files({Keys.IMAGE: item})]
    name = getattr(image, "meta", {}).get("filename_or_obj", [])
    return [str(name)] if isinstance(name, str) else [str(item) for item in name]
