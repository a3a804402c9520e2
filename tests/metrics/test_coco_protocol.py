"""Arrays in, scores out: against pycocotools and the definition of LRP."""

import dataclasses

import numpy as np
import pytest
from coco_cases import (
    AREAS,
    CAT_IDS,
    CATEGORIES,
    CLASSES,
    aitod_rows,
    mean,
    olrp_by_definition,
    pycocotools_scores,
    random_case,
)

from sarl.metrics.boxes import Detections, Objects
from sarl.metrics.coco_protocol import AITOD, Protocol, score
from sarl.metrics.olrp import olrp


def arrays(truth, detections, cat_ids=CAT_IDS):
    annotations = truth['annotations']

    def column(rows, name):
        return np.array([row[name] for row in rows])

    def labels(rows):
        return np.array([cat_ids.index(row['category_id']) for row in rows], int)

    return (
        Objects(
            column(annotations, 'image_id') - 1,
            labels(annotations),
            column(annotations, 'bbox').astype(float),
            column(annotations, 'area').astype(float),
            column(annotations, 'iscrowd').astype(bool),
        ),
        Detections(
            column(detections, 'image_id') - 1,
            labels(detections),
            column(detections, 'bbox').astype(float),
            column(detections, 'score').astype(float),
        ),
    )


@pytest.mark.parametrize('hundred', range(10))
def test_equals_pycocotools_in_a_thousand_cases(hundred):
    for seed in range(100 * hundred, 100 * hundred + 100):
        truth, detections = random_case(seed, images=4)
        scores = score(*arrays(truth, detections), 3, AITOD)
        rows = scores.rows(AITOD)
        for label, name in enumerate(CLASSES):
            rows[f'AP/{name}'] = scores.of_class(label).rows(AITOD)['AP']
        expected = aitod_rows(truth, detections)
        assert rows.keys() == expected.keys()
        for name, value in rows.items():
            assert value == pytest.approx(expected[name], abs=1e-9), (seed, name)


@pytest.mark.parametrize('seed', range(20))
def test_caps_that_bite_equal_pycocotools(seed):
    caps = (1, 2, 4)
    truth, detections = random_case(seed)
    protocol = dataclasses.replace(AITOD, max_dets=caps)
    scores = score(*arrays(truth, detections), 3, protocol)
    reference = pycocotools_scores(truth, detections, caps)
    order = np.argsort(np.argsort(CAT_IDS))
    np.testing.assert_allclose(
        scores.precision, reference.eval['precision'][:, :, order], atol=1e-9
    )
    np.testing.assert_allclose(
        scores.recall, reference.eval['recall'][:, order], atol=1e-9
    )
    errors = [olrp_by_definition(reference, cat_id, cap=4) for cat_id in CAT_IDS]
    np.testing.assert_allclose(scores.olrp, errors, atol=1e-9)


def test_more_than_1500_detections_equal_pycocotools():
    rng = np.random.default_rng(0)
    truth, detections = random_case(0)
    boxes = np.concatenate([rng.uniform(0, 150, (4000, 2)), np.full((4000, 2), 16)], 1)
    detections += [
        dict(image_id=3, category_id=2, bbox=box, score=score)
        for box, score in zip(boxes.tolist(), rng.uniform(0, 1, 4000), strict=True)
    ]
    rows = score(*arrays(truth, detections), 3, AITOD).rows(AITOD)
    expected = aitod_rows(truth, detections)
    for name, value in rows.items():
        assert value == pytest.approx(expected[name], abs=1e-9), name


def test_an_annotation_of_id_0_counts():
    # For pycocotools a match with id 0 is no match.
    truth = dict(
        annotations=[
            dict(id=0, image_id=1, category_id=2, bbox=[1, 1, 9, 9], area=81, iscrowd=0)
        ],
        categories=CATEGORIES,
    )
    found = [dict(image_id=1, category_id=2, bbox=[1, 1, 9, 9], score=0.5)]
    assert score(*arrays(truth, found), 3, AITOD).rows(AITOD)['AP'] == 1


@pytest.mark.parametrize('backend', ['faster_coco_eval', 'pycocotools'])
def test_nothing_to_find_and_nothing_found(backend):
    truth, detections = random_case(0)
    objects, found = arrays(truth, detections)
    protocol = dataclasses.replace(AITOD, backend=backend)
    none = found.take(np.zeros(len(found.score), bool))
    rows = score(objects, none, 3, protocol).rows(protocol)
    assert rows['AP'] == rows['AR_1500'] == 0
    assert rows['oLRP'] == rows['oLRP_FN'] == 1
    assert rows['oLRP_Loc'] == rows['oLRP_FP'] == -1
    crowd = objects._replace(ignored=np.ones(len(objects.label), bool))
    assert set(score(crowd, found, 3, protocol).rows(protocol).values()) == {-1}


def test_the_backends_agree_and_bins_may_overlap():
    truth, detections = random_case(1)
    areas = dict(tiny=(0, 256), small=(0, 1024), huge=(1e6, 1e9))
    protocols = [
        Protocol(areas, (5, 50), backend)
        for backend in ('faster_coco_eval', 'pycocotools')
    ]
    ours, theirs = (score(*arrays(truth, detections), 3, p) for p in protocols)
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-9)
    reference = pycocotools_scores(
        truth, detections, (5, 50), [AREAS[0], *map(list, areas.values())]
    )
    rows = ours.rows(protocols[0])
    assert rows['AP_tiny'] == pytest.approx(
        mean(reference.eval['precision'][..., 1, 1]), abs=1e-9
    )
    assert rows['AP_huge'] == -1


class TestOLRPByHand:
    def test_perfect(self):
        assert olrp(np.array([1.0, 1.0]), 2) == (0, 0, 0, 0)

    def test_best_threshold_leaves_out_a_late_false_positive(self):
        # Two of three objects at IoU 0.8 and 0.6, then a false positive.
        error = olrp(np.array([0.8, 0.6, 0]), 3)
        assert error.total == pytest.approx(((0.2 + 0.4) / 0.5 + 1) / 3)
        assert error.loc == pytest.approx(0.3)
        assert error.fp == 0
        assert error.fn == pytest.approx(1 / 3)

    def test_best_threshold_keeps_an_early_false_positive(self):
        error = olrp(np.array([0, 0.9]), 1)
        assert error.total == pytest.approx((0.1 / 0.5 + 1) / 2)
        assert error.fp == 0.5

    def test_nothing_found(self):
        assert olrp(np.zeros(2), 3)[::3] == (1, 1)
        assert np.isnan(olrp(np.zeros(2), 3).loc)

    def test_nothing_to_find(self):
        assert np.isnan(olrp(np.zeros(2), 0)).all()
