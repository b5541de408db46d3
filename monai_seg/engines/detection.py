"""Training and evaluation of detectors: batches are lists of images of any size with their objects."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from ignite.engine import Engine
from monai.data import DataLoader
from monai.engines.utils import IterationEvents
from monai.inferers import Inferer
from monai.transforms import Transform
from monai.utils.enums import CommonKeys as Keys

from monai_seg.engines.evaluator import Evaluator
from monai_seg.engines.precision import bare
from monai_seg.engines.trainer import Trainer, case_files

LOSSES = "losses"
_TARGET_KEYS = ("box", "label", "mask")


class NonFiniteImageError(ValueError):
    """An image holds NaN or infinite values, in its file or since a transform."""


def prepare_images(
    batch: Sequence[Mapping[str, Any]], device: torch.device, non_blocking: bool = False, **kwargs: Any
) -> tuple[list[torch.Tensor], None]:
    """Bring the images of a list of samples to a device; their objects, if known, are for the metrics to look at.

    Raises:
        NonFiniteImageError: an image holds NaN or infinite values. The network would know its place in the batch alone.
    """
    broken = [sample for sample in batch if not bool(torch.isfinite(sample[Keys.IMAGE]).all())]
    if broken:
        raise NonFiniteImageError(
            f"{', '.join(case_files(broken)) or 'an image'} holds NaN or infinite values\n"
            "  mend   run `monai-seg check` on the data; where the file is sound, look at the transforms of intensities"
        )
    return [sample[Keys.IMAGE].to(device=device, non_blocking=non_blocking, **kwargs) for sample in batch], None


def prepare_instances(
    batch: Sequence[Mapping[str, Any]], device: torch.device, non_blocking: bool = False, **kwargs: Any
) -> tuple[list[torch.Tensor], list[dict[str, torch.Tensor]]]:
    """Bring the images of a list of samples to a device, and their objects.

    Args:
        batch: samples with ``image``, ``box``, ``label`` and ``mask``, see `LoadInstancesd`.
        device: where to.
        non_blocking, kwargs: of ``torch.Tensor.to``.

    Raises:
        NonFiniteImageError: see `prepare_images`.
    """
    images, _ = prepare_images(batch, device, non_blocking, **kwargs)
    place = {"device": device, "non_blocking": non_blocking, **kwargs}
    return images, [{key: sample[key].to(**place) for key in _TARGET_KEYS} for sample in batch]


def score_threshold_of(network: torch.nn.Module) -> torch.Tensor:
    """The score from which a detector reports an object: a buffer that lies with its weights.

    Raises:
        ValueError: the network keeps none.
    """
    kept = getattr(bare(network), "score_threshold", None)
    if not isinstance(kept, torch.Tensor):
        raise ValueError(f"{type(bare(network)).__name__} keeps no score_threshold: it is no detector of this project")
    return kept


class DetectionTrainer(Trainer):
    """`Trainer` of a network that gives its losses by name, such as `MaskRCNN`.

    The loss is their weighted sum; they are also in ``state.output["losses"]``, term by term. All else, exact resume
    among it, is as in `Trainer`.

    Args:
        device, max_epochs, train_data_loader, network, optimizer, train_handlers, seed, amp, max_gradient_norm: as in
            `Trainer`; the loader gives lists (``collate_fn: $monai.data.utils.no_collation``).
        loss_weights: of the losses by name; 1 for those that are not named.
        micro_batch_size: images that go through the network at once; the gradients of a batch are summed over such
            parts, so that a large batch fits into a small memory. 0 takes the batch as a whole.

    Raises:
        ValueError: in the first step: a weight is given for a loss that the network does not have.
        NonFiniteLossError: a loss became NaN or infinite.
        NonFiniteImageError: an image holds such values.
    """

    def __init__(
        self,
        device: torch.device,
        max_epochs: int,
        train_data_loader: Iterable | DataLoader,
        network: torch.nn.Module,
        optimizer: torch.optim.Optimizer,
        prepare_batch: Callable = prepare_instances,
        inferer: Inferer | None = None,
        train_handlers: Sequence | None = None,
        seed: int = 0,
        amp: str | bool = "auto",
        max_gradient_norm: float = 0.0,
        loss_weights: Mapping[str, float] | None = None,
        micro_batch_size: int = 0,
    ) -> None:
        if micro_batch_size < 0:
            raise ValueError(f"micro_batch_size is {micro_batch_size}; give 1 or more images, or 0 for the whole batch")
        self.loss_weights, self.micro_batch_size = dict(loss_weights or {}), micro_batch_size
        super().__init__(
            device=device,
            max_epochs=max_epochs,
            train_data_loader=train_data_loader,
            network=network,
            optimizer=optimizer,
            loss_function=self._weighted_sum,
            prepare_batch=prepare_batch,
            inferer=inferer,
            train_handlers=train_handlers,
            seed=seed,
            amp=amp,
            max_gradient_norm=max_gradient_norm,
        )

    def _learn(self, batchdata: Sequence[Mapping[str, Any]]) -> None:
        images, targets = self.prepare_batch(batchdata, self.state.device, self.non_blocking, **self.to_kwargs)
        size = self.micro_batch_size or len(images)
        sums: dict[str, torch.Tensor] = {}
        for start in range(0, len(images), size):
            part = slice(start, start + size)
            losses = self.inferer(images[part], self.network, targets[part])
            loss = self.loss_function(losses)
            self._refuse_non_finite(loss, batchdata[part])
            share = len(images[part]) / len(images)
            self.loss_scaler.scale(loss * share).backward()
            for name, value in losses.items():
                sums[name] = sums.get(name, 0) + share * value.detach()
        self.state.output = {Keys.IMAGE: images, LOSSES: sums, Keys.LOSS: self._weighted_sum(sums)}
        self.fire_event(IterationEvents.LOSS_COMPLETED)

    def _weighted_sum(self, losses: Mapping[str, torch.Tensor]) -> torch.Tensor:
        unknown = self.loss_weights.keys() - losses.keys()
        if unknown:
            raise ValueError(f"loss_weights name {', '.join(sorted(unknown))}; the losses are {', '.join(losses)}")
        return torch.stack([self.loss_weights.get(name, 1.0) * value for name, value in losses.items()]).sum()


class DetectionEvaluator(Evaluator):
    """`Evaluator` of a network that gives the objects of each image, such as `MaskRCNN`.

    ``state.output`` is a list with ``image`` and ``pred`` of each image, beside the list of samples in ``state.batch``.
    MONAI's evaluator takes such outputs apart wrongly, without a word: of two images it made twenty.

    Args:
        device, val_data_loader, network, inferer, postprocessing, val_handlers, amp: as in `Evaluator`; the loader
            gives lists.
        key_metric_name: by which the best model is chosen, one of those that a handler leaves in ``state.metrics``.
    """

    def __init__(
        self,
        device: torch.device,
        val_data_loader: Iterable | DataLoader,
        network: torch.nn.Module,
        prepare_batch: Callable = prepare_images,
        inferer: Inferer | None = None,
        postprocessing: Transform | None = None,
        val_handlers: Sequence | None = None,
        amp: str | bool = "auto",
        key_metric_name: str = "ap",
    ) -> None:
        super().__init__(
            device=device,
            val_data_loader=val_data_loader,
            network=network,
            prepare_batch=prepare_batch,
            inferer=inferer,
            postprocessing=postprocessing,
            val_handlers=val_handlers,
            amp=amp,
        )
        self.state.key_metric_name = key_metric_name

    def _register_decollate(self) -> None:
        @self.on(IterationEvents.MODEL_COMPLETED)
        def _take_apart(engine: Engine) -> None:
            output: Any = engine.state.output
            found = zip(output[Keys.IMAGE], output[Keys.PRED], strict=True)
            engine.state.output = [{Keys.IMAGE: image, Keys.PRED: objects} for image, objects in found]
