"""TensorBoard of a classifier: confusion matrix, curves by class, judged cases, and what the features keep apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.utils.enums import CommonKeys as Keys

from monai_seg.data.layouts.listing import first_image
from monai_seg.engines.precision import bare
from monai_seg.engines.run_folder import RunFolder
from monai_seg.handlers.classification_evaluation import ClassificationEvaluation
from monai_seg.handlers.classification_figures import confusion_picture
from monai_seg.handlers.contact_sheet import contact_sheet
from monai_seg.handlers.panel import grey_levels
from monai_seg.handlers.tensorboard import TensorBoardReview
from monai_seg.handlers.training_curves import write_training_curves
from monai_seg.metrics.classification import PER_CLASS

_MOST_EMBEDDED = 400
_SPRITE = 32


class ClassificationReview(TensorBoardReview):
    """`TensorBoardReview` of a classifier, judged by a `ClassificationEvaluation`.

    At the end of training the features of the validation cases go to the embedding projector, and the curves of the run
    to ``figures/training_curves.png``.

    Args:
        evaluator, optimizer, run_folder, class_names, cases, hyperparameters: as of `TensorBoardReview`.
        evaluation: judges the validation.
    """

    def __init__(
        self,
        evaluator: Any,
        optimizer: torch.optim.Optimizer,
        run_folder: RunFolder,
        class_names: Sequence[str],
        evaluation: ClassificationEvaluation,
        cases: int = 8,
        hyperparameters: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(evaluator, optimizer, run_folder, class_names, cases, hyperparameters)
        self.evaluation = evaluation

    def _layout(self) -> dict[str, list]:
        charts = {name: ["Multiline", [f"{name}/{each}" for each in self.class_names]] for name in PER_CLASS}
        whole = ["accuracy/mean", "balanced_accuracy/mean", "f1/mean", "kappa/mean"]
        losses = ["loss/train", "loss/validation"]
        return {"loss": ["Multiline", losses], "measures": ["Multiline", whole], **charts}

    def _log_validation(self, trainer: Any) -> None:
        cases, step = self.evaluation.cases, trainer.state.iteration
        if cases is not None:
            picture = confusion_picture(cases.confusion(), self.class_names)
            self.writer.add_image("confusion", picture, step, dataformats="HWC")
            for index, name in enumerate(self.class_names):
                truth, share = (cases.reference == index).cpu(), cases.probabilities[:, index].cpu()
                self.writer.add_pr_curve(name, truth, share, step)
        super()._log_validation(trainer)

    def _picture(self, sample: Any, output: Any) -> np.ndarray:
        shares = torch.as_tensor(output[Keys.PRED]).float().softmax(0).cpu()
        said, true = int(shares.argmax()), int(output[Keys.LABEL])
        caption = f"{self.class_names[said]} {float(shares[said]):.2f}\nis {self.class_names[true]}"
        return contact_sheet([_grey(output[Keys.IMAGE])], [caption])

    def _close(self) -> None:
        if self._writer is not None:
            self._embed()
        super()._close()
        write_training_curves(self.run_folder)

    @torch.no_grad()
    def _embed(self) -> None:
        """Show the features of validation cases, spread evenly over the section, with their pictures."""
        dataset = self.evaluator.data_loader.dataset
        count = min(_MOST_EMBEDDED, len(dataset))
        places = [place * len(dataset) // count for place in range(count)]
        network = bare(self.evaluator.network).eval()
        features, labels, pictures = [], [], []
        for start in range(0, count, 32):
            samples = [dataset[place] for place in places[start : start + 32]]
            images = torch.stack([torch.as_tensor(sample[Keys.IMAGE]) for sample in samples])
            features.append(_features(network, images.to(self.evaluator.state.device)).float().cpu())
            labels += [[self.class_names[int(sample[Keys.LABEL])], _name(sample)] for sample in samples]
            pictures.append(torch.nn.functional.interpolate(images, size=(_SPRITE, _SPRITE), mode="area"))
        shown = torch.cat(pictures)
        shown = (shown - shown.amin()) / (shown.amax() - shown.amin()).clamp(min=1e-6)
        sprites = shown[:, :1].expand(-1, 3, -1, -1) if shown.shape[1] != 3 else shown
        header = ["class", "case"]
        self.writer.add_embedding(torch.cat(features), labels, sprites, metadata_header=header, tag="features")


def _features(network: torch.nn.Module, images: torch.Tensor) -> torch.Tensor:
    """What goes into the last layer; the scores of a network that does not tell its last layer."""
    head = getattr(network, "head", None)
    if not isinstance(head, torch.nn.Module):
        return network(images)
    kept: list[torch.Tensor] = []
    hook = head.register_forward_pre_hook(lambda module, inputs: kept.append(inputs[0]))
    try:
        network(images)
    finally:
        hook.remove()
    return kept[0].flatten(1)


def _grey(image: torch.Tensor) -> np.ndarray:
    return grey_levels(torch.as_tensor(image).float().cpu().numpy())


def _name(sample: Mapping[str, Any]) -> str:
    image = sample[Keys.IMAGE]
    meta = getattr(image, "meta", {})
    return first_image({"image": meta.get("filename_or_obj", "")}).replace("\t", " ").replace("\n", " ")
