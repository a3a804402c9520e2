"""oLRP, the localisation-recall-precision error at its best score threshold.

Reference: Oksuz et al. 2018, "Localization Recall Precision (LRP): A New Performance
Metric for Object Detection", ECCV, and Oksuz et al. 2021, "One Metric to Measure Them
All: Localisation Recall Precision (LRP) for Evaluating Visual Detection Tasks".
"""

from typing import NamedTuple

import numpy as np


class OLRP(NamedTuple):
    """The error, all fractions, less is better; NaN where it is not defined.

    Attributes:
        total (float): oLRP; 1 if nothing was found.
        loc (float): Mean of 1 - IoU of the matches.
        fp (float): False positives among the detections.
        fn (float): Objects that were not found.
    """

    total: float
    loc: float
    fp: float
    fn: float


UNDEFINED = OLRP(np.nan, np.nan, np.nan, np.nan)
NOTHING_FOUND = OLRP(1.0, np.nan, np.nan, 1.0)


def olrp(iou: np.ndarray, objects: int, threshold: float = 0.5) -> OLRP:
    """Compute oLRP of one class.

    As in its authors' code, a score threshold may fall between two detections of
    equal score.

    Args:
        iou (np.ndarray): IoU of each detection with the object it was matched to, 0
            without one, by falling score, shape (n,).
        objects (int): Number of objects to find.
        threshold (float): The least IoU of a match.
    """
    if not objects:
        return UNDEFINED
    true_positives = np.cumsum(iou > 0)
    if not len(iou) or not true_positives[-1]:
        return NOTHING_FOUND
    false_positives = np.arange(1, len(iou) + 1) - true_positives
    missed = objects - true_positives
    distance = true_positives - np.cumsum(iou)
    error = (distance / (1 - threshold) + false_positives + missed) / (
        true_positives + false_positives + missed
    )
    best = int(error.argmin())
    found = true_positives[best]
    return OLRP(
        float(error[best]),
        float(distance[best] / found) if found else np.nan,
        float(false_positives[best] / (best + 1)),
        float(missed[best] / objects),
    )
