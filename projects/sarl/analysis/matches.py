"""Which detections hit, which miss: image by image, at one score threshold."""

import contextlib
import io
from dataclasses import dataclass, field

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

# Detections below it never pass the threshold of the best F1 in practice, and
# there are very many of them.
MIN_SCORE = 0.05


@dataclass
class Matches:
    """Matches of one image at IoU 0.5; boxes are [x, y, w, h] in px."""

    hits: list[list[float]] = field(default_factory=list)
    false_alarms: list[list[float]] = field(default_factory=list)
    missed: list[list[float]] = field(default_factory=list)

    @property
    def f1(self) -> float:
        """F1 score; 1 where there is nothing to find and nothing was found."""
        total = 2 * len(self.hits) + len(self.false_alarms) + len(self.missed)
        return 2 * len(self.hits) / total if total else 1.0


def match_images(truth: COCO, detections: list[dict]) -> dict[int, Matches]:
    """Match detections with ground truth by COCO's rules.

    The score threshold is the one of the detector's best F1 over all images, so that
    detectors of different confidence can be compared.

    Args:
        truth (COCO): The ground truth.
        detections (list[dict]): `image_id`, `category_id`, `bbox`, `score` of each.

    Returns:
        dict[int, Matches]: By image id.
    """
    matches = {image_id: Matches() for image_id in truth.imgs}
    detections = [dict(d) for d in detections if d['score'] >= MIN_SCORE]
    if not detections:
        for annotation in truth.anns.values():
            if not annotation['iscrowd']:
                matches[annotation['image_id']].missed.append(annotation['bbox'])
        return matches

    # An id of 0 is pycocotools' "no match", and text cannot be one.
    numbered = COCO()
    numbered.dataset = dict(
        truth.dataset,
        annotations=[
            dict(annotation, id=number)
            for number, annotation in enumerate(truth.dataset['annotations'], start=1)
        ],
    )
    with contextlib.redirect_stdout(io.StringIO()):
        numbered.createIndex()
        found = numbered.loadRes(detections)
        evaluator = COCOeval(numbered, found, 'bbox')
        evaluator.params.iouThrs = np.array([0.5])
        evaluator.params.areaRng = [(0, 1e10)]
        evaluator.params.areaRngLbl = ['all']
        evaluator.params.maxDets = [1500]
        evaluator.evaluate()
    evaluated = [item for item in evaluator.evalImgs if item is not None]
    threshold = _best_f1_threshold(evaluated)

    for item in evaluated:
        image = matches[item['image_id']]
        found_truth = set()
        for index, score in enumerate(item['dtScores']):
            if score < threshold or item['dtIgnore'][0, index]:
                continue
            box = found.anns[item['dtIds'][index]]['bbox']
            partner = int(item['dtMatches'][0, index])
            if partner:
                image.hits.append(box)
                found_truth.add(partner)
            else:
                image.false_alarms.append(box)
        image.missed.extend(
            numbered.anns[gt_id]['bbox']
            for gt_id, ignored in zip(item['gtIds'], item['gtIgnore'], strict=True)
            if not ignored and gt_id not in found_truth
        )
    return matches


def _best_f1_threshold(evaluated: list[dict]) -> float:
    counted = [~item['dtIgnore'][0].astype(bool) for item in evaluated]
    scores = np.concatenate(
        [np.array(i['dtScores'])[c] for i, c in zip(evaluated, counted, strict=True)]
    )
    hits = np.concatenate(
        [i['dtMatches'][0, c] > 0 for i, c in zip(evaluated, counted, strict=True)]
    )
    objects = sum(int((~np.array(i['gtIgnore'], bool)).sum()) for i in evaluated)
    if not len(scores):
        return 1.0
    order = np.argsort(-scores, kind='stable')
    found = np.arange(1, len(order) + 1)
    f1 = 2 * np.cumsum(hits[order]) / (found + objects)
    return float(scores[order][f1.argmax()])
