"""Pictures of a judged classifier: confusion matrices, curves, reliability, and its most confident mistakes."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image

from monai_seg.data.atomic import atomic_path
from monai_seg.handlers.classified_cases import ClassifiedCases
from monai_seg.handlers.contact_sheet import contact_sheet
from monai_seg.metrics.classification import average_precision as average_precision_of
from monai_seg.metrics.classification import precision_recall_curve, reliability, roc_auc, roc_curve

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's, which colour-blind readers can tell apart.
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#999933")
_MOST_MISTAKES = 24


def write_figures(folder: Path, cases: ClassifiedCases) -> None:
    """Write ``confusion.png``, ``roc.png``, ``precision_recall.png``, ``reliability.png`` and ``mistakes.png``.

    Args:
        folder: made where it is missing.
        cases: what the classifier said.
    """
    pictures = {
        "confusion": confusion_picture(cases.confusion(), cases.class_names),
        "roc": roc_picture(cases),
        "precision_recall": precision_recall_picture(cases),
        "reliability": reliability_picture(cases),
        "mistakes": mistakes_picture(cases),
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, picture in pictures.items():
        with atomic_path(folder / f"{name}.png") as temporary:
            Image.fromarray(picture).save(temporary, format="PNG")


def confusion_picture(counts: np.ndarray, class_names: Sequence[str]) -> np.ndarray:
    """Two matrices side by side: counts, and shares of each row (the true class).

    Args:
        counts: cases by reference and prediction, ``(K, K)``.
        class_names: of rows and columns.
    """
    figure, (left, right) = _figure(2)
    with np.errstate(invalid="ignore"):
        shares = counts / counts.sum(axis=1, keepdims=True)
    for axes, values, title in ((left, counts, "cases"), (right, shares, "share of each true class")):
        axes.imshow(np.nan_to_num(shares), cmap="Blues", vmin=0, vmax=1)
        for (row, column), value in np.ndenumerate(values):
            shown = "–" if np.isnan(value) else f"{value:.2f}" if values is shares else f"{value}"
            tint = "white" if np.nan_to_num(shares)[row, column] > 0.5 else "black"
            axes.text(column, row, shown, ha="center", va="center", color=tint, fontsize=9)
        axes.set_xticks(range(len(class_names)), class_names, rotation=35, ha="right")
        axes.set_yticks(range(len(class_names)), class_names)
        axes.set_xlabel("predicted")
        axes.set_ylabel("true")
        axes.set_title(title)
    return _drawn(figure)


def roc_picture(cases: ClassifiedCases) -> np.ndarray:
    """The ROC curve of each class against the others; classes without a case have none."""
    figure, (axes,) = _figure(1)
    axes.plot([0, 1], [0, 1], color="#bbbbbb", linewidth=1)
    for index, name, scores, positive in _each_class(cases):
        false, true, _ = roc_curve(scores, positive)
        area = float(roc_auc(scores, positive)[0])
        axes.plot(false.cpu(), true.cpu(), color=_colour(index), label=f"{name} {area:.3f}")
    _labelled(axes, "false positive rate", "true positive rate", "ROC, area below")
    return _drawn(figure)


def precision_recall_picture(cases: ClassifiedCases) -> np.ndarray:
    """The precision-recall curve of each class, with the share of the class as a dotted line."""
    figure, (axes,) = _figure(1)
    for index, name, scores, positive in _each_class(cases):
        precision, recall, _ = precision_recall_curve(scores, positive)
        area = float(average_precision_of(scores, positive)[0])
        axes.step(recall.cpu(), precision.cpu(), where="pre", color=_colour(index), label=f"{name} {area:.3f}")
        axes.axhline(float(positive.double().mean()), color=_colour(index), linewidth=0.8, linestyle=":")
    _labelled(axes, "recall", "precision", "precision and recall, average precision")
    return _drawn(figure)


def reliability_picture(cases: ClassifiedCases) -> np.ndarray:
    """Accuracy over confidence, and how many cases are that confident."""
    figure, (axes, below) = _figure(2)
    found = reliability(cases.probabilities, cases.reference)
    count, confidence, accuracy = (value.cpu().numpy() for value in (found.count, found.confidence, found.accuracy))
    axes.plot([0, 1], [0, 1], color="#bbbbbb", linewidth=1)
    axes.plot(confidence[count > 0], accuracy[count > 0], marker="o", color=_COLOURS[0])
    gap = float(np.nansum(count * np.abs(accuracy - confidence)) / max(count.sum(), 1))
    _labelled(axes, "highest probability", "share that is right", f"reliability, calibration error {gap:.3f}")
    edges = np.arange(len(count)) / len(count)
    below.bar(edges, count, width=1 / len(count), align="edge", color=_COLOURS[0], edgecolor="white")
    _labelled(below, "highest probability", "cases", "how sure it is", square=False)
    return _drawn(figure)


def mistakes_picture(cases: ClassifiedCases, most: int = _MOST_MISTAKES) -> np.ndarray:
    """The wrong cases that the network is surest of, the surest first: what it said, what is true.

    Many of them are wrong labels.
    """
    confidence, prediction = cases.probabilities.max(1)
    wrong = (prediction != cases.reference).nonzero()[:, 0].tolist()
    wrong.sort(key=lambda place: (-float(confidence[place]), cases.files[place]))
    names, truth, said = cases.class_names, cases.reference.tolist(), prediction.tolist()
    captions = [f"{names[said[place]]} {float(confidence[place]):.2f}\nis {names[truth[place]]}" for place in wrong]
    heading = f"{len(wrong)} of {len(cases.files)} wrong; the surest {min(most, len(wrong))}"
    return contact_sheet([cases.files[place] for place in wrong[:most]], captions[:most], heading)


def _each_class(cases: ClassifiedCases) -> Iterator[tuple[int, str, torch.Tensor, torch.Tensor]]:
    """Index, name, probabilities and membership of each class that parts the cases."""
    for index, name in enumerate(cases.class_names):
        positive = cases.reference == index
        if 0 < int(positive.sum()) < len(positive):
            yield index, name, cases.probabilities[:, index], positive


def _colour(index: int) -> str:
    return _COLOURS[index % len(_COLOURS)]


def _figure(columns: int) -> tuple[Figure, list[Axes]]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.2 * columns, 4.8), layout="constrained")
    return figure, [figure.add_subplot(1, columns, column + 1) for column in range(columns)]


def _labelled(axes: Axes, x: str, y: str, title: str, square: bool = True) -> None:
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.set_title(title)
    axes.set_xlim(0, 1)
    if square:
        axes.set_ylim(0, 1.01)
        axes.set_aspect("equal")
    if axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize=8)


def _drawn(figure: Figure) -> np.ndarray:
    """The figure as ``(rows, columns, 3)``, uint8."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    buffer = io.BytesIO()
    FigureCanvasAgg(figure).print_png(buffer)
    buffer.seek(0)
    return np.asarray(Image.open(buffer).convert("RGB"))
