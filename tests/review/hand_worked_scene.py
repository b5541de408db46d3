"""A scene of 4 x 6 pixels that is worked out by hand; tests of this room share it."""

from __future__ import annotations

import numpy as np

REFERENCE = np.array([[1, 1, 0, 0, 0, 0], [1, 1, 0, 0, 0, 0], [0, 0, 0, 0, 1, 1], [0, 0, 0, 0, 1, 1]], np.uint8)
PREDICTION = np.array([[1, 1, 1, 0, 0, 0], [1, 0, 1, 0, 0, 0], [0, 0, 0, 0, 0, 1], [0, 0, 0, 0, 0, 1]], np.uint8)
# 0 TN, 1 TP, 2 FP, 3 FN
STATES = [[1, 1, 2, 0, 0, 0], [1, 3, 2, 0, 0, 0], [0, 0, 0, 0, 3, 1], [0, 0, 0, 0, 3, 1]]
# By blocks of 4 px: the right one is cut to 4 x 2. Pixels in the order of the states.
BLOCKS = [[[10, 3, 2, 1], [4, 2, 0, 2]]]
COUNTS = {"TN": 14, "TP": 5, "FP": 2, "FN": 3}
MEASURES = {
    "precision": 5 / 7,
    "recall": 5 / 8,
    "specificity": 14 / 16,
    "f1": 10 / 15,
    "dice": 10 / 15,
    "iou": 5 / 10,
    "accuracy": 19 / 24,
}
