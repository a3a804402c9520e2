"""The metric as MMEngine runs it; its numbers are compared with pycocotools'."""

import json

import numpy as np
import pytest
import torch
from coco_cases import (
    CAT_IDS,
    CATEGORIES,
    CLASSES,
    aitod_rows,
    random_case,
)

from sarl.errors import InputError
from sarl.metrics import AITODMetric


def sample(image_id, found):
    """What a detector hands to an evaluator."""
    boxes = torch.tensor([d['bbox'] for d in found], dtype=torch.float64)
    boxes = boxes.reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    labels = [CAT_IDS.index(d['category_id']) for d in found]
    return dict(
        img_id=image_id,
        pred_instances=dict(
            bboxes=boxes,
            scores=torch.tensor([d['score'] for d in found], dtype=torch.float64),
            labels=torch.tensor(labels, dtype=torch.long),
        ),
    )


def score(tmp_path, truth, detections, **kwargs):
    """Run the metric as MMEngine's loops do."""
    ann_file = tmp_path / 'truth.json'
    ann_file.write_text(json.dumps(truth))
    metric = AITODMetric(str(ann_file), **kwargs)
    metric.dataset_meta = dict(classes=CLASSES)
    for image in truth['images']:
        found = [d for d in detections if d['image_id'] == image['id']]
        metric.process({}, [sample(image['id'], found)])
    return metric.evaluate(len(truth['images']))


@pytest.mark.parametrize('backend', ['faster_coco_eval', 'pycocotools'])
@pytest.mark.parametrize('seed', range(5))
def test_equals_pycocotools(tmp_path, seed, backend):
    truth, detections = random_case(seed)
    result = score(tmp_path, truth, detections, classwise=True, backend=backend)
    for name, value in aitod_rows(truth, detections).items():
        assert result[f'aitod/{name}'] == pytest.approx(value, abs=1e-9), name
    rows = [name for name in result if '/' not in name.removeprefix('aitod/')]
    assert result.keys() == {
        name for row in rows for name in (row, *(f'{row}/{c}' for c in CLASSES))
    }
    assert len(rows) == 18


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


def test_unlabelled_images_can_be_detected_on(tmp_path):
    """COCO's files of test images have no list of annotations."""
    truth, detections = random_case(0)
    del truth['annotations']
    prefix = str(tmp_path / 'found')
    assert not score(
        tmp_path, truth, detections, outfile_prefix=prefix, format_only=True
    )
    kept = json.loads((tmp_path / 'found.bbox.json').read_text())
    assert len(kept) == len(detections)


@pytest.mark.parametrize(
    ('kwargs', 'message'),
    [
        (dict(backend='fast'), 'backend'),
        (dict(max_dets=(100, 10)), 'max_dets'),
        (dict(max_dets=()), 'max_dets'),
        (dict(area_ranges=dict(small=(9, 4))), r"area_ranges\['small'\]"),
        (dict(bad_boxes='drop'), 'bad_boxes'),
        (dict(format_only=True), 'outfile_prefix'),
    ],
)
def test_bad_arguments(tmp_path, kwargs, message):
    with pytest.raises(InputError, match=message):
        score(tmp_path, *random_case(0), **kwargs)


def test_ground_truth_without_annotations(tmp_path):
    truth, _ = random_case(0)
    message = r'no annotations.* in a config, format_only'
    with pytest.raises(InputError, match=message):
        score(tmp_path, truth | dict(annotations=[]), [])
    del truth['annotations']
    with pytest.raises(InputError, match=message):
        score(tmp_path, truth, [])


def test_padded_samples_count_once(tmp_path):
    truth, detections = random_case(0)
    ann_file = tmp_path / 'truth.json'
    ann_file.write_text(json.dumps(truth))
    expected = score(tmp_path, truth, detections)
    metric = AITODMetric(str(ann_file))
    metric.dataset_meta = dict(classes=CLASSES)
    # Another order, and some images twice.
    for image_id in (4, 6, 1, 2, 3, 5, 4, 6):
        found = [d for d in detections if d['image_id'] == image_id]
        metric.process({}, [sample(image_id, found)])
    assert metric.evaluate(8) == expected


def test_what_looks_wrong_is_said(tmp_path, monkeypatch):
    said = []
    for module in ('detection_metric', 'coco_protocol'):
        monkeypatch.setattr(
            f'sarl.metrics.{module}.print_log', lambda text, *_: said.append(text)
        )
    truth, _ = random_case(0)
    ann_file = tmp_path / 'truth.json'
    ann_file.write_text(json.dumps(truth))
    metric = AITODMetric(str(ann_file))
    metric.dataset_meta = dict(classes=CLASSES)
    metric.process({}, [sample(1, [])])
    metric.evaluate(1)
    assert any('5 of 6 images' in text for text in said)
    assert any('every score is 0: there are no det' in text for text in said)


def test_other_classes_are_said_before_the_work_is_done(tmp_path):
    truth, _ = random_case(0)
    ann_file = tmp_path / 'truth.json'
    ann_file.write_text(json.dumps(truth))
    metric = AITODMetric(str(ann_file))
    metric.dataset_meta = dict(classes=('car', 'pond', 'ship'))
    with pytest.raises(InputError, match=r"missing in the file: \['pond'\]"):
        metric.process({}, [sample(1, [])])


def test_ground_truth_of_other_images(tmp_path):
    truth, _ = random_case(0)
    truth['images'][0]['file_name'] = 'val/other.png'
    ann_file = tmp_path / 'truth.json'
    ann_file.write_text(json.dumps(truth))
    metric = AITODMetric(str(ann_file))
    metric.dataset_meta = dict(classes=CLASSES)
    # Folders may be others: data_prefix comes before file_name.
    metric.process({}, [sample(1, []) | dict(img_path='data/images/val/other.png')])
    message = (
        r'image 1 of .*truth\.json is val/other\.png, but test/a\.png was detected on.*'
        r' ann_file of its dataloader'
    )
    with pytest.raises(InputError, match=message):
        metric.process({}, [sample(1, []) | dict(img_path='test/a.png')])


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (dict(img_id=77), r'truth\.json has no image 77'),
        (dict(score=float('nan')), 'NaN or infinite boxes or scores on image 3'),
        (dict(box=float('inf')), 'NaN or infinite boxes or scores on image 3'),
        (dict(label=3), 'label outside of the 3 classes'),
    ],
)
def test_bad_detections(tmp_path, change, message):
    truth, _ = random_case(0)
    ann_file = tmp_path / 'truth.json'
    ann_file.write_text(json.dumps(truth))
    metric = AITODMetric(str(ann_file))
    metric.dataset_meta = dict(classes=CLASSES)
    found = [dict(bbox=[1, 2, 3, 4], category_id=2, score=0.5)]
    bad = sample(change.get('img_id', 3), found)
    for key, column in (('box', 'bboxes'), ('score', 'scores'), ('label', 'labels')):
        if key in change:
            bad['pred_instances'][column][0] = change[key]

    def run():
        metric.process({}, [bad])
        metric.evaluate(1)

    with pytest.raises(InputError, match=message):
        run()
