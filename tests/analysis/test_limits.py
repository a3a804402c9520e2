"""What mending one kind of error brings, worked by hand."""

import json

import numpy as np
import pytest
from PIL import Image

from sarl.analysis.limits import limits, limits_of_files, limits_table
from sarl.conversion import visdrone
from sarl.metrics.boxes import Detections, Objects
from sarl.metrics.coco_protocol import AITOD
from sarl.metrics.score_files import score_files

# Ships and cars of 10 x 10 px, one image.
OBJECTS = [(0, [10, 10, 10, 10]), (0, [50, 50, 10, 10]), (1, [90, 90, 10, 10])]


def score_all(found, objects=OBJECTS, ignored=None):
    labels, boxes = zip(*objects, strict=True)
    objects = Objects(
        np.zeros(len(labels), int),
        np.array(labels),
        np.array(boxes, float),
        np.full(len(labels), 100.0),
        np.zeros(len(labels), bool) if ignored is None else np.array(ignored),
    )
    labels, boxes, scores = zip(*found, strict=True)
    detections = Detections(
        np.zeros(len(found), int),
        np.array(labels),
        np.array(boxes, float),
        np.array(scores),
    )
    rows = limits(objects, detections, 2, AITOD)
    return {name: row['AP_50'] for name, row in rows.items()}


def test_one_error_of_each_kind():
    found = [
        (0, [70, 10, 10, 10], 0.9),  # background
        (0, [10, 10, 10, 10], 0.8),  # right
        (0, [56, 50, 10, 10], 0.7),  # IoU 40 / 160 = 0.25 with the second ship
        (0, [90, 90, 10, 10], 0.6),  # a car, called a ship
    ]
    scores = score_all(found)
    # A ship of two is found, second in rank: precision 1/2 up to recall 1/2, which is
    # 51 of 101 points. The car is not found.
    assert scores['as it is'] == pytest.approx(51 / 101 / 2 / 2)
    # Both ships, in the second and third place: 1/2 and 2/3, so 2/3 at every recall.
    assert scores['perfect boxes'] == pytest.approx(2 / 3 / 2)
    # The car has an AP of 1.
    assert scores['perfect classes'] == pytest.approx((51 / 101 / 2 + 1) / 2)
    # The first ship has the first place.
    assert scores['nothing of the background'] == pytest.approx(51 / 101 / 2)
    # One ship alone is asked for, in the second place; nothing is asked of cars.
    assert scores['nothing missed'] == pytest.approx(1 / 2)


def test_nothing_to_mend():
    found = [(label, box, 0.5) for label, box in OBJECTS]
    assert set(score_all(found).values()) == {1.0}


def test_an_object_has_one_detection():
    """Of two with the box of an object NMS would leave one."""
    found = [
        (0, [13, 10, 10, 10], 0.9),
        (0, [8, 10, 10, 10], 0.8),
        (0, [50, 50, 10, 10], 0.7),
        (1, [90, 90, 10, 10], 0.7),
    ]
    scores = score_all(found)
    # Ships: precision 1, 1/2, 2/3 at recall 1/2, 1/2, 1.
    ships = (51 + 50 * 2 / 3) / 101
    assert scores['as it is'] == pytest.approx((ships + 1) / 2)
    assert scores['perfect boxes'] == 1


def test_an_object_that_is_found_gives_no_other_its_class():
    """With the right class NMS would leave one of two here, too."""
    found = [(label, box, 0.5) for label, box in OBJECTS]
    found.append((0, OBJECTS[2][1], 0.9))
    scores = score_all(found)
    # Ships: precision 1/2 and 2/3 in the second and third place.
    assert scores['as it is'] == pytest.approx((2 / 3 + 1) / 2)
    assert scores['perfect classes'] == 1


def test_objects_that_lie_close_get_one_detection_each():
    """The second one overlaps the first object most, which has one."""
    objects = [(0, [0, 0, 10, 10]), (0, [4, 0, 10, 10])]
    scores = score_all([(0, [0, 0, 10, 10], 0.9), (0, [1.9, 0, 10, 10], 0.8)], objects)
    assert scores['perfect boxes'] == scores['as it is'] == 1


def test_what_has_its_class_keeps_it():
    """A person on a bicycle: the box of each fits the other too."""
    objects = [(0, [0, 0, 20, 20]), (1, [0, 0, 20, 24])]
    found = [(0, [0, 0, 20, 22.4], 0.9), (1, [0, 0, 20, 24], 0.8)]
    scores = score_all(found, objects)
    assert scores['perfect classes'] == scores['as it is'] == 1


def test_no_mend_costs():
    """In crowds of objects and detections of two classes."""
    rng = np.random.default_rng(0)
    for _ in range(50):
        boxes = np.concatenate(
            [rng.uniform(0, 30, (12, 2)), rng.uniform(8, 16, (12, 2))], axis=1
        )
        labels = rng.integers(0, 2, 12)
        objects = Objects(
            np.zeros(12, int), labels, boxes, boxes[:, 2:].prod(1), np.zeros(12, bool)
        )
        detections = Detections(
            np.zeros(24, int),
            np.where(rng.random(24) < 0.7, np.tile(labels, 2), rng.integers(0, 2, 24)),
            np.tile(boxes, (2, 1)) + rng.normal(0, 1.5, (24, 4)),
            rng.random(24),
        )
        rows = limits(objects, detections, 2, AITOD)
        for name in ('perfect classes', 'perfect boxes'):
            assert rows[name]['AP_50'] > rows['as it is']['AP_50'] - 1e-9, name


def test_ignored_objects_mend_nothing():
    # IoU 1/3 with the second ship, which is ignored: 0.9 of it lies in no other.
    found = [(0, [10, 10, 10, 10], 0.5), (0, [55, 50, 10, 10], 0.9)]
    scores = score_all(found, ignored=(False, True, True))
    assert scores['as it is'] == scores['perfect classes'] == 1
    assert scores['perfect boxes'] == 1


@pytest.mark.parametrize(
    ('wrong', 'ap', 'without_background'),
    [
        # 0.62 of it in the region: ignored at 3 of 10 thresholds, else above the car.
        ([94, 110, 16, 10], (3 + 7 / 2) / 10, (3 + 7 / 2) / 10),
        # 0.44 of it in the region: wrong at every threshold.
        ([91, 110, 16, 10], 0.5, 1),
        # In one of the others.
        ([2, 152, 6, 6], 1, 1),
    ],
)
def test_visdrones_ignored_objects(tmp_path, wrong, ap, without_background):
    for folder in ('images', 'annotations'):
        (tmp_path / folder).mkdir()
    Image.new('RGB', (200, 200)).save(tmp_path / 'images/a.jpg')
    rows = '10,10,20,20,1,4,0,0', '100,100,90,90,0,0,0,0', '0,150,20,20,1,11,0,0'
    (tmp_path / 'annotations/a.txt').write_text('\n'.join(rows))
    truth, detections = tmp_path / 'gt.json', tmp_path / 'dt.json'
    visdrone.convert(tmp_path, truth)
    in_region = [([110 + 20 * i, 110, 10, 10], 0.9 - i / 10) for i in range(4)]
    found = [([10, 10, 20, 20], 0.5), (wrong, 0.95), *in_region]
    detections.write_text(
        json.dumps(
            [
                dict(image_id=1, category_id=4, bbox=box, score=score)
                for box, score in found
            ]
        )
    )
    scores = limits_of_files(truth, detections)
    metrics = score_files('visdrone', truth, detections)
    assert metrics['visdrone/coco_AP'] == pytest.approx(ap)
    assert scores['as it is'] == {
        key.removeprefix('visdrone/'): value
        for key, value in metrics.items()
        if key.startswith('visdrone/coco_AP')
    }
    background = scores['nothing of the background']['coco_AP']
    assert background == pytest.approx(without_background)
    assert '| coco_AP | coco_AP50 |' in ' '.join(limits_table(scores).split())


def truth_of(*classes):
    return dict(
        images=[dict(id=1, width=128, height=128, file_name='1.png')],
        categories=[dict(id=id_, name=name) for id_, name in enumerate(classes, 1)],
        annotations=[
            dict(
                id=index,
                image_id=1,
                category_id=label + 1,
                bbox=box,
                area=100,
                iscrowd=0,
            )
            for index, (label, box) in enumerate(OBJECTS, 1)
        ],
    )


def test_a_class_that_is_called_others(tmp_path):
    """As VisDrone's objects that do not count."""
    truth, detections = tmp_path / 'gt.json', tmp_path / 'dt.json'
    truth.write_text(json.dumps(truth_of('ship', 'others')))
    found = dict(image_id=1, category_id=2, bbox=OBJECTS[2][1], score=0.5)
    detections.write_text(json.dumps([found]))
    scores = limits_of_files(truth, detections)['as it is']
    assert scores['AP'] == score_files('aitod', truth, detections)['aitod/AP'] == 0.5


def test_tool(warm_tool, tmp_path):
    found = [
        dict(image_id=1, category_id=label + 1, bbox=[x, *box], score=0.5)
        for (label, (_, *box)), x in zip(OBJECTS, (14, 54, 90), strict=True)
    ]
    (tmp_path / 'gt.json').write_text(json.dumps(truth_of('ship', 'car')))
    (tmp_path / 'dt.json').write_text(json.dumps(found))
    files = ('--gt', 'gt.json', '--dt', 'dt.json')
    out = tmp_path / 'new/limits.json'
    result = warm_tool('analysis_tools/limits.py', *files, '--out', out)
    assert result.returncode == 0, result.stderr
    rows = [
        [cell.strip() for cell in line.strip('|').split('|')]
        for line in result.stdout.splitlines()
    ]
    assert rows[0] == ['', 'AP', 'AP50', 'AP75', 'APvt', 'APt', 'APs', 'APm']
    # IoU 60 / 140 of the ships: no match as it is. All are of AI-TOD's tiny size.
    assert rows[2][:4] == ['as it is', '50.0', '50.0', '50.0']
    assert rows[3] == [
        'perfect boxes', '100.0', '100.0', '100.0', '-', '100.0', '-', '-'
    ]  # fmt: skip
    written = json.loads(out.read_text())
    assert list(written) == [row[0] for row in rows[2:]]
    keys = ['AP', 'AP_50', 'AP_75', 'AP_vt', 'AP_t', 'AP_s', 'AP_m']
    values = [1, 1, 1, -1, 1, -1, -1]
    assert written['perfect boxes'] == dict(zip(keys, values, strict=True))
    assert written['as it is']['AP'] == 0.5

    truth = (tmp_path / 'gt.json').read_bytes()
    lost = warm_tool('analysis_tools/limits.py', *files, '--out', 'gt.json')
    assert 'gt.json would replace a file that is needed' in lost.stderr
    assert (tmp_path / 'gt.json').read_bytes() == truth

    broken = warm_tool('analysis_tools/limits.py', *files[:3], 'none.json')
    assert broken.returncode != 0
    assert 'none.json' in broken.stderr
    assert 'Traceback' not in broken.stderr
