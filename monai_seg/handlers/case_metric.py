"""Join a MONAI metric to an engine: which of the engine's outputs it compares."""

from __future__ import annotations

from monai.handlers import IgniteMetricHandler, from_engine
from monai.metrics import CumulativeIterationMetric
from monai.utils.enums import CommonKeys as Keys


class CaseMetric(IgniteMetricHandler):
    """MONAI's `IgniteMetricHandler` on the prediction and the label of each case.

    Args:
        metric_fn: any metric of MONAI or of this project.
        prediction: name of the output to compare with the label; ``logits`` for a loss.
        save_details: leave the value of each case and class for `CaseTable`.
    """

    def __init__(
        self, metric_fn: CumulativeIterationMetric, prediction: str = Keys.PRED, save_details: bool = True
    ) -> None:
        super().__init__(metric_fn, output_transform=from_engine([prediction, Keys.LABEL]), save_details=save_details)
        # Ignite would hand over lists case by case, as new views: metrics could not share what they find on a batch.
        self._skip_unrolling = True
