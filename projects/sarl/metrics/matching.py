"""COCO's assignment of detections to objects, at one IoU threshold."""

import numpy as np


class Candidates:
    """Pairs of a detection and an object that overlap.

    Detections are numbered in the order in which they choose: within an image by
    falling score. Objects that are ignored are marked by `ignored`.

    Args:
        detections (int): Number of detections, of all images together.
        ignored (np.ndarray): Whether each object is to be ignored, shape (objects,).
        detection (np.ndarray): Number of the detection of each pair, shape (pairs,).
        object_ (np.ndarray): Number of the object of each pair, shape (pairs,).
        iou (np.ndarray): IoU of each pair; with an ignored object, the fraction of
            the detection that lies in it. Shape (pairs,).
    """

    def __init__(
        self,
        detections: int,
        ignored: np.ndarray,
        detection: np.ndarray,
        object_: np.ndarray,
        iou: np.ndarray,
    ) -> None:
        self.detections = detections
        self.ignored = ignored
        real = ~ignored[object_]
        self.in_ignored = detection[~real], iou[~real]
        detection, object_, iou = detection[real], object_[real], iou[real]
        # A detection takes the best object that is left, of equal ones the last.
        order = np.lexsort((-object_, -iou, detection))
        self.detection, self.object = detection[order], object_[order]
        self.iou = iou[order]

    def assign(self, threshold: float) -> tuple[np.ndarray, np.ndarray]:
        """Let each detection in turn take the best object that is left.

        Args:
            threshold (float): The least IoU of a match.

        Returns:
            tuple[np.ndarray, np.ndarray]: IoU of each detection with the object it
            took, 0 without one, and whether it is to be ignored, both of shape
            (detections,).
        """
        # COCO asks of an IoU of 1 that it be 1 up to rounding.
        threshold = min(threshold, 1 - 1e-10)
        close = np.flatnonzero(self.iou >= threshold)
        done = bytearray(self.detections)
        taken = bytearray(len(self.ignored))
        matches = []
        for pair, detection, object_ in zip(
            close.tolist(),
            self.detection[close].tolist(),
            self.object[close].tolist(),
            strict=True,
        ):
            if not (done[detection] or taken[object_]):
                done[detection] = taken[object_] = 1
                matches.append(pair)
        iou = np.zeros(self.detections)
        iou[self.detection[matches]] = self.iou[matches]

        detection, overlap = self.in_ignored
        ignored = np.zeros(self.detections, bool)
        ignored[detection[overlap >= threshold]] = True
        return iou, ignored & (iou == 0)
