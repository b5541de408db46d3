"""Measures of classifiers against scikit-learn: several numbers of classes, ties, absent classes, weights."""

import math

import numpy as np
import pytest
import torch

from monai_seg.metrics.classification import (
    ConfusionMeasures,
    brier_score,
    calibration_error,
    classification_measures,
    confusion_matrices,
    confusion_measures,
    fit_temperature,
    precision_recall_curve,
    reliability,
    roc_curve,
)

EXACT = {"rel": 1e-12, "abs": 1e-12, "nan_ok": True}


def judged(classes: int, absent: int | None = None, ties: bool = False, count: int = 120):
    draw = np.random.default_rng(classes)
    reference = draw.choice([each for each in range(classes) if each != absent], count)
    scores = draw.normal(size=(count, classes)) + 1.5 * np.eye(classes)[reference]
    probability = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    if ties:
        probability = np.round(probability, 1) + 1e-3
        probability /= probability.sum(1, keepdims=True)
    return torch.from_numpy(probability), torch.from_numpy(reference)


CASES = [(2, None, False), (4, None, False), (5, None, True), (5, 2, False), (3, 0, True)]


@pytest.mark.parametrize("weighted", [False, True], ids=["", "weighted"])
@pytest.mark.parametrize(("classes", "absent", "ties"), CASES)
def test_as_scikit_learn(classes, absent, ties, weighted):
    metrics = pytest.importorskip("sklearn.metrics")
    probability, reference = judged(classes, absent, ties)
    weight = np.random.default_rng(9).integers(0, 4, len(reference)) if weighted else np.ones(len(reference))
    found = classification_measures(probability, reference, torch.from_numpy(weight)[None] if weighted else None)
    p, y, predicted = probability.numpy(), reference.numpy(), probability.argmax(1).numpy()
    labels = list(range(classes))
    options = {"labels": labels, "sample_weight": weight}
    assert found["accuracy"].item() == pytest.approx(
        metrics.accuracy_score(y, predicted, sample_weight=weight), **EXACT
    )
    present = sorted(set(y[weight > 0]))
    recall = metrics.recall_score(y, predicted, average=None, zero_division=np.nan, **options)
    assert found["balanced_accuracy"].item() == pytest.approx(recall[present].mean(), **EXACT)
    kappa = metrics.cohen_kappa_score(y, predicted, labels=labels, sample_weight=weight)
    assert found["kappa"].item() == pytest.approx(kappa, **EXACT)
    for name in ("precision", "recall", "f1"):
        score = getattr(metrics, f"{name}_score")
        each = score(y, predicted, average=None, zero_division=np.nan, **options)
        assert found[name][0].tolist() == pytest.approx(each.tolist(), **EXACT)
        mean = score(y, predicted, average="weighted", zero_division=np.nan, **options)
        assert found[f"{name}_weighted"].item() == pytest.approx(mean, **EXACT)
    if classes > 2:
        top = metrics.top_k_accuracy_score(y, p, k=2, labels=labels, sample_weight=weight)
        if not ties:  # of equal probabilities scikit-learn takes the last class, argmax the first
            assert found["top2_accuracy"].item() == pytest.approx(top, **EXACT)
    loss = metrics.log_loss(y, p, labels=labels, sample_weight=weight)
    assert found["log_likelihood"].item() == pytest.approx(-loss, **EXACT)
    for index in labels:
        is_it = y == index
        negatives = metrics.recall_score(~is_it, predicted != index, sample_weight=weight, zero_division=np.nan)
        assert found["specificity"][0, index].item() == pytest.approx(negatives, **EXACT)
        if index == absent:
            assert math.isnan(found["roc_auc"][0, index])
            assert math.isnan(found["average_precision"][0, index])
            continue
        area = metrics.roc_auc_score(is_it, p[:, index], sample_weight=weight)
        assert found["roc_auc"][0, index].item() == pytest.approx(area, **EXACT)
        precision = metrics.average_precision_score(is_it, p[:, index], sample_weight=weight)
        assert found["average_precision"][0, index].item() == pytest.approx(precision, **EXACT)


def test_curves_as_scikit_learn():
    metrics = pytest.importorskip("sklearn.metrics")
    probability, reference = judged(4, ties=True)
    scores, is_it = probability[:, 1], reference == 1
    false, true, _ = metrics.roc_curve(is_it, scores, drop_intermediate=False)
    ours = roc_curve(scores, is_it)
    assert ours[0].tolist() == pytest.approx(false.tolist(), **EXACT)
    assert ours[1].tolist() == pytest.approx(true.tolist(), **EXACT)
    precision, recall, thresholds = metrics.precision_recall_curve(is_it, scores)
    ours = precision_recall_curve(scores, is_it)
    assert ours[0].tolist() == pytest.approx(precision[::-1].tolist(), **EXACT)
    assert ours[1].tolist() == pytest.approx(recall[::-1].tolist(), **EXACT)
    assert ours[2][1:].tolist() == pytest.approx(thresholds[::-1].tolist())


def test_traps_of_pooled_counts():
    """Accuracy of classes is not that of one-hot elements, balanced accuracy not (TPR + TNR) / 2, macro not micro."""
    matrix = torch.tensor([[[8.0, 2, 0], [1, 1, 0], [0, 1, 3]]]).double()
    measures = confusion_measures(matrix)
    assert measures.accuracy.item() == pytest.approx(12 / 16)
    elementwise = 1 - 2 * 4 / (3 * 16)
    assert elementwise == pytest.approx(0.8333, abs=1e-4)
    assert measures.balanced_accuracy.item() == pytest.approx((0.8 + 0.5 + 0.75) / 3)
    halves = ((measures.recall + measures.specificity) / 2).mean()
    assert halves > measures.balanced_accuracy + 0.05
    assert measures.f1.nanmean().item() == pytest.approx((16 / 19 + 2 / 6 + 6 / 7) / 3)


def test_resamples_equal_repeated_cases():
    probability, reference = judged(4)
    weights = torch.randint(0, 3, (5, len(reference)), generator=torch.Generator().manual_seed(0))
    found = classification_measures(probability, reference, weights)
    for row, weight in enumerate(weights):
        drawn = torch.repeat_interleave(torch.arange(len(reference)), weight)
        alone = classification_measures(probability[drawn], reference[drawn])
        for name, value in alone.items():
            assert found[name][row].tolist() == pytest.approx(value[0].tolist(), **EXACT), name


def test_calibration_by_hand():
    probability = torch.tensor([[0.94, 0.06], [0.82, 0.18], [0.55, 0.45], [0.32, 0.68]], dtype=torch.float64)
    reference = torch.tensor([0, 1, 0, 1])
    by_hand = (abs(1 - 0.94) + abs(0 - 0.82) + abs(1 - 0.55) + abs(1 - 0.68)) / 4  # each in a bin of its own
    assert calibration_error(probability, reference, 10).item() == pytest.approx(by_hand)
    both = reliability(probability, reference, 2)
    assert both.count.tolist() == [0, 4]
    assert both.confidence[1].item() == pytest.approx((0.94 + 0.82 + 0.55 + 0.68) / 4)
    assert both.accuracy[1].item() == 0.75
    assert math.isnan(both.accuracy[0])
    assert brier_score(probability, reference).item() == pytest.approx(2 * (0.06**2 + 0.82**2 + 0.45**2 + 0.32**2) / 4)


def test_a_probability_of_one_is_in_the_last_bin():
    assert reliability(torch.tensor([[1.0, 0.0]]), torch.tensor([0])).count[-1] == 1


@pytest.mark.parametrize("true", [0.3, 1.0, 2.5])
def test_temperature_is_found(true):
    draw = torch.Generator().manual_seed(1)
    scores = 2 * torch.randn(40_000, 4, generator=draw, dtype=torch.float64)
    reference = torch.multinomial((scores / true).softmax(1), 1, generator=draw)[:, 0]
    found = fit_temperature(scores, reference)
    assert found == pytest.approx(true, rel=0.05)
    loss = [torch.nn.functional.cross_entropy(scores / (found * f), reference) for f in (0.99, 1.0, 1.01)]
    assert min(loss) == loss[1]


def test_temperature_of_all_right_and_of_nothing():
    assert fit_temperature(torch.eye(3) * 4, torch.arange(3)) == pytest.approx(0.05)
    assert fit_temperature(torch.eye(3) * 4, torch.tensor([1, 2, 0])) == pytest.approx(20)
    assert fit_temperature(torch.zeros(0, 3), torch.zeros(0)) == 1.0


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="class indices go from 0 to 3; the classes are 3"):
        confusion_matrices(torch.tensor([0]), torch.tensor([3]), 3)
    with pytest.raises(ValueError, match=r"are \(2, 3\) and \(1,\); give \(N, K\) and \(N,\)"):
        classification_measures(torch.ones(2, 3), torch.zeros(1))
    assert isinstance(confusion_measures(torch.ones(1, 2, 2)), ConfusionMeasures)
