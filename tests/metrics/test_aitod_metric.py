"""The independent reference is pycocotools, set up here by hand."""

import contextlib
import io
import json

import numpy as np
import pytest
import torch
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from sarl.errors import InputError
from sarl.metrics import AITODMetric
from sarl.metrics.aitod_metric import evaluate_detections

CATEGORIES = [dict(id=5, name='ship'), dict(id=2, name='car'), dict(id=9, name='pool')]
# Neither the order of the file nor that of the ids
CLASSES = ('car', 'pool', 'ship')
CAT_IDS = (2, 9, 5)


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
                detections.append(
                    dict(
                        image_id=image_id,
                        category_id=annotations[-1]['category_id'],
                        bbox=np.maximum(box, [0, 0, 1, 1]).tolist(),
                        score=float(rng.integers(1, 8) / 8),
                    )
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


def pycocotools_reference(truth, detections):
    """AI-TOD's rows from pycocotools alone."""
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = json.loads(json.dumps(truth))
        coco.createIndex()
        evaluator = COCOeval(coco, coco.loadRes([dict(d) for d in detections]), 'bbox')
        evaluator.params.areaRng = [
            [0, 1e10],
            [0, 64],
            [64, 256],
            [256, 1024],
            [1024, 1e10],
        ]
        evaluator.params.areaRngLbl = ['all', 'vt', 't', 's', 'm']
        evaluator.params.maxDets = [1, 100, 1500]
        evaluator.evaluate()
        evaluator.accumulate()
    precision, recall = evaluator.eval['precision'], evaluator.eval['recall']

    def mean(values):
        values = values[values > -1]
        return values.mean() if values.size else -1

    rows = {
        'AP': mean(precision[..., 0, 2]),
        'AP_50': mean(precision[0, ..., 0, 2]),
        'AP_75': mean(precision[5, ..., 0, 2]),
        'AR_1': mean(recall[..., 0, 0]),
        'AR_100': mean(recall[..., 0, 1]),
        'AR_1500': mean(recall[..., 0, 2]),
    }
    for index, name in enumerate(('vt', 't', 's', 'm'), start=1):
        rows[f'AP_{name}'] = mean(precision[..., index, 2])
        rows[f'AR_{name}'] = mean(recall[..., index, 2])
    by_class = dict(zip(sorted(CAT_IDS), range(3), strict=True))
    for name, cat_id in zip(CLASSES, CAT_IDS, strict=True):
        rows[f'AP/{name}'] = mean(precision[:, :, by_class[cat_id], 0, 2])
    return {f'aitod/{name}': value for name, value in rows.items()}


def score(tmp_path, truth, detections, **kwargs):
    """Run the metric as MMEngine's loops do."""
    ann_file = tmp_path / 'truth.json'
    ann_file.write_text(json.dumps(truth))
    metric = AITODMetric(str(ann_file), **kwargs)
    metric.dataset_meta = dict(classes=CLASSES)
    for image in truth['images']:
        found = [d for d in detections if d['image_id'] == image['id']]
        boxes = torch.tensor([d['bbox'] for d in found], dtype=torch.float64)
        boxes = boxes.reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]
        labels = [CAT_IDS.index(d['category_id']) for d in found]
        sample = dict(
            img_id=image['id'],
            pred_instances=dict(
                bboxes=boxes,
                scores=torch.tensor([d['score'] for d in found], dtype=torch.float64),
                labels=torch.tensor(labels, dtype=torch.long),
            ),
        )
        metric.process({}, [sample])
    return metric.evaluate(len(truth['images']))


@pytest.mark.parametrize('backend', ['faster_coco_eval', 'pycocotools'])
@pytest.mark.parametrize('seed', range(15))
def test_equals_pycocotools(tmp_path, seed, backend):
    truth, detections = random_case(seed)
    result = score(tmp_path, truth, detections, classwise=True, backend=backend)
    expected = pycocotools_reference(truth, detections)
    assert result.keys() == expected.keys()
    for name, value in result.items():
        assert value == pytest.approx(expected[name], abs=1e-9), name


def one_object(box, area=None):
    annotation = dict(id=1, image_id=1, category_id=2, bbox=box, iscrowd=0)
    if area is not None:
        annotation['area'] = area
    return dict(
        images=[dict(id=1, width=200, height=200, file_name='1.png')],
        annotations=[annotation],
        categories=CATEGORIES,
    )


@pytest.mark.parametrize(
    ('side', 'bins'),
    [
        (7, {'vt'}),
        # Both bounds of a bin belong to it.
        (8, {'vt', 't'}),
        (16, {'t', 's'}),
        (32, {'s', 'm'}),
        (100, {'m'}),
    ],
)
def test_bins_worked_by_hand(tmp_path, side, bins):
    truth = one_object([10, 10, side, side])
    detections = [dict(image_id=1, category_id=2, bbox=[10, 10, side, side], score=0.9)]
    result = score(tmp_path, truth, detections)
    assert result['aitod/AP'] == result['aitod/AR_1'] == 1
    for name in ('vt', 't', 's', 'm'):
        assert result[f'aitod/AP_{name}'] == (1 if name in bins else -1)


def test_ground_truth_size_is_its_area_field(tmp_path):
    truth = one_object([10, 10, 20, 20], area=50)
    detections = [dict(image_id=1, category_id=2, bbox=[10, 10, 20, 20], score=0.9)]
    result = score(tmp_path, truth, detections)
    assert result['aitod/AP_vt'] == 1
    assert result['aitod/AP_s'] == -1


def test_more_detections_than_the_cap(tmp_path):
    truth = one_object([10, 10, 8, 8])
    noise = [
        dict(image_id=1, category_id=2, bbox=[100, 100, 8, 8], score=0.9)
        for _ in range(1500)
    ]
    hit = dict(image_id=1, category_id=2, bbox=[10, 10, 8, 8], score=0.1)
    assert score(tmp_path, truth, [*noise, hit])['aitod/AP'] == 0
    assert score(tmp_path, truth, [*noise[1:], hit])['aitod/AP'] > 0


def test_no_detections_score_zero(tmp_path):
    result = score(tmp_path, one_object([10, 10, 8, 8]), [])
    assert result['aitod/AP'] == result['aitod/AR_1500'] == 0


def test_area_ranges_and_caps_can_be_set(tmp_path):
    truth = one_object([10, 10, 8, 8])
    result = score(
        tmp_path,
        truth,
        [dict(image_id=1, category_id=2, bbox=[10, 10, 8, 8], score=0.9)],
        area_ranges=dict(small=(0, 1024), large=(1024, 1e10)),
        max_dets=(10, 500),
        prefix='mine',
    )
    assert result['mine/AP_small'] == 1
    assert result['mine/AP_large'] == -1
    assert 'mine/AR_500' in result


@pytest.mark.parametrize('format_only', [False, True])
def test_detections_are_kept(tmp_path, format_only):
    truth, detections = random_case(0)
    prefix = tmp_path / 'new_folder' / 'found'
    result = score(
        tmp_path, truth, detections, outfile_prefix=str(prefix), format_only=format_only
    )
    assert bool(result) is not format_only
    kept = json.loads((tmp_path / 'new_folder' / 'found.bbox.json').read_text())

    def by_value(items):
        return sorted(
            (d['image_id'], d['category_id'], d['score'], *np.round(d['bbox'], 9))
            for d in items
        )

    assert by_value(kept) == by_value(detections)


def test_ground_truth_is_not_changed_by_an_evaluation():
    truth, detections = random_case(3)
    before = json.dumps(detections)
    first = evaluate_detections(truth, detections, CAT_IDS)
    second = evaluate_detections(truth, detections, CAT_IDS)
    np.testing.assert_array_equal(first[0], second[0])
    assert json.dumps(detections) == before


@pytest.mark.parametrize(
    ('kwargs', 'message'),
    [
        (dict(backend='fast'), 'backend'),
        (dict(max_dets=(100, 10)), 'max_dets'),
        (dict(format_only=True), 'outfile_prefix'),
    ],
)
def test_bad_arguments(tmp_path, kwargs, message):
    with pytest.raises(InputError, match=message):
        score(tmp_path, *random_case(0), **kwargs)


def test_ground_truth_without_annotations(tmp_path):
    truth, _ = random_case(0)
    with pytest.raises(InputError, match=r'truth\.json has no annotations'):
        score(tmp_path, truth | dict(annotations=[]), [])
