"""Anchors from a COCO-format file, and the objects that they reach."""

import ast
import runpy

import mmyolo
import numpy as np
import pytest
import torch

from sarl.analysis.anchors import (
    anchors_lines,
    coco_anchors,
    fit_anchors,
    object_sizes,
    reached,
)
from sarl.errors import InputError


def test_clusters_are_found():
    """Nine groups of objects, each within 5 % of its anchor, of unequal numbers."""
    rng = np.random.default_rng(0)
    centres = np.array(
        [
            [[5, 5], [4, 13], [16, 7]],
            [[20, 20], [60, 15], [18, 70]],
            [[80, 60], [50, 160], [200, 170]],
        ]
    )
    sizes = np.concatenate(
        [
            anchor * rng.uniform(0.95, 1.05, (number, 2))
            for number, anchor in zip(
                (500, 30, 200, 40, 10, 25, 60, 12, 8),
                centres.reshape(-1, 2),
                strict=True,
            )
        ]
    )
    rng.shuffle(sizes)
    fitted = fit_anchors(sizes)
    assert fitted.shape == (3, 3, 2)
    np.testing.assert_allclose(fitted, centres, rtol=0.04, atol=0.51)
    assert (fitted == fit_anchors(sizes)).all()


def test_reach_worked_by_hand():
    anchors = np.array([[8, 8], [40, 10]])
    sizes = np.array(
        [
            [2.1, 2.1],  # 3.8 times smaller than the first
            [2.0, 2.0],  # 4 times: no longer
            [31, 31],  # 3.9 times larger
            [33, 33],  # 4.1 times; 3.3 times as high as the second, as wide as 0.8
            [150, 38],  # of the second alone
            [8, 40],
        ]
    )
    expected = [True, False, True, True, True, False]
    assert reached(sizes, anchors).tolist() == expected
    assert reached(sizes, anchors, threshold=5.1).all()


def test_reach_is_mmyolos():
    rng = np.random.default_rng(1)
    sizes = np.exp(rng.uniform(0, 7, (2000, 2)))
    anchors = coco_anchors()
    assert anchors[0, 0].tolist() == [10, 13]
    path = f'{mmyolo.__path__[0]}/.mim/tools/analysis_tools/optimize_anchors.py'
    theirs = runpy.run_path(path)['YOLOV5KMeansAnchorOptimizer']
    _, best_ratio = theirs._metric(
        None, torch.tensor(sizes), torch.tensor(anchors.reshape(9, 2))
    )
    hit = reached(sizes, anchors)
    assert 0.2 < hit.mean() < 0.8
    assert (hit == (best_ratio > 1 / 4).numpy()).all()


def test_tool(tool, coco_folder, edit):
    path = coco_folder / 'annotations/train.json'

    def add_crowd(content):
        box = dict(bbox=[0, 0, 96, 96], area=9216, iscrowd=1)
        content['annotations'].append(dict(content['annotations'][0], id=99, **box))

    edit(path, add_crowd)
    result = tool('analysis_tools/anchors.py', path)
    assert result.returncode == 0, result.stderr
    lines, table = result.stdout.split('\n\n', 1)
    anchors = ast.literal_eval(lines.strip().removeprefix('anchors=').rstrip(','))
    # Sides of the objects are 4 to 20 px.
    assert [len(level) for level in anchors] == [3, 3, 3]
    assert all(4 <= side <= 20 for level in anchors for a in level for side in a)
    areas = [w * h for level in anchors for w, h in level]
    assert areas == sorted(areas)
    # 6 images of 5 objects; the crowd is none.
    assert '| all         |     30 | 100.0 % |' in table


def test_too_few_objects_get_one_line(warm_tool, coco_folder):
    path = coco_folder / 'annotations/train.json'
    result = warm_tool('analysis_tools/anchors.py', path, '--levels', '50')
    assert result.returncode == 1
    assert 'error: 150 anchors need as many objects' in result.stderr
    assert 'Traceback' not in result.stderr


def test_what_training_leaves_out_gets_no_anchor(coco_folder, edit):
    path = coco_folder / 'annotations/train.json'
    before = object_sizes(path)

    def add_sliver(content):
        box = dict(bbox=[3, 3, 0.02, 9], area=0.18)
        content['annotations'].append(dict(content['annotations'][0], id=99, **box))

    edit(path, add_sliver)
    assert np.array_equal(object_sizes(path), before)

    def make_fractions(content):
        for annotation in content['annotations']:
            annotation['bbox'] = [side / 96 for side in annotation['bbox']]

    edit(path, make_fractions)
    with pytest.raises(InputError, match=r'all 31 boxes have a side below 1 px.*px\.'):
        object_sizes(path)


def test_four_levels_begin_at_stride_4():
    assert anchors_lines(np.ones((4, 3, 2))).count('# P2/4\n') == 1
    assert '# P5/32' in anchors_lines(np.ones((4, 3, 2)))


def test_lines_are_what_a_config_takes():
    anchors = fit_anchors(np.exp(np.random.default_rng(2).uniform(1, 4, (50, 2))), 2, 2)
    lines = anchors_lines(anchors)
    assert '# P4/16' in lines
    assert '# P5/32' in lines
    row = eval(f'dict({lines})')
    assert np.array_equal(row['anchors'], anchors)
