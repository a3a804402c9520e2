import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from sarl.conversion.dota import CLASSES, convert
from sarl.conversion.merge import TileDetections, merge_files, merge_tiles
from sarl.conversion.tiling import Tiling
from sarl.errors import InputError

REAL = Path(__file__).parents[3] / 'shared/data/dota_raw'
MERGE = 'dataset_converters/merge_tiles.py'


def tile(window, *detections):
    """A tile of a scene of 180 x 100 px; detections: x1, y1, x2, y2, score, label."""
    rows = np.array(detections, float).reshape(-1, 6)
    x1, _, x2, _ = window
    cut = ((rows[:, 0] <= x1 + 2) & (x1 > 0)) | ((rows[:, 2] >= x2 - 2) & (x2 < 180))
    labels = rows[:, 5].astype(int)
    return TileDetections(np.array(window), rows[:, :4], rows[:, 4], labels, cut)


def merged(*tiles):
    boxes, scores, labels = merge_tiles(tiles, 0.5)
    return [
        [*box, score, label]
        for box, score, label in zip(
            boxes.tolist(), scores.tolist(), labels.tolist(), strict=True
        )
    ]


LEFT, RIGHT = (0, 0, 100, 100), (80, 0, 180, 100)


def test_one_object_in_two_tiles():
    whole, other = [84, 10, 92, 20, 0.6, 0], [84, 11, 92, 20, 0.8, 0]
    assert merged(tile(LEFT, whole), tile(RIGHT, other)) == [other]
    # Of another class it is another object.
    other[5] = 1
    assert merged(tile(LEFT, whole), tile(RIGHT, other)) == [other, whole]


def test_the_whole_box_wins_over_the_better_scored_piece():
    piece, whole = [92, 10, 100, 20, 0.9, 0], [92, 10, 140, 20, 0.6, 0]
    # IoU 1 / 6, but they agree up to the seam.
    assert merged(tile(LEFT, piece), tile(RIGHT, whole)) == [[*whole[:4], 0.9, 0]]


def test_an_object_cut_by_both_tiles_is_its_largest_piece():
    left, right = [40, 10, 100, 20, 0.6, 0], [80, 10, 170, 20, 0.5, 0]
    assert merged(tile(LEFT, left), tile(RIGHT, right)) == [[*right[:4], 0.6, 0]]


def test_a_box_that_ends_before_the_seam_is_no_piece():
    # The other box crosses the border of the left tile, this one ends far from it.
    other, crossing = [82, 10, 90, 20, 0.9, 0], [82, 10, 110, 20, 0.6, 0]
    assert merged(tile(LEFT, other), tile(RIGHT, crossing)) == [other, crossing]


def test_what_one_tile_tells_apart_stays_apart():
    a, b = [82, 10, 98, 30, 0.9, 0], [82, 12, 98, 32, 0.7, 0]
    assert merged(tile(LEFT, a, b)) == [a, b]
    assert merged(tile(LEFT, a, b), tile(RIGHT, a, b)) == [a, b]
    # Also where the second tile sees one of them only,
    assert merged(tile(LEFT, a, b), tile(RIGHT, b)) == [a, b]
    # and where the two have one box.
    assert merged(tile(LEFT, a, a), tile(RIGHT, a, a)) == [a, a]


def test_outside_the_shared_part_nothing_merges():
    left, right = [10, 10, 20, 20, 0.9, 0], [150, 10, 160, 20, 0.9, 0]
    assert merged(tile(LEFT, left), tile(RIGHT, right)) == [left, right]
    assert merged(tile(LEFT), tile(RIGHT)) == []


def truth_as_detections(folder):
    content = json.loads((folder / 'annotations.json').read_text())
    detections = [
        dict(
            image_id=a['image_id'],
            category_id=a['category_id'],
            bbox=a['bbox'],
            score=1.0,
        )
        for a in content['annotations']
    ]
    (folder / 'dt.json').write_text(json.dumps(detections))
    return folder / 'dt.json'


def whole_in_a_tile(polygon, windows):
    corners = np.reshape(polygon, (4, 2))
    return any(
        (corners >= (x, y)).all() and (corners <= (x + size, y + size)).all()
        for x, y, size in windows
    )


def assert_round_trip(source, folder, tiling, workers=1):
    """Detect with the truth of the tiles; each kept object is back once, no other."""
    counts = convert(source, folder, tiling, 'jpg', workers)
    detections = truth_as_detections(folder)
    merge_files(folder / 'annotations.json', detections, folder / 'out.json', 0.5)
    scenes = json.loads((folder / 'scenes.json').read_text())
    tiles = json.loads((folder / 'annotations.json').read_text())
    results = json.loads((folder / 'out.json').read_text())
    assert len(results) == counts.objects - counts.in_no_tile
    left = {}
    for result in results:
        key = result['image_id'], result['category_id']
        left.setdefault(key, []).append(result['bbox'])
        assert result['score'] == 1
    exact = 0
    for truth in scenes['annotations']:
        windows = [
            (image['x'], image['y'], image['size'])
            for image in tiles['images']
            if image['scene_id'] == truth['image_id']
        ]
        boxes = left.get((truth['image_id'], truth['category_id']), [])
        same = [
            box for box in boxes if np.abs(np.subtract(box, truth['bbox'])).max() < 1
        ]
        if whole_in_a_tile(truth['segmentation'], windows):
            assert same, truth
        if same:
            boxes.remove(same[0])
            exact += 1
    return exact, counts


@pytest.mark.parametrize(
    'tiling', [Tiling(), Tiling(400, 80), Tiling(512, 100, (0.5, 1.0))]
)
def test_round_trip_of_real_scenes(tmp_path, tiling):
    if not REAL.is_dir():
        pytest.skip('the real DOTA scenes are not here')
    exact, counts = assert_round_trip(REAL, tmp_path, tiling, workers=2)
    assert counts.objects == 727
    assert exact == 727 if tiling.patch != 400 else exact == 721


def write_random_split(folder, seed, objects, sides):
    """Scenes of crowded slanting objects of two classes."""
    rng = np.random.default_rng(seed)
    (folder / 'images').mkdir(parents=True)
    (folder / 'labelTxt').mkdir()
    for scene, (width, height) in enumerate([(430, 300), (90, 250)]):
        blank = np.zeros((height, width, 3), np.uint8)
        Image.fromarray(blank).save(folder / f'images/{scene}.png')
        lines = []
        for _ in range(objects):
            centre = rng.uniform((0, 0), (width, height)).tolist()
            corners = cv2.boxPoints(
                (centre, rng.uniform(*sides, 2), float(rng.uniform(0, 90)))
            )
            numbers = ' '.join(f'{value:.1f}' for value in corners.reshape(-1))
            lines.append(f'{numbers} {CLASSES[rng.integers(5, 7)]} 0')
        # Some objects are labelled twice.
        (folder / f'labelTxt/{scene}.txt').write_text('\n'.join(lines + lines[:3]))


@pytest.mark.parametrize('seed', range(4))
@pytest.mark.parametrize(
    ('objects', 'sides', 'tiling'),
    [
        (300, (2, 30), Tiling(100, 40)),
        (80, (10, 40), Tiling(100, 40)),
        (100, (5, 40), Tiling(100, 50, (0.5, 1.0, 1.5))),
    ],
)
def test_round_trip_of_random_scenes(tmp_path, seed, objects, sides, tiling):
    write_random_split(tmp_path / 'raw', seed, objects, sides)
    assert_round_trip(tmp_path / 'raw', tmp_path / 'tiles', tiling)


def test_command_line_submission_and_scores(warm_tool, tmp_path):
    write_random_split(tmp_path / 'raw', 9, 20, (5, 15))
    out = tmp_path / 'tiles'
    convert(tmp_path / 'raw', out, Tiling(100, 40), 'jpg')
    arguments = ['--tiles', out / 'annotations.json', '--dt', truth_as_detections(out)]
    arguments += ['--out', tmp_path / 'scenes.bbox.json', '--dota', tmp_path / 'Task2']
    result = warm_tool(MERGE, *arguments, '--workers', 2)
    assert result.returncode == 0, result.stderr
    results = json.loads((tmp_path / 'scenes.bbox.json').read_text())
    assert f'{len(results)} detections on 2 scenes' in result.stdout

    assert {path.name for path in (tmp_path / 'Task2').iterdir()} == {
        f'Task2_{name}.txt' for name in CLASSES
    }
    rows = [
        line.split()
        for name in CLASSES
        for line in (tmp_path / f'Task2/Task2_{name}.txt').read_text().splitlines()
    ]
    scenes = {1: '0', 2: '1'}
    expected = [
        [scenes[r['image_id']], 1.0, x, y, x + w, y + h]
        for r in sorted(results, key=lambda r: r['category_id'])
        for x, y, w, h in [r['bbox']]
    ]
    assert [row[0] for row in rows] == [row[0] for row in expected]
    numbers = np.array([row[1:] for row in rows], float)
    assert np.abs(numbers - [row[1:] for row in expected]).max() <= 0.006

    for name in ('scenes.json', 'annotations.json'):
        before = (out / name).read_bytes()
        refused = warm_tool(MERGE, *arguments, '--out', out / name)
        assert refused.returncode == 1
        assert f'{name} would replace a file that is needed' in refused.stderr
        assert (out / name).read_bytes() == before

    scored = warm_tool(
        'evaluate.py',
        *('--metric', 'aitod', '--gt', out / 'scenes.json'),
        *('--dt', tmp_path / 'scenes.bbox.json', '--out', tmp_path / 'scores.json'),
    )
    assert scored.returncode == 0, scored.stderr


def test_bad_input(tmp_path):
    write_random_split(tmp_path / 'raw', 9, 5, (5, 15))
    convert(tmp_path / 'raw', tmp_path, Tiling(100, 40), 'jpg')
    detections = truth_as_detections(tmp_path)

    def assert_refused(mention, tiles='annotations.json', iou=0.5):
        with pytest.raises(InputError, match=mention):
            merge_files(tmp_path / tiles, detections, tmp_path / 'out.json', iou)
        assert not (tmp_path / 'out.json').exists()

    assert_refused(r'scenes\.json: image 0\.png lacks .*dota2coco', 'scenes.json')
    assert_refused(r'none\.json does not exist', 'none.json')
    assert_refused('not 0', iou=0)
    detections.write_text('[{"image_id": 1}]')
    assert_refused(r"dt\.json: entry \[0\] lacks \['category_id'")
    detections.write_text('[')
    assert_refused(r'dt\.json is not valid JSON')


def test_detections_in_the_padding_are_left_out(tmp_path):
    write_random_split(tmp_path / 'raw', 9, 5, (5, 15))
    convert(tmp_path / 'raw', tmp_path, Tiling(100, 40), 'jpg')
    tiles = json.loads((tmp_path / 'annotations.json').read_text())['images']
    narrow = next(image for image in tiles if image['scene_width'] == 90)
    found = [
        dict(image_id=narrow['id'], category_id=1, bbox=box, score=0.5)
        for box in ([92, 5, 6, 6], [80, 5, 15, 6])
    ]
    (tmp_path / 'dt.json').write_text(json.dumps(found))
    merge_files(
        tmp_path / 'annotations.json', tmp_path / 'dt.json', tmp_path / 'out.json'
    )
    (result,) = json.loads((tmp_path / 'out.json').read_text())
    assert result == dict(image_id=2, category_id=1, bbox=[80, 5, 10, 6], score=0.5)
    (tmp_path / 'dt.json').write_text('[]')
    merge_files(
        tmp_path / 'annotations.json', tmp_path / 'dt.json', tmp_path / 'out.json'
    )
    assert json.loads((tmp_path / 'out.json').read_text()) == []
