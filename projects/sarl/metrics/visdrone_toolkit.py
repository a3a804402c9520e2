"""The scores of VisDrone's own evaluation code, quirks included.

Reference: github.com/VisDrone/VisDrone2018-DET-toolkit (MATLAB, version 1.0.4), of Zhu
et al. 2018, "Vision Meets Drones: A Challenge". Where it differs from COCO:

- Ground truth and detections with at least half of their area in ignored regions are
  dropped, before the caps apply.
- The caps of 1, 10, 100 and 500 count the detections of all classes of an image, in
  the order in which they are listed, whatever their scores.
- Recall is a fraction of all objects, those to be ignored among them.
- AP is the area under all points of the interpolated curve.
- The mean over classes weighs a class by the number of images that show it.
- Objects of the class "others" are not in the ground truth: finding them is wrong.
"""

from typing import NamedTuple

import numpy as np
from pycocotools.mask import iou as box_iou

from .boxes import Detections, Objects
from .matching import Candidates

CAPS = (1, 10, 100, 500)
# Summed like the toolkit's 0.5:0.05:0.95, which rounds 0.85 up: an IoU of exactly 17/20
# is below it.
IOU_THRESHOLDS = 0.5 + 0.05 * np.arange(10)


def described() -> dict:
    """What the scores depend on, for JSON."""
    return dict(
        name='VisDrone2018-DET-toolkit 1.0.4',
        iou_thresholds='0.50:0.05:0.95',
        max_dets_per_image=list(CAPS),
        max_dets_order='as listed',
        precision_points='all',
        class_mean='weighed by images that show the class',
        recall_denominator='all objects, ignored ones too',
        dropped='at least half of the area in ignored regions',
    )


class ToolkitScores(NamedTuple):
    """Scores of each class, as fractions.

    Attributes:
        ap (np.ndarray): Shape (classes, 10 IoUs).
        ar (np.ndarray): Shape (classes, 10 IoUs, 4 caps).
        images (np.ndarray): Number of images that show the class, shape (classes,).
    """

    ap: np.ndarray
    ar: np.ndarray
    images: np.ndarray

    def of_class(self, label: int) -> 'ToolkitScores':
        """Take the scores of one class."""
        return ToolkitScores(*(column[[label]] for column in self))

    def rows(self) -> dict[str, float]:
        """Take means over the classes, weighed by images.

        Returns:
            dict[str, float]: `AP`, `AP50`, `AP75`, `AR1`, `AR10`, `AR100`, `AR500`;
            -1 if no image shows an object.
        """
        means = {
            'AP': self.ap.mean(1),
            'AP50': self.ap[:, 0],
            'AP75': self.ap[:, 5],
            **{f'AR{cap}': self.ar[:, :, i].mean(1) for i, cap in enumerate(CAPS)},
        }
        if not self.images.any():
            return dict.fromkeys(means, -1.0)
        return {
            name: float(np.average(values, weights=self.images))
            for name, values in means.items()
        }


def score(
    objects: Objects,
    detections: Detections,
    regions: Objects,
    sizes: np.ndarray,
    classes: int,
) -> ToolkitScores:
    """Score detections as the toolkit does.

    Images are numbered in the order of their annotation files' names, which decides
    between detections of equal score.

    Args:
        objects (Objects): The ground truth; `ignored` are those of score 0.
        detections (Detections): In the order of the result files. Labels beyond the
            classes are allowed: such detections use up the caps.
        regions (Objects): The ignored regions.
        sizes (np.ndarray): Width and height of each image in px, shape (images, 2).
        classes (int): Number of classes.
    """
    objects = _by_image(objects)
    detections = _by_image(detections)
    objects = objects.take(~_in_regions(objects, regions, sizes))
    detections = detections.take(~_in_regions(detections, regions, sizes))
    place = _place_in_image(detections.image)

    scores = ToolkitScores(
        np.zeros((classes, len(IOU_THRESHOLDS))),
        np.zeros((classes, len(IOU_THRESHOLDS), len(CAPS))),
        np.zeros(classes, int),
    )
    for label in range(classes):
        of_class = objects.take(objects.label == label)
        scores.images[label] = len(np.unique(of_class.image))
        found = detections.label == label
        found_place = place[found]
        found = detections.take(found)
        # Within an image by falling score: the order in which they choose objects.
        order = np.lexsort((-found.score, found.image))
        found, found_place = found.take(order), found_place[order]
        pairs = _overlaps(of_class, found)
        for cap_index, cap in enumerate(CAPS):
            counted = found_place < cap
            kept = counted[pairs[0]]
            candidates = Candidates(
                int(counted.sum()),
                of_class.ignored,
                # Their numbers among those that count.
                (np.cumsum(counted) - 1)[pairs[0][kept]],
                pairs[1][kept],
                pairs[2][kept],
            )
            rank = np.argsort(-found.score[counted], kind='stable')
            for threshold_index, threshold in enumerate(IOU_THRESHOLDS):
                iou, ignored = candidates.assign(threshold)
                right = np.cumsum(iou[rank] > 0)
                wrong = np.cumsum((iou[rank] == 0) & ~ignored[rank])
                recall = right / max(1, len(of_class.image))
                if len(rank):
                    scores.ar[label, threshold_index, cap_index] = recall[-1]
                # The last cap is that of AP.
                if cap == CAPS[-1]:
                    precision = right / np.maximum(1, right + wrong)
                    scores.ap[label, threshold_index] = _area_under(recall, precision)
    return scores


def _by_image(boxes: Objects | Detections) -> Objects | Detections:
    return boxes.take(np.argsort(boxes.image, kind='stable'))


def _place_in_image(image: np.ndarray) -> np.ndarray:
    first = np.searchsorted(image, image)
    return np.arange(len(image)) - first


def _overlaps(
    objects: Objects, detections: Detections
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Find the pairs of a detection and an object of one image that overlap.

    Returns:
        tuple[np.ndarray, np.ndarray, np.ndarray]: Numbers of the detections and of the
        objects, and IoUs.
    """
    pairs = [(np.empty(0, int), np.empty(0, int), np.empty(0))]
    for image in np.intersect1d(objects.image, detections.image):
        of_image = [
            np.arange(*np.searchsorted(boxes.image, (image, image + 1)))
            for boxes in (detections, objects)
        ]
        found, there = of_image
        iou = box_iou(
            detections.box[found],
            objects.box[there],
            objects.ignored[there].astype(np.uint8),
        )
        rows, columns = np.nonzero(iou)
        pairs.append((found[rows], there[columns], iou[rows, columns]))
    return tuple(np.concatenate(column) for column in zip(*pairs, strict=True))


def _in_regions(
    boxes: Objects | Detections, regions: Objects, sizes: np.ndarray
) -> np.ndarray:
    dropped = np.zeros(len(boxes.image), bool)
    for image in np.unique(regions.image):
        rows = np.flatnonzero(boxes.image == image)
        dropped[rows] = mostly_covered(
            boxes.box[rows], regions.box[regions.image == image], *sizes[image]
        )
    return dropped


def mostly_covered(
    boxes: np.ndarray, regions: np.ndarray, width: int, height: int
) -> np.ndarray:
    """Tell which boxes have at least half of their area in regions.

    Coordinates are rounded to pixels that count from 1. A region takes a pixel more to
    the right and below than its size; of a box, the pixels right of x and below y
    count.

    Args:
        boxes (np.ndarray): x, y, w, h in px, shape (n, 4).
        regions (np.ndarray): x, y, w, h in px, shape (m, 4).
        width (int): Width of the image in px.
        height (int): Height of the image in px.

    Returns:
        np.ndarray: Shape (n,).
    """
    left, top, w, h = _rounded(regions).T
    right, bottom = np.minimum(left + w, width), np.minimum(top + h, height)
    # The image in cells between the regions' edges: is a cell covered?
    columns, rows = np.unique([left, right + 1]), np.unique([top, bottom + 1])
    cells = np.zeros((len(rows) - 1, len(columns) - 1))
    for y1, y2, x1, x2 in zip(
        np.searchsorted(rows, top),
        np.searchsorted(rows, bottom + 1),
        np.searchsorted(columns, left),
        np.searchsorted(columns, right + 1),
        strict=True,
    ):
        cells[y1:y2, x1:x2] = 1

    def up_to(position: np.ndarray, edges: np.ndarray) -> np.ndarray:
        return np.clip(position[:, None] + 1 - edges[:-1], 0, np.diff(edges))

    x, y, w, h = _rounded(boxes).T
    x, y = np.minimum(x, width), np.minimum(y, height)
    across = up_to(np.minimum(x + w, width), columns) - up_to(x, columns)
    down = up_to(np.minimum(y + h, height), rows) - up_to(y, rows)
    return (down @ cells * across).sum(1) / (w * h) >= 0.5


def _rounded(boxes: np.ndarray) -> np.ndarray:
    return np.maximum(1, np.floor(boxes + 0.5))


def _area_under(recall: np.ndarray, precision: np.ndarray) -> float:
    recall = np.concatenate([[0], recall, [1]])
    precision = np.concatenate([[0], precision, [0]])
    precision = np.maximum.accumulate(precision[::-1])[::-1]
    step = np.flatnonzero(np.diff(recall)) + 1
    return float(np.sum((recall[step] - recall[step - 1]) * precision[step]))
