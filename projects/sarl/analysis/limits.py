"""How far AP would rise if one kind of error were mended.

Reference: Bolya et al. 2020, "TIDE: A General Toolbox for Identifying Object Detection
Errors", arXiv 2008.08115, section 2: a kind of error costs what an oracle that mends it
alone gains. Oracles here look at all detections, not only at those without a match. The
scores are AI-TOD's, by size, or COCO's of VisDrone where the ground truth is such.
"""

from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import numpy as np
from pycocotools import mask

from ..markdown import markdown_table
from ..metrics.aitod_metric import AITODMetric
from ..metrics.boxes import Detections, Objects
from ..metrics.coco_protocol import Protocol, score
from ..metrics.results_file import read_detections
from ..metrics.visdrone_metric import (
    COCO_STYLE,
    coco_style_objects,
    ignored_categories,
    is_visdrone,
)

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
        dict[str, dict[str, float]]: AP by size, as fractions, for each oracle; -1
        where there is nothing to score. The keys are `AITODMetric`'s `AP...`, or
        `VisDroneMetric`'s `coco_AP...` where it is VisDrone's ground truth.

    Raises:
        InputError: If a file is missing, malformed or not of the other one's data set.
    """
    metric = AITODMetric(str(truth))
    visdrone = is_visdrone(metric.coco)
    no_classes = chain(*ignored_categories(metric.coco)) if visdrone else ()
    cat_ids = sorted(metric.coco.cats.keys() - {*no_classes})
    source = metric.coco, metric.image_ids, cat_ids
    objects = (coco_style_objects if visdrone else Objects.from_coco)(*source)
    found = read_detections(detections, *source)
    protocol = COCO_STYLE if visdrone else metric.protocol
    scores = limits(objects, found, len(cat_ids), protocol)
    return {
        name: {
            f'coco_{key}' if visdrone else key: value
            for key, value in rows.items()
            if key.startswith('AP')
        }
        for name, rows in scores.items()
    }


def limits_table(scores: dict[str, dict[str, float]]) -> str:
    """Lay out what mending each kind of error would bring, in percent.

    Args:
        scores (dict[str, dict[str, float]]): From `limits_of_files`.
    """
    columns = [key.replace('AP_', 'AP') for key in next(iter(scores.values()))]
    table = markdown_table(['', *columns])
    for name, rows in scores.items():
        cells = ('-' if s < 0 else f'{100 * s:.1f}' for s in rows.values())
        table.add_row([name, *cells])
    return table.get_string()


def limits(
    objects: Objects, detections: Detections, classes: int, protocol: Protocol
) -> dict[str, dict[str, float]]:
    """Score detections as they are, and with one kind of error mended.

    - perfect boxes: by falling score, a detection gets the box of the object of its
      class that it overlaps most, from an IoU of 0.1, of those that no other has got;
      where none is left it is left out, as NMS would;
    - perfect classes: likewise, a detection of no object of its class gets the class of
      the object that it overlaps most, from an IoU of 0.5, of those that no detection
      of their class overlaps so, or is left out;
    - nothing of the background: a detection that overlaps no object by an IoU of 0.1
      is left out, unless half of it lies in an ignored object of its class;
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
    # Detections of an object that another has.
    second, confused = np.zeros((2, len(labels)), bool)
    background = ~_in_ignored(objects, detections)
    missed = ~objects.ignored
    for image_objects, found in _by_image(objects, detections, ignored=False):
        target = objects.take(image_objects)
        overlap = mask.iou(
            detections.box[found], target.box, np.zeros(len(image_objects), bool)
        )
        same = overlap * (detections.label[found, None] == target.label)
        of_none = same.max(axis=0) < FOREGROUND_IOU
        by_score = np.argsort(-detections.score[found], kind='stable')

        own = _each_its_own(same, by_score, BACKGROUND_IOU)
        boxes[found[own >= 0]] = target.box[own[own >= 0]]
        second[found] = (own < 0) & (same.max(axis=1) >= BACKGROUND_IOU)

        others = overlap * (same.max(axis=1, keepdims=True) < FOREGROUND_IOU)
        own = _each_its_own(others * of_none, by_score, FOREGROUND_IOU)
        labels[found[own >= 0]] = target.label[own[own >= 0]]
        confused[found] = (own < 0) & (others.max(axis=1) >= FOREGROUND_IOU)

        background[found] &= overlap.max(axis=1) < BACKGROUND_IOU
        missed[image_objects] = of_none

    variants = {
        'as it is': (objects, detections),
        'perfect boxes': (objects, detections._replace(box=boxes).take(~second)),
        'perfect classes': (
            objects,
            detections._replace(label=labels).take(~confused),
        ),
        'nothing of the background': (objects, detections.take(~background)),
        'nothing missed': (objects.take(~missed), detections),
    }
    return {
        name: score(*variant, classes, protocol).rows(protocol)
        for name, variant in variants.items()
    }


def _each_its_own(overlap: np.ndarray, order: np.ndarray, least: float) -> np.ndarray:
    """Hand out objects to detections in turn, to each the one it overlaps most.

    Args:
        overlap (np.ndarray): IoU, shape (detections, objects); 0 where a detection
            must not get an object.
        order (np.ndarray): Whose turn it is.
        least (float): IoU from which a detection gets an object, above 0.

    Returns:
        np.ndarray: The object of each detection, or -1.
    """
    given = np.full(len(overlap), -1)
    left = overlap.copy()
    for row in order[overlap[order].max(axis=1) >= least]:
        best = left[row].argmax()
        if left[row, best] >= least:
            given[row] = best
            left[:, best] = 0
    return given


def _in_ignored(objects: Objects, detections: Detections) -> np.ndarray:
    """Tell which detections the lowest threshold does not count as wrong."""
    inside = np.zeros(len(detections.label), bool)
    for image_objects, found in _by_image(objects, detections, ignored=True):
        target = objects.take(image_objects)
        # COCO's measure for crowds: the part of the detection that lies in it.
        covered = mask.iou(
            detections.box[found], target.box, np.ones(len(image_objects), bool)
        )
        same = covered * (detections.label[found, None] == target.label)
        inside[found] = same.max(axis=1) >= FOREGROUND_IOU
    return inside


def _by_image(
    objects: Objects, detections: Detections, ignored: bool
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield rows of objects and of detections, where an image has both.

    Args:
        objects (Objects): The ground truth.
        detections (Detections): What was found.
        ignored (bool): Whether to take ignored objects, or those that count.
    """
    chosen = np.flatnonzero(objects.ignored == ignored)
    for image in np.intersect1d(objects.image[chosen], detections.image):
        yield (
            chosen[objects.image[chosen] == image],
            np.flatnonzero(detections.image == image),
        )
