"""COCO's scores with any size bins and caps, and oLRP beside them.

References: the COCO evaluation code, github.com/cocodataset/cocoapi, whose matching,
precision and recall come from faster-coco-eval or pycocotools; Wang et al. 2021, "Tiny
Object Detection in Aerial Images", ICPR, and its evaluation code,
github.com/jwwangchn/cocoapi-aitod, for AI-TOD's bins, caps and oLRP rows.
"""

import contextlib
import io
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from faster_coco_eval import COCO as FasterCOCO
from faster_coco_eval import COCOeval_faster
from mmengine.logging import print_log
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from ..errors import InputError
from ..garbage import no_garbage_collection
from ..progress import progress_bar
from .boxes import Detections, Objects
from .matching import Candidates
from .olrp import OLRP, olrp

BACKENDS = {
    'faster_coco_eval': (FasterCOCO, COCOeval_faster),
    'pycocotools': (COCO, COCOeval),
}
# The bin of all sizes, px^2.
ALL_AREAS = (0, 1e10)


@dataclass(frozen=True)
class Protocol:
    """What a COCO-style score depends on.

    IoU thresholds are .50:.05:.95, recall points 0:.01:1. Ground truth's area is its
    `area` field, that of a detection w * h.

    Args:
        area_ranges (dict[str, tuple[float, float]]): Bins of area in px^2 beside the
            one of all areas; both bounds belong to a bin.
        max_dets (Sequence[int]): Caps on the detections that count, per image and
            class, rising; the last one is that of every AP and of oLRP.
        backend (str): 'faster_coco_eval' or 'pycocotools'; they give the same.

    Raises:
        InputError: If an argument is outside its range.
    """

    area_ranges: dict[str, tuple[float, float]]
    max_dets: Sequence[int]
    backend: str = 'faster_coco_eval'

    def __post_init__(self) -> None:
        if self.backend not in BACKENDS:
            raise InputError(
                f'backend is one of {list(BACKENDS)}, not {self.backend!r}'
            )
        caps = list(self.max_dets)
        if not caps or caps != sorted(set(caps)) or caps[0] < 1:
            raise InputError(f'max_dets must rise from 1 or more, unlike {caps}')
        for name, bounds in self.area_ranges.items():
            if len(bounds) != 2 or not 0 <= bounds[0] < bounds[1]:
                raise InputError(
                    f'area_ranges[{name!r}] is a lower and an upper area in px^2, not '
                    f'{bounds}'
                )

    def described(self) -> dict:
        """What to write beside scores, for JSON."""
        return dict(
            iou_thresholds='0.50:0.05:0.95',
            recall_points=101,
            area_ranges_px2={
                'all': list(ALL_AREAS),
                **{name: list(bounds) for name, bounds in self.area_ranges.items()},
            },
            max_dets_per_image_and_class=list(self.max_dets),
            olrp_iou_threshold=0.5,
            backend=self.backend,
        )


AREA_RANGES_AITOD = {
    'vt': (0, 64),
    't': (64, 256),
    's': (256, 1024),
    'm': (1024, 1e10),
}
AREA_RANGES_COCO = {'s': (0, 32**2), 'm': (32**2, 96**2), 'l': (96**2, 1e10)}
AITOD = Protocol(AREA_RANGES_AITOD, (1, 100, 1500))
COCO_2017 = Protocol(AREA_RANGES_COCO, (1, 10, 100))


class Scores(NamedTuple):
    """Scores of each class; -1 where there is nothing to find, as in COCO.

    Attributes:
        precision (np.ndarray): Shape (10 IoUs, 101, classes, 1 + bins, caps).
        recall (np.ndarray): Shape (10 IoUs, classes, 1 + bins, caps).
        olrp (np.ndarray): oLRP, Loc, FP, FN, shape (classes, 4); NaN where it is not
            defined.
    """

    precision: np.ndarray
    recall: np.ndarray
    olrp: np.ndarray

    def of_class(self, label: int) -> 'Scores':
        """Take the scores of one class."""
        return Scores(
            self.precision[:, :, [label]], self.recall[:, [label]], self.olrp[[label]]
        )

    def rows(self, protocol: Protocol) -> dict[str, float]:
        """Take means over the classes that have something to find.

        Args:
            protocol (Protocol): The one they were scored by.

        Returns:
            dict[str, float]: `AP`, `AP_50`, `AP_75`, `AP_{bin}`, `AR_{cap}`,
            `AR_{bin}`, `oLRP`, `oLRP_Loc`, `oLRP_FP`, `oLRP_FN`; fractions, -1 where
            there is nothing to average.
        """
        precision, recall = self.precision[..., -1], self.recall[..., -1]
        rows = {
            'AP': _mean(precision[..., 0]),
            'AP_50': _mean(precision[0, ..., 0]),
            'AP_75': _mean(precision[5, ..., 0]),
        }
        bins = list(enumerate(protocol.area_ranges, start=1))
        rows |= {f'AP_{name}': _mean(precision[..., i]) for i, name in bins}
        rows |= {
            f'AR_{cap}': _mean(self.recall[:, :, 0, index])
            for index, cap in enumerate(protocol.max_dets)
        }
        rows |= {f'AR_{name}': _mean(recall[..., i]) for i, name in bins}
        names = ('oLRP', 'oLRP_Loc', 'oLRP_FP', 'oLRP_FN')
        rows |= {name: _mean(self.olrp[:, i]) for i, name in enumerate(names)}
        return rows


def _mean(values: np.ndarray) -> float:
    # NaN > -1 is false, too.
    values = values[values > -1]
    return float(values.mean()) if values.size else -1.0


def score(
    objects: Objects, detections: Detections, classes: int, protocol: Protocol
) -> Scores:
    """Score detections, class by class.

    Args:
        objects (Objects): The ground truth.
        detections (Detections): In the order that decides between equal scores.
        classes (int): Number of classes.
        protocol (Protocol): Bins and caps.
    """
    bins, caps = 1 + len(protocol.area_ranges), len(protocol.max_dets)
    scores = Scores(
        np.full((10, 101, classes, bins, caps), -1.0),
        np.full((10, classes, bins, caps), -1.0),
        np.full((classes, 4), np.nan),
    )
    with (
        no_garbage_collection(),
        progress_bar(
            total=len(objects.label) + len(detections.label),
            desc='scoring',
            unit='box',
            unit_scale=True,
            delay=2,
            leave=False,
        ) as progress,
    ):
        for label in range(classes):
            of_class = objects.take(objects.label == label)
            found = detections.take(detections.label == label)
            if not of_class.ignored.all():
                precision, recall, error = _score_class(of_class, found, protocol)
                scores.precision[:, :, label] = precision
                scores.recall[:, label] = recall
                scores.olrp[label] = error
            progress.update(len(of_class.label) + len(found.label))
    _warn_of_nothing_found(detections, scores)
    return scores


def _warn_of_nothing_found(detections: Detections, scores: Scores) -> None:
    if (scores.recall > 0).any() or (scores.recall == -1).all():
        return
    reason = (
        f'none of the {len(detections.score)} detections overlaps an object of its '
        f'class by half. Do they belong to this ground truth, with boxes as x, y, w, h '
        f'in px of the original image?'
        if len(detections.score)
        else 'there are no detections.'
    )
    print_log(f'every score is 0: {reason}', 'current', logging.WARNING)


def _score_class(
    objects: Objects, detections: Detections, protocol: Protocol
) -> tuple[np.ndarray, np.ndarray, OLRP]:
    coco_type, evaluator_type = BACKENDS[protocol.backend]
    # An image without either changes nothing. Ids start at 1: both libraries take an
    # id of 0 for "no match".
    images = np.union1d(objects.image, detections.image)
    order = np.lexsort((-detections.score, detections.image))
    detections = detections.take(order)
    objects = objects.take(np.argsort(objects.image, kind='stable'))
    # Both libraries report by printing.
    with contextlib.redirect_stdout(io.StringIO()):
        evaluator = evaluator_type(
            _coco(
                coco_type,
                images,
                objects,
                area=objects.area,
                iscrowd=objects.ignored.astype(int),
            ),
            _coco(
                coco_type,
                images,
                detections,
                area=detections.box[:, 2] * detections.box[:, 3],
                score=detections.score,
            ),
            'bbox',
        )
        parameters = evaluator.params
        parameters.maxDets = list(protocol.max_dets)
        parameters.areaRng = [ALL_AREAS, *map(tuple, protocol.area_ranges.values())]
        parameters.areaRngLbl = ['all', *protocol.area_ranges]
        evaluator.evaluate()
        evaluator.accumulate()
    return (
        np.asarray(evaluator.eval['precision'])[:, :, 0],
        np.asarray(evaluator.eval['recall'])[:, 0],
        _olrp(evaluator.ious, images, objects, detections, protocol.max_dets[-1]),
    )


def _coco(
    coco_type: type, images: np.ndarray, boxes: Objects | Detections, **columns
) -> COCO:
    names = ('image_id', 'bbox', *columns)
    values = (boxes.image, boxes.box, *columns.values())
    coco = coco_type()
    coco.dataset = dict(
        images=[dict(id=image) for image in images.tolist()],
        categories=[dict(id=1)],
        annotations=[
            dict(zip(names, row, strict=True), id=index, category_id=1)
            for index, row in enumerate(
                zip(*(column.tolist() for column in values), strict=True), start=1
            )
        ],
    )
    coco.createIndex()
    return coco


def _olrp(
    ious: dict[tuple[int, int], np.ndarray],
    images: np.ndarray,
    objects: Objects,
    detections: Detections,
    max_dets: int,
) -> OLRP:
    """Compute oLRP from the IoUs that COCO's evaluation leaves behind.

    Args:
        ious (dict[tuple[int, int], np.ndarray]): By image and category; of each
            detection by falling score, up to the cap, with each object.
        images (np.ndarray): The images, rising.
        objects (Objects): By image.
        detections (Detections): By image, then by falling score.
        max_dets (int): The cap.
    """
    first_object = np.searchsorted(objects.image, images)
    first_detection = np.searchsorted(detections.image, images)
    rank = np.arange(len(detections.image)) - np.repeat(
        first_detection, np.diff(first_detection, append=len(detections.image))
    )
    pairs = []
    for image, detection, object_ in zip(
        images.tolist(), first_detection, first_object, strict=True
    ):
        overlap = ious[image, 1]
        if len(overlap):
            rows, columns = np.nonzero(overlap >= 0.5)
            pairs.append((rows + detection, columns + object_, overlap[rows, columns]))
    if pairs:
        pairs = [np.concatenate(column) for column in zip(*pairs, strict=True)]
    else:
        pairs = [np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0)]
    iou, ignored = Candidates(len(rank), objects.ignored, *pairs).assign(0.5)
    counted = np.flatnonzero((rank < max_dets) & ~ignored)
    order = counted[np.argsort(-detections.score[counted], kind='stable')]
    return olrp(iou[order], int((~objects.ignored).sum()))
