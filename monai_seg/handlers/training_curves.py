"""The curves of a run as one picture, for those who have no TensorBoard at hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from monai_seg.data.atomic import atomic_path
from monai_seg.engines.run_folder import RunFolder

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_CHARTS: Mapping[str, Sequence[str]] = {
    "loss": ("loss/train", "loss/validation"),
    "validation": ("balanced_accuracy/mean", "accuracy/mean", "f1/mean", "roc_auc/mean"),
    "learning rate": ("learning_rate/group_0",),
}


def write_training_curves(run_folder: RunFolder, charts: Mapping[str, Sequence[str]] = _CHARTS) -> None:
    """Draw scalars of the run's event files into ``figures/training_curves.png``.

    They are read from the files, which hold what was logged before a kill too.

    Args:
        run_folder: of the run.
        charts: tags that are drawn together, by the title of their chart; those that were not logged are left out.
    """
    curves = _scalars(str(run_folder.path / "tensorboard"))
    shown = {title: [tag for tag in tags if tag in curves] for title, tags in charts.items()}
    shown = {title: tags for title, tags in shown.items() if tags}
    if not shown:
        return
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.2 * len(shown), 4.0), layout="constrained")
    for place, (title, tags) in enumerate(shown.items()):
        axes: Axes = figure.add_subplot(1, len(shown), place + 1)
        for tag in tags:
            steps, values = curves[tag]
            axes.plot(steps, values, marker="." if len(steps) < 60 else "", label=tag.removesuffix("/mean"))
        axes.set_title(title)
        axes.set_xlabel("step")
        axes.legend(fontsize=8)
    folder = run_folder.path / "figures"
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_path(folder / "training_curves.png") as temporary:
        FigureCanvasAgg(figure).print_png(str(temporary))


def _scalars(folder: str) -> dict[str, tuple[list[int], list[float]]]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(folder, size_guidance={"scalars": 0, "images": 1, "histograms": 1, "tensors": 1})
    events.Reload()
    curves = {}
    for tag in events.Tags()["scalars"]:
        logged = events.Scalars(tag)
        curves[tag] = ([event.step for event in logged], [event.value for event in logged])
    return curves
