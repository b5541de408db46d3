"""Whether probabilities mean what they say: calibration error, reliability, and the temperature that mends them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F

from monai_seg.metrics.classification.confusion import rows_of

_RANGE = (0.05, 20.0)  # a temperature beyond is that of a handful of cases


@dataclass(frozen=True)
class Reliability:
    """Cases in bins of equal width of the highest probability.

    Attributes:
        count, confidence, accuracy: of each bin, ``(bins,)``: cases, their mean highest probability, and the share of
            them that is right; NaN in an empty bin.
    """

    count: torch.Tensor
    confidence: torch.Tensor
    accuracy: torch.Tensor


def reliability(probabilities: torch.Tensor, reference: torch.Tensor, bins: int = 15) -> Reliability:
    """Confidence and accuracy by bin.

    Args:
        probabilities: of each case and class.
        reference: index of the true class of each case.
        bins: of equal width from 0 to 1, each with its upper edge.

    Shape:
        probabilities ``(N, K)``, reference ``(N,)``.
    """
    confidence, right, places = _binned(probabilities, reference, bins)
    members = F.one_hot(places, bins).double()
    count = members.sum(0)
    return Reliability(count, confidence @ members / count, right @ members / count)


def calibration_error(
    probabilities: torch.Tensor, reference: torch.Tensor, bins: int = 15, weights: torch.Tensor | None = None
) -> torch.Tensor:
    """Expected calibration error of the predicted class: mean gap between confidence and accuracy over the bins.

    Args:
        probabilities, reference, bins: as of `reliability`.
        weights: how often each case counts, ``(R, N)``.

    Shape:
        Gives ``(R,)``.

    Source:
        Naeini et al. 2015; arXiv:1706.04599, equation 3.
    """
    confidence, right, places = _binned(probabilities, reference, bins)
    rows = rows_of(weights, confidence)
    gaps = F.one_hot(places, bins).double() * (right - confidence)[:, None]
    return (rows @ gaps).abs().sum(1) / rows.sum(1)


def brier_score(
    probabilities: torch.Tensor, reference: torch.Tensor, weights: torch.Tensor | None = None
) -> torch.Tensor:
    """Squared distance between probabilities and the truth, summed over the classes, ``(R,)``: 0 to 2."""
    truth = F.one_hot(reference.long(), probabilities.shape[1]).double()
    distances = (probabilities.double() - truth).square().sum(1)
    rows = rows_of(weights, distances)
    return rows @ distances / rows.sum(1)


def fit_temperature(scores: torch.Tensor, reference: torch.Tensor) -> float:
    """The temperature by which scores are to be divided so that the cross-entropy is least.

    Fit it on the validation section: on the test section it flatters.

    Args:
        scores: before any softmax.
        reference: index of the true class of each case.

    Shape:
        scores ``(N, K)``, reference ``(N,)``.

    Returns:
        A number from 0.05 to 20; 1 where there is no case. The cross-entropy is convex in its inverse, so that halving
        the interval of its slope finds it.

    Source:
        arXiv:1706.04599.
    """
    if not len(scores):
        return 1.0
    exact, truth = scores.double(), reference.long()[:, None]
    low, high = 1 / _RANGE[1], 1 / _RANGE[0]
    for _ in range(60):
        middle = (low + high) / 2
        expected = ((exact * middle).softmax(1) * exact).sum(1, keepdim=True)
        if float((expected - exact.gather(1, truth)).sum()) > 0:
            high = middle
        else:
            low = middle
    return 2 / (low + high)


def _binned(
    probabilities: torch.Tensor, reference: torch.Tensor, bins: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    if bins < 1:
        raise ValueError(f"bins is {bins}; give 1 or more")
    confidence, predicted = probabilities.double().max(1)
    places = (confidence * bins).ceil().long().clamp(1, bins) - 1
    return confidence, (predicted == reference.long()).double(), places
