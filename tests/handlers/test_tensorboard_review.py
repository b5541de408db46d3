"""The event file of a run, read back with TensorBoard's own reader."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from ignite.engine import Events
from monai.data import DataLoader
from monai.transforms import Activationsd, AsDiscreted, Compose
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.custom_scalar import layout_pb2
from toy_run import VALIDATION_CASES, ToyCases, ToyRun

from monai_seg.engines import Evaluator
from monai_seg.handlers import CaseMetric, CaseTable, TensorBoardReview
from monai_seg.metrics import Dice

BATCHES = 3


def read(run) -> EventAccumulator:
    events = EventAccumulator(str(run.run_folder.path / "tensorboard"), size_guidance={"scalars": 0, "images": 0})
    return events.Reload()


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return ToyRun(tmp_path_factory.mktemp("review"), tensorboard=True).train()


def test_one_event_file_holds_all_curves(run):
    (file,) = (run.run_folder.path / "tensorboard").rglob("*")
    assert file.name.startswith("events.out.tfevents")
    events = read(run)
    assert set(events.Tags()["scalars"]) == {
        "loss/train", "loss/validation", "dice/mean", "dice/object", "learning_rate/group_0", "progress/epoch",
        "speed/seconds_per_step", "speed/images_per_second", "final/dice", "final/dice_object", "final/loss",
    }  # fmt: skip
    for tag in ("loss/train", "loss/validation", "dice/mean", "learning_rate/group_0"):
        assert [point.step for point in events.Scalars(tag)] == [BATCHES, 2 * BATCHES]
    assert [point.value for point in events.Scalars("progress/epoch")] == [1, 2]
    metrics = run.evaluator.state.metrics
    for tag, name in (("dice/mean", "dice"), ("dice/object", "dice_object"), ("loss/validation", "loss")):
        assert events.Scalars(tag)[-1].value == pytest.approx(metrics[name])
        assert events.Scalars(f"final/{name}")[0].value == pytest.approx(metrics[name])


def test_training_loss_is_the_mean_of_the_epoch(toy):
    run, losses = toy(tensorboard=True), []
    run.trainer.add_event_handler(Events.ITERATION_COMPLETED, lambda e: losses.append(e.state.output["loss"].item()))
    run.train()
    found = [point.value for point in read(run).Scalars("loss/train")]
    assert found == pytest.approx([np.mean(losses[:BATCHES]), np.mean(losses[BATCHES:])])


def test_layout_puts_train_and_validation_together(run):
    (event,) = read(run).Tensors("custom_scalars__config__")
    (category,) = layout_pb2.Layout.FromString(event.tensor_proto.string_val[0]).category
    charts = {chart.title: list(chart.multiline.tag) for chart in category.chart}
    assert charts == {"loss": ["loss/train", "loss/validation"], "dice": ["dice/mean", "dice/object"]}
    assert {tag for tags in charts.values() for tag in tags} <= set(read(run).Tags()["scalars"])


def test_the_same_cases_are_drawn_after_each_validation(run):
    events = read(run)
    assert set(events.Tags()["images"]) == {"review/case_0", "review/case_1"}  # two of three, as asked
    for tag in events.Tags()["images"]:
        pictures = events.Images(tag)
        assert [picture.step for picture in pictures] == [BATCHES, 2 * BATCHES]
        shape = np.asarray(Image.open(io.BytesIO(pictures[0].encoded_image_string))).shape
        assert shape == (26 + 246 + 26, 4 * 246, 3)


def test_hyperparameters_stand_beside_final_metrics(run):
    content = read(run).PluginTagToContent("hparams")
    assert {"_hparams_/experiment", "_hparams_/session_start_info", "_hparams_/session_end_info"} == set(content)
    assert b"learning_rate" in content["_hparams_/session_start_info"]
    assert b"final/dice" in content["_hparams_/experiment"]


def test_a_resumed_run_has_each_step_once(toy):
    class Killed(BaseException):
        pass

    def kill():
        raise Killed

    first = toy(tensorboard=True, max_epochs=3)
    first.trainer.add_event_handler(Events.ITERATION_COMPLETED(once=2 * BATCHES + 1), kill)
    save = first.checkpoints._save
    first.checkpoints._save = lambda engine: save(engine) if engine.state.epoch == 1 else None
    with pytest.raises(Killed):  # after the second epoch was logged, but not saved
        first.train()
    resumed = toy(tensorboard=True, max_epochs=3, resume=True).train()
    events = read(resumed)
    for tag in ("loss/train", "dice/mean", "progress/epoch"):
        assert [point.step for point in events.Scalars(tag)] == [BATCHES, 2 * BATCHES, 3 * BATCHES]
    assert [picture.step for picture in events.Images("review/case_0")] == [BATCHES, 2 * BATCHES, 3 * BATCHES]


def test_undefined_metrics_are_left_out(toy):
    run = toy(tensorboard=True)
    run.evaluator.add_event_handler(
        Events.EPOCH_COMPLETED, lambda engine: engine.state.metrics.update(dice_object=float("nan"))
    )
    run.train()
    assert "dice/object" not in read(run).Tags()["scalars"]
    assert "dice/mean" in read(run).Tags()["scalars"]


@pytest.mark.filterwarnings("ignore:`torch.jit:FutureWarning")
def test_the_network_graph_is_drawn_where_asked(toy):
    run = toy()
    review = TensorBoardReview(run.evaluator, run.optimizer, run.run_folder, ["object"], graph_of=run.network)
    review.attach(run.trainer)
    run.train()
    events = EventAccumulator(str(run.run_folder.path / "tensorboard")).Reload()
    assert events.Tags()["graph"]
    assert any("Conv2d" in node.name or "conv" in node.op.lower() for node in events.Graph().node)


def test_other_ranks_and_runs_that_have_not_begun_write_nothing(toy, monkeypatch):
    run = toy(tensorboard=True)
    assert not run.run_folder.path.exists()
    with pytest.raises(RuntimeError, match="opened when training starts"):
        TensorBoardReview(run.evaluator, run.optimizer, run.run_folder, ["object"]).writer
    monkeypatch.setenv("RANK", "1")
    run = toy(tensorboard=True, name="rank 1")
    run.train()
    assert not (run.run_folder.path / "tensorboard").exists()


def test_logging_does_not_change_the_run(toy):
    plain, logged = toy(name="plain").train(), toy(name="logged", tensorboard=True).train()
    assert torch.equal(plain.weights(), logged.weights())


class OverlappingCases(ToyCases):
    def __getitem__(self, key):
        sample = super().__getitem__(key)
        return sample | {"label": torch.cat([sample["label"], torch.ones_like(sample["label"])])}


class OverlappingRun(ToyRun):
    """Validates two classes that overlap: the square, and everything."""

    def _evaluator(self, folder):
        return Evaluator(
            torch.device("cpu"),
            DataLoader(OverlappingCases(folder / "images", VALIDATION_CASES), batch_size=1),
            self.network,
            postprocessing=Compose([Activationsd("pred", sigmoid=True), AsDiscreted("pred", threshold=0.5)]),
            key_val_metric={"dice": CaseMetric(Dice(2, include_background=True))},
            val_handlers=[CaseTable(["square", "everything"])],
            amp=False,
        )


def test_classes_that_overlap_are_drawn_and_named(tmp_path):
    run = OverlappingRun(tmp_path)
    classes = ["square", "everything"]
    TensorBoardReview(run.evaluator, run.optimizer, run.run_folder, classes, cases=1).attach(run.trainer)
    events = read(run.train())
    assert {"dice/mean", "dice/square", "dice/everything"} <= set(events.Tags()["scalars"])
    (picture, _) = events.Images("review/case_0")
    assert (picture.height, picture.width) == (26 + 2 * 246 + 26, 4 * 246)
