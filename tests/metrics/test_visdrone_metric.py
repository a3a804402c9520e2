"""VisDrone's rules: the toolkit's own code on random cases, and each rule by hand."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from coco_cases import AREAS, mean, pycocotools_scores
from PIL import Image

from sarl.conversion import visdrone
from sarl.datasets import VisDroneDataset
from sarl.datasets.coco_file import StrictCOCO
from sarl.errors import InputError
from sarl.metrics import VisDroneMetric
from sarl.metrics.score_files import score_files
from sarl.metrics.visdrone_metric import is_visdrone
from sarl.metrics.visdrone_toolkit import mostly_covered

CLASSES = VisDroneDataset.METAINFO['classes']
CAR, VAN, REGION, OTHERS = 4, 5, 0, 11
OFFICIAL = ('AP', 'AP50', 'AP75', 'AR1', 'AR10', 'AR100', 'AR500')


def to_coco(images):
    """Rows as in VisDrone's files: x, y, w, h, score, category."""
    truth = dict(
        images=[
            dict(
                # Ids are not in the order of the names.
                id=100 - index,
                file_name=f'images/{image["name"]}.jpg',
                width=image['width'],
                height=image['height'],
            )
            for index, image in enumerate(images)
        ],
        categories=[
            dict(id=REGION, name='ignored-regions'),
            *(dict(id=i, name=name) for i, name in enumerate(CLASSES, start=1)),
            dict(id=OTHERS, name='others'),
        ],
        annotations=[],
    )
    for index, image in enumerate(images):
        for x, y, w, h, score, category, *_ in image['truth']:
            truth['annotations'].append(
                dict(
                    id=len(truth['annotations']) + 1,
                    image_id=100 - index,
                    category_id=category,
                    bbox=[x, y, w, h],
                    area=w * h,
                    iscrowd=int(score == 0),
                    ignore=int(score == 0),
                )
            )
    return truth


def evaluate(tmp_path, images, **kwargs):
    """Run the metric as MMEngine's loops do."""
    ann_file = tmp_path / 'truth.json'
    ann_file.write_text(json.dumps(to_coco(images)))
    metric = VisDroneMetric(str(ann_file), **kwargs)
    metric.dataset_meta = dict(classes=CLASSES)
    for index, image in enumerate(images):
        rows = torch.tensor(image['detections'], dtype=torch.float64).reshape(-1, 6)
        boxes = rows[:, :4].clone()
        boxes[:, 2:] += boxes[:, :2]
        predicted = dict(bboxes=boxes, scores=rows[:, 4], labels=rows[:, 5].long() - 1)
        metric.process({}, [dict(img_id=100 - index, pred_instances=predicted)])
    return metric.evaluate(len(images))


def score(tmp_path, images, **kwargs):
    """Score the same as files."""
    paths = tmp_path / 'gt.json', tmp_path / 'dt.json'
    for path, content in zip(paths, (to_coco(images), found_in(images)), strict=True):
        path.write_text(json.dumps(content))
    return score_files('visdrone', *paths, **kwargs)


def found_in(images):
    return [
        dict(image_id=100 - index, category_id=row[5], bbox=row[:4], score=row[4])
        for index, item in enumerate(images)
        for row in item['detections']
    ]


def image(truth, detections, name='a', width=200, height=100):
    return dict(
        name=name, width=width, height=height, truth=truth, detections=detections
    )


# Made by the toolkit's own .m files in GNU Octave 7.3, in percent.
@pytest.mark.parametrize(
    'case',
    json.loads(Path(__file__).with_name('visdrone_toolkit_cases.json').read_text()),
)
def test_equals_the_toolkit(tmp_path, case):
    result = score(tmp_path, case['images'])
    for name in OFFICIAL:
        expected = case['expected'][name] / 100
        assert result[f'visdrone/{name}'] == pytest.approx(expected, abs=1e-9), name


@pytest.mark.parametrize('regions', [False, True])
def test_coco_scores_equal_pycocotools_with_crowds_in_every_class(tmp_path, regions):
    cases = json.loads(
        Path(__file__).with_name('visdrone_toolkit_cases.json').read_text()
    )
    for case in cases[:3]:
        images = case['images']
        for item in images:
            item['truth'] = [row for row in item['truth'] if regions or row[5]]
        result = score(tmp_path, images, classwise=True)
        truth = to_coco(images)
        annotations = [a for a in truth['annotations'] if 1 <= a['category_id'] <= 10]
        for row in truth['annotations']:
            if row['category_id'] in (REGION, OTHERS):
                annotations += [
                    {**row, 'category_id': label, 'iscrowd': 1}
                    for label in range(1, 11)
                ]
        for index, row in enumerate(annotations, start=1):
            row['id'] = index
        truth['annotations'] = annotations
        truth['categories'] = truth['categories'][1:-1]
        reference = pycocotools_scores(
            truth, found_in(images), (1, 10, 100, 500), [AREAS[0], [0, 1024]]
        )
        precision = reference.eval['precision']
        assert result['visdrone/coco_AP'] == pytest.approx(
            mean(precision[..., 0, 3]), abs=1e-9
        )
        assert result['visdrone/coco_AP_s'] == pytest.approx(
            mean(precision[..., 1, 3]), abs=1e-9
        )
        assert result['visdrone/coco_AR_10'] == pytest.approx(
            mean(reference.eval['recall'][:, :, 0, 1]), abs=1e-9
        )
        assert result['visdrone/coco_AP/car'] == pytest.approx(
            mean(precision[:, :, 3, 0, 3]), abs=1e-9
        )


def test_a_perfect_detector(tmp_path):
    car = [10, 10, 20, 20, 1, CAR]
    result = evaluate(tmp_path, [image([car], [[10, 10, 20, 20, 0.9, CAR]])])
    for name in (*OFFICIAL, 'coco_AP', 'coco_AP_s', 'coco_AR_500'):
        assert result[f'visdrone/{name}'] == pytest.approx(1)
    assert result['visdrone/coco_AP_t'] == result['visdrone/coco_AP_l'] == -1
    assert result['visdrone/coco_oLRP'] == pytest.approx(0)


def test_ignored_regions_drop_objects_and_detections(tmp_path):
    car, region = [150, 50, 20, 20, 1, CAR], [0, 0, 60, 60, 0, REGION]
    inside = [10, 10, 20, 20, 0.9, CAR]
    found = [150, 50, 20, 20, 0.5, CAR]
    # The false alarm comes first, but it lies in the region; so does the missed car.
    result = evaluate(
        tmp_path, [image([car, region, [30, 30, 20, 20, 1, CAR]], [inside, found])]
    )
    assert result['visdrone/AP'] == pytest.approx(1)
    without = evaluate(tmp_path, [image([car], [inside, found])])
    assert without['visdrone/AP'] == pytest.approx(0.5)
    assert without['visdrone/coco_AP'] == pytest.approx(0.5)


def test_objects_of_score_0_are_ignored_but_counted_in_recall(tmp_path):
    result = evaluate(
        tmp_path,
        [
            image(
                [[10, 10, 20, 20, 1, CAR], [100, 10, 20, 20, 0, CAR]],
                [[100, 10, 20, 20, 0.9, CAR], [10, 10, 20, 20, 0.8, CAR]],
            )
        ],
    )
    # One of two objects; the detection of the ignored one is no false alarm.
    assert result['visdrone/AP'] == result['visdrone/AR500'] == pytest.approx(0.5)
    assert result['visdrone/coco_AP'] == pytest.approx(1)


def test_others_are_wrong_to_find_officially_and_ignored_by_coco(tmp_path):
    result = evaluate(
        tmp_path,
        [
            image(
                [[10, 10, 20, 20, 1, CAR], [100, 10, 20, 20, 0, OTHERS]],
                [[100, 10, 20, 20, 0.9, CAR], [10, 10, 20, 20, 0.8, CAR]],
            )
        ],
    )
    assert result['visdrone/AP'] == pytest.approx(0.5)
    assert result['visdrone/coco_AP'] == pytest.approx(1)


def test_caps_count_all_classes_in_the_order_listed(tmp_path):
    car, van = [10, 10, 20, 20, 1, CAR], [100, 10, 20, 20, 1, VAN]
    found_car, found_van = [10, 10, 20, 20, 0.1, CAR], [100, 10, 20, 20, 0.9, VAN]
    result = evaluate(tmp_path, [image([car, van], [found_car, found_van])])
    # Only the first one listed counts: the car, for all its low score.
    assert result['visdrone/AR1'] == pytest.approx(0.5)
    assert result['visdrone/AP'] == pytest.approx(1)
    noise = [[50, 50, 9, 9, 0.01, VAN]] * 499
    late = evaluate(tmp_path, [image([car, van], [found_van, *noise, found_car])])
    assert late['visdrone/AR500'] == pytest.approx(0.5)


def test_a_class_weighs_as_much_as_the_images_that_show_it(tmp_path):
    car, van = [10, 10, 20, 20, 1, CAR], [100, 10, 20, 20, 1, VAN]
    found = [10, 10, 20, 20, 0.9, CAR]
    images = [image([car], [found], name) for name in 'ab']
    images.append(image([car, van], [found], 'c'))
    result = evaluate(tmp_path, images)
    # Cars: 1 on three images; vans: 0 on one.
    assert result['visdrone/AP'] == pytest.approx(0.75)
    assert result['visdrone/coco_AP'] == pytest.approx(0.5)


def test_an_iou_of_exactly_17_20_is_below_0_85(tmp_path):
    result = evaluate(
        tmp_path, [image([[0, 0, 20, 10, 1, CAR]], [[0, 0, 17, 10, 0.9, CAR]])]
    )
    assert result['visdrone/AR500'] == pytest.approx(0.7)


@pytest.mark.parametrize(
    ('box', 'covered'),
    [
        # The region takes the columns 11 to 31: a pixel more than its width.
        ([11, 11, 10, 10], True),
        # Of a box at x = 21 and 20 wide, the columns 22 to 41 count: 10 of 20.
        ([21, 11, 20, 10], True),
        ([22, 11, 20, 10], False),
        # Rounded to 21 and 22.
        ([21.49, 11, 20, 10], True),
        ([21.5, 11, 20, 10], False),
        # Halves go up, not to the even number: 10 of 21 columns.
        ([21, 11, 20.5, 10], False),
        # A side of less than a pixel is one pixel.
        ([15, 15, 0.1, 0.1], True),
        # The area beyond the border counts: 9 of 24 columns.
        ([91, 41, 24, 5], False),
        ([91, 41, 18, 5], True),
    ],
)
def test_half_covered(box, covered):
    regions = np.array([[11.0, 11, 20, 20], [90, 40, 50, 10]])
    result = mostly_covered(np.array([box], float), regions, width=100, height=50)
    assert result.tolist() == [covered]


@pytest.mark.parametrize('seed', range(30))
def test_half_covered_equals_counting_pixels(seed):
    rng = np.random.default_rng(seed)
    width, height = (int(side) for side in rng.integers(20, 60, 2))
    regions = rng.integers(-5, 70, (rng.integers(1, 5), 4)).astype(float)
    boxes = rng.uniform(-5, 70, (50, 4))
    mask = np.zeros((height + 1, width + 1), bool)
    for x, y, w, h in np.maximum(1, regions).astype(int):
        mask[y : y + h + 1, x : x + w + 1] = True
    expected = []
    for x, y, w, h in np.maximum(1, np.floor(boxes + 0.5)).astype(int):
        x, y = min(x, width), min(y, height)
        inside = mask[y + 1 : y + h + 1, x + 1 : x + w + 1].sum()
        expected.append(inside / (w * h) >= 0.5)
    assert mostly_covered(boxes, regions, width, height).tolist() == expected


def test_a_file_without_regions_is_said(tmp_path, monkeypatch):
    said = []
    monkeypatch.setattr(
        'sarl.metrics.visdrone_metric.print_log', lambda text, *_: said.append(text)
    )
    truth = to_coco([image([[10, 10, 20, 20, 1, CAR]], [])])
    truth['categories'] = truth['categories'][1:]
    path = tmp_path / 'truth.json'
    path.write_text(json.dumps(truth))
    VisDroneMetric(str(path))
    assert 'no category "ignored-regions"' in said[0]


def is_visdrone_file(path, content):
    path.write_text(json.dumps(content))
    return is_visdrone(StrictCOCO(path))


@pytest.mark.parametrize(
    'rows',
    [
        ['100,50,90,40,0,0,0,0', '0,50,20,20,1,11,0,0'],
        ['100,50,90,40,0,0,0,0'],
        ['0,50,20,20,1,11,0,0'],
        # Both categories are there without anything of them.
        [],
    ],
)
def test_what_the_converter_writes_is_known_as_visdrones(tmp_path, rows):
    for folder in ('images', 'annotations'):
        (tmp_path / folder).mkdir()
    Image.new('RGB', (200, 100)).save(tmp_path / 'images/a.jpg')
    text = '\n'.join(['10,10,20,20,1,4,0,0', *rows])
    (tmp_path / 'annotations/a.txt').write_text(text)
    visdrone.convert(tmp_path, tmp_path / 'truth.json')
    assert is_visdrone(StrictCOCO(tmp_path / 'truth.json'))


@pytest.mark.parametrize('name', ['others', 'Other', 'ignored', 'ignored_regions'])
def test_a_class_of_such_a_name_is_not_visdrones(tmp_path, name):
    truth = to_coco([image([[10, 10, 20, 20, 1, CAR], [60, 10, 20, 20, 1, VAN]], [])])
    truth['categories'] = [dict(id=CAR, name='car'), dict(id=VAN, name=name)]
    path = tmp_path / 'truth.json'
    assert not is_visdrone_file(path, truth)
    truth['annotations'][1]['iscrowd'] = 1
    assert is_visdrone_file(path, truth)
    truth['annotations'][1].update(iscrowd=0, ignore=1)
    assert is_visdrone_file(path, truth)
    # One object among crowds is an object.
    truth['annotations'].append(truth['annotations'][1] | dict(id=3, ignore=0))
    assert not is_visdrone_file(path, truth)
    # A class without objects in this file.
    truth['annotations'] = truth['annotations'][:1]
    assert not is_visdrone_file(path, truth)


def test_images_need_names_and_sizes(tmp_path):
    truth = to_coco([image([[10, 10, 20, 20, 1, CAR]], [])])
    del truth['images'][0]['width']
    path = tmp_path / 'truth.json'
    path.write_text(json.dumps(truth))
    with pytest.raises(InputError, match='image 100 lacks file_name, width or height'):
        VisDroneMetric(str(path))


def test_detections_out_of_order_are_said(tmp_path, monkeypatch):
    said = []
    monkeypatch.setattr(
        'sarl.metrics.visdrone_metric.print_log', lambda text, *_: said.append(text)
    )
    car = [10, 10, 20, 20, 1, CAR]
    found = [[10, 10, 20, 20, 0.1, CAR], [60, 10, 20, 20, 0.9, CAR]]
    evaluate(tmp_path, [image([car], found)])
    assert '1 images are not listed by falling score' in said[0]
