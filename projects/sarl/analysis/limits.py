"""How far AP would rise if one kind of error were mended.

Reference: Bolya et al. 2020, "TIDE: A General Toolbox for Identifying Object Detection
Errors", arXiv 2008.08115, section 2: a kind of error costs what an oracle that mends it
alone gains. Oracles here look at all detections, not only at those without a match, and
the scores are AI-TOD's, by size.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from pycocotools import mask

from ..markdown import markdown_table
from ..metrics.aitod_metric import AITODMetric
from ..metrics.boxes import Detections, Objects
from ..metrics.coco_protocol import Protocol, score
from ..metrics.report import AITOD_COLUMNS
from ..metrics.results_file import read_detections

# TIDE's: below it a detection is of no object.
BACKGROUND_IOU = 0.1
FOREGROUND_IOU = 0.5


def limits_of_files(
    truth: str | Path, detections: str | Path
) -> dict[str, dict[str, float]]:
    """Tell what mending each kind of error would bring.

    Args:
        truth (str | Path): The ground truth, in COCO format.
        detections (str | Path): A list in COCO's result format.

    Returns:
        dict[str, dict[str, float]]: AP by size, the keys of AI-TOD's columns, as
        fractions, for each oracle; -1 where there is nothing to score.

    Raises:
        InputError: If a file is missing, malformed or not of the other one's data set.
    """
    metric = AITODMetric(str(truth))
    cat_ids = sorted(metric.coco.cats)
    objects = Objects.from_coco(metric.coco, metric.image_ids, cat_ids)
    found = read_detections(detections, metric.coco, metric.image_ids, cat_ids)
    return {
        name: {key: rows[key] for key in AITOD_COLUMNS.values()}
        for name, rows in limits(objects, found, len(cat_ids), metric.protocol).items()
    }


def limits_table(scores: dict[str, dict[str, float]]) -> str:
    """Lay out what mending each kind of error would bring, in percent.

    Args:
        scores (dict[str, dict[str, float]]): From `limits_of_files`.
    """
    table = markdown_table(['', *AITOD_COLUMNS])
    for name, rows in scores.items():
        cells = ('-' if s < 0 else f'{100 * s:.1f}' for s in rows.values())
        table.add_row([name, *cells])
    return table.get_string()


def limits(
    objects: Objects, detections: Detections, classes: int, protocol: Protocol
) -> dict[str, dict[str, float]]:
    """Score detections as they are, and with one kind of error mended.

    - perfect boxes: a detection gets the box of the object of its class that it
      overlaps most, from an IoU of 0.1;
    - perfect classes: a detection gets the class of the object that it overlaps most,
      from an IoU of 0.5;
    - nothing of the background: a detection that overlaps no object by an IoU of 0.1
      is left out;
    - nothing missed: an object that no detection of its class overlaps by an IoU of 0.5
      is not asked for.

    Args:
        objects (Objects): The ground truth. Ignored objects mend nothing.
        detections (Detections): What was found.
        classes (int): Number of classes.
        protocol (Protocol): Bins and caps.

    Returns:
        dict[str, dict[str, float]]: `Scores.rows` of each.
    """
    boxes, labels = detections.box.copy(), detections.label.copy()
    background = np.ones(len(labels), bool)
    missed = ~objects.ignored
    for image_objects, found in _by_image(objects, detections):
        target = objects.take(image_objects)
        overlap = mask.iou(
            detections.box[found], target.box, np.zeros(len(image_objects), bool)
        )
        same = overlap * (detections.label[found, None] == target.label)
        rows = np.arange(len(found))

        best = same.argmax(axis=1)
        close = same[rows, best] >= BACKGROUND_IOU
        boxes[found[close]] = target.box[best[close]]

        best = overlap.argmax(axis=1)
        close = overlap[rows, best] >= FOREGROUND_IOU
        labels[found[close]] = target.label[best[close]]

        background[found] = overlap.max(axis=1) < BACKGROUND_IOU
        missed[image_objects] = same.max(axis=0) < FOREGROUND_IOU

    variants = {
        'as it is': (objects, detections),
        'perfect boxes': (objects, detections._replace(box=boxes)),
        'perfect classes': (objects, detections._replace(label=labels)),
        'nothing of the background': (objects, detections.take(~background)),
        'nothing missed': (objects.take(~missed), detections),
    }
    return {
        name: score(*variant, classes, protocol).rows(protocol)
        for name, variant in variants.items()
    }


def _by_image(
    objects: Objects, detections: Detections
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield the rows of objects that count and of detections, where there are both."""
    counted = np.flatnonzero(~objects.ignored)
    for image in np.intersect1d(objects.image[counted], detections.image):
        yield (
            counted[objects.image[counted] == image],
            np.flatnonzero(detections.image == image),
        )
