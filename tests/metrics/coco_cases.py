"""Random detections, and what pycocotools alone makes of them."""

import contextlib
import io
import json

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from pycocotools.mask import iou as box_iou

CATEGORIES = [dict(id=5, name='ship'), dict(id=2, name='car'), dict(id=9, name='pool')]
# Neither the order of the file nor that of the ids
CLASSES = ('car', 'pool', 'ship')
CAT_IDS = (2, 9, 5)
AREAS = [[0, 1e10], [0, 64], [64, 256], [256, 1024], [1024, 1e10]]
BINS = ('vt', 't', 's', 'm')
OLRP = ('oLRP', 'oLRP_Loc', 'oLRP_FP', 'oLRP_FN')


def random_case(seed, images=6):
    """Ground truth and detections with ties, crowds, duplicates and odd areas."""
    rng = np.random.default_rng(seed)
    annotations, detections = [], []
    for image_id in range(1, images + 1):
        # Image 1 has no ground truth, image 2 no detections.
        for _ in range(0 if image_id == 1 else rng.integers(1, 12)):
            w, h = rng.choice([2, 4, 8, 16, 32, 33, 50], 2).astype(float)
            # Whole pixels: x + w - x is w again, also on the bound of a bin.
            x, y = rng.uniform(0, 150, 2).round()
            annotations.append(
                dict(
                    id=len(annotations) + 1,
                    image_id=image_id,
                    category_id=int(rng.choice(CAT_IDS)),
                    bbox=[x, y, w, h],
                    # Not always w * h: the protocol goes by this field.
                    area=float(rng.choice([w * h, 64, 256, 1024])),
                    iscrowd=int(rng.random() < 0.1),
                )
            )
            if image_id == 2:
                continue
            for _ in range(rng.integers(0, 4)):
                shift = rng.normal(0, 0.12, 4) * (w, h, w, h)
                box = np.array([x, y, w, h]) + shift * (rng.random() < 0.7)
                found = dict(
                    image_id=image_id,
                    category_id=annotations[-1]['category_id'],
                    bbox=np.maximum(box, [0, 0, 0, 1]).tolist(),
                    score=float(rng.integers(1, 8) / 8),
                )
                detections += [found] * (1 + (rng.random() < 0.1))
        if image_id == 1:
            detections.append(
                dict(image_id=1, category_id=2, bbox=[1, 1, 9, 9], score=0.5)
            )
    truth = dict(
        images=[
            dict(id=i, width=200, height=200, file_name=f'{i}.png')
            for i in range(1, images + 1)
        ],
        annotations=annotations,
        categories=CATEGORIES,
    )
    return truth, detections


def pycocotools_scores(truth, detections, max_dets=(1, 100, 1500), areas=AREAS):
    """Score with pycocotools, set up by hand."""
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = json.loads(json.dumps(truth))
        coco.createIndex()
        evaluator = COCOeval(coco, coco.loadRes([dict(d) for d in detections]), 'bbox')
        evaluator.params.areaRng = areas
        evaluator.params.areaRngLbl = list(map(str, areas))
        evaluator.params.maxDets = list(max_dets)
        evaluator.evaluate()
        evaluator.accumulate()
    return evaluator


def mean(values):
    values = np.asarray(values, float)
    values = values[values > -1]
    return values.mean() if values.size else -1


def aitod_rows(truth, detections):
    """AI-TOD's rows, from pycocotools and from the definition of LRP."""
    evaluator = pycocotools_scores(truth, detections)
    precision, recall = evaluator.eval['precision'], evaluator.eval['recall']
    rows = {
        'AP': mean(precision[..., 0, 2]),
        'AP_50': mean(precision[0, ..., 0, 2]),
        'AP_75': mean(precision[5, ..., 0, 2]),
        'AR_1': mean(recall[..., 0, 0]),
        'AR_100': mean(recall[..., 0, 1]),
        'AR_1500': mean(recall[..., 0, 2]),
    }
    for index, name in enumerate(BINS, start=1):
        rows[f'AP_{name}'] = mean(precision[..., index, 2])
        rows[f'AR_{name}'] = mean(recall[..., index, 2])
    errors = [olrp_by_definition(evaluator, cat_id) for cat_id in sorted(CAT_IDS)]
    rows |= {
        name: mean(column)
        for name, column in zip(OLRP, np.transpose(errors), strict=True)
    }
    by_class = dict(zip(sorted(CAT_IDS), range(3), strict=True))
    for name, cat_id in zip(CLASSES, CAT_IDS, strict=True):
        rows[f'AP/{name}'] = mean(precision[:, :, by_class[cat_id], 0, 2])
    return rows


def olrp_by_definition(evaluator, cat_id, cap=1500):
    """oLRP of a class (Oksuz et al.), a score after another, in float64.

    The matches are those of pycocotools at IoU 0.5.
    """
    items = [
        item
        for item in evaluator.evalImgs
        if item and item['category_id'] == cat_id and tuple(item['aRng']) == (0, 1e10)
    ]
    objects = sum(int(np.sum(np.array(item['gtIgnore']) == 0)) for item in items)
    if not objects:
        return [np.nan] * 4
    found = []
    for item in items:
        for index, score in enumerate(item['dtScores'][:cap]):
            if item['dtIgnore'][0][index]:
                continue
            partner = int(item['dtMatches'][0][index])
            box = evaluator.cocoDt.anns[item['dtIds'][index]]['bbox']
            overlap = (
                partner
                and box_iou([box], [evaluator.cocoGt.anns[partner]['bbox']], [0]).item()
            )
            found.append((score, overlap))
    found.sort(key=lambda pair: -pair[0])
    best = [1.0, np.nan, np.nan, 1.0]
    if not any(overlap for _, overlap in found):
        return best
    lowest = np.inf
    for last in range(1, len(found) + 1):
        overlaps = [overlap for _, overlap in found[:last] if overlap]
        hits, false = len(overlaps), last - len(overlaps)
        missed = objects - hits
        distance = sum(1 - overlap for overlap in overlaps)
        error = (distance / 0.5 + false + missed) / (hits + false + missed)
        if error < lowest - 1e-12:
            lowest = error
            best = [
                error,
                distance / hits if hits else np.nan,
                false / last,
                missed / objects,
            ]
    return best
