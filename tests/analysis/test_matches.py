import contextlib
import io

import pytest
from pycocotools.coco import COCO

from sarl.analysis import Matches, count_parameters, match_images
from sarl.demo.pictures import most_different


def coco(boxes_by_image, crowd=(), ids=None):
    annotations = [
        dict(image_id=image_id, category_id=1, bbox=box, area=box[2] * box[3])
        for image_id, boxes in boxes_by_image.items()
        for box in boxes
    ]
    for index, annotation in enumerate(annotations, start=1):
        annotation.update(
            id=ids[index - 1] if ids else index, iscrowd=int(index in crowd)
        )
    truth = COCO()
    truth.dataset = dict(
        images=[dict(id=i, width=100, height=100) for i in boxes_by_image],
        annotations=annotations,
        categories=[dict(id=1, name='car')],
    )
    with contextlib.redirect_stdout(io.StringIO()):
        truth.createIndex()
    return truth


def detection(image_id, box, score):
    return dict(image_id=image_id, category_id=1, bbox=box, score=score)


A, B, C = [10, 10, 8, 8], [40, 40, 8, 8], [70, 70, 8, 8]


def test_hits_misses_and_false_alarms_worked_by_hand():
    truth = coco({1: [A, B], 2: [C]})
    found = [
        detection(1, A, 0.9),
        detection(1, A, 0.7),  # a second box on the same object
        detection(2, C, 0.8),
        # The best F1 is that of the first three: this error stays below its score.
        detection(2, [5, 5, 8, 8], 0.3),
    ]
    matches = match_images(truth, found)
    assert matches[1] == Matches(hits=[A], missed=[B])
    assert matches[2] == Matches(hits=[C])
    assert matches[1].f1 == 2 / 3
    assert matches[2].f1 == 1


def test_a_low_confidence_detector_gets_a_low_threshold():
    truth = coco({1: [A, B]})
    matches = match_images(truth, [detection(1, A, 0.1), detection(1, B, 0.08)])
    assert matches[1].hits == [A, B]


def test_crowds_are_neither_missed_nor_false():
    truth = coco({1: [A, [30, 30, 60, 60]]}, crowd={2})
    matches = match_images(truth, [detection(1, A, 0.9), detection(1, B, 0.95)])
    assert matches[1] == Matches(hits=[A])


@pytest.mark.parametrize('ids', [[0, 1], ['a', 'b']])
def test_ids_that_pycocotools_does_not_take(ids):
    matches = match_images(coco({1: [A, B]}, ids=ids), [detection(1, A, 0.9)])
    assert matches[1] == Matches(hits=[A], missed=[B])


def test_nothing_found_and_nothing_to_find():
    matches = match_images(coco({1: [A], 2: []}), [])
    assert matches[1] == Matches(missed=[A])
    assert matches[2].f1 == 1


def test_pictures_are_of_the_largest_differences_whoever_is_ahead():
    good, bad = Matches(hits=[A]), Matches(missed=[A])
    first = {1: good, 2: good, 3: bad}
    second = {1: good, 2: bad, 3: good}
    assert set(most_different(first, second, 2)) == {2, 3}


def test_parameters_are_counted():
    from torch import nn

    assert count_parameters(nn.Linear(3, 2)) == 3 * 2 + 2
