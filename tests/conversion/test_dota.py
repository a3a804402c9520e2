import json
import shutil
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from sarl.conversion.dota import CLASSES, Objects, convert, read_labels
from sarl.conversion.tiling import Tiling
from sarl.datasets.coco_file import StrictCOCO
from sarl.datasets.dota import DOTAv2Dataset
from sarl.errors import InputError

REAL = Path(__file__).parents[3] / 'shared/data/dota_raw'
HEADER = 'imagesource:GoogleEarth\ngsd:0.15\n'


@pytest.fixture
def source(tmp_path):
    """Two scenes, of 150 x 100 and 60 x 70 px, for tiles of 100 px."""
    folder = tmp_path / 'my split'
    (folder / 'images').mkdir(parents=True)
    (folder / 'labelTxt').mkdir()
    rng = np.random.default_rng(0)
    for name, width, height in (('P2.png', 150, 100), ('P10.PNG', 60, 70)):
        pixels = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / 'images' / name)
    write_labels(
        folder,
        'P2',
        '10 10 20 5 30 10 20 15 plane 1',
        '92 50 102 50 102 60 92 60 ship 0',
    )
    write_labels(folder, 'P10', '40 60 70 60 70 80 40 80 helipad 0')
    return folder


def write_labels(folder, scene, *lines):
    text = HEADER + '\n'.join(lines) + '\n'
    (folder / f'labelTxt/{scene}.txt').write_text(text)


def read(path):
    return json.loads(path.read_text())


def snapshot(folder):
    return {
        path.relative_to(folder): path.read_bytes()
        for path in folder.rglob('*')
        if path.is_file()
    }


SMALL = ('--patch', 100, '--gap', 20, '--workers', 1)
CONVERTER = 'dataset_converters/dota2coco.py'


def assert_one_clear_error(result, *mentions):
    assert result.returncode == 1, result.stdout + result.stderr
    assert 'Traceback' not in result.stderr
    (line,) = (x for x in result.stderr.splitlines() if x.startswith('error:'))
    for mention in mentions:
        assert mention in line


def test_command_line_by_hand(tool, source, tmp_path):
    out = tmp_path / 'tiles'
    result = tool(CONVERTER, source, '--out', out, *SMALL)
    assert result.returncode == 0, result.stderr
    assert '3 tiles of 2 scenes, 4 boxes of 3 objects' in result.stdout
    content = read(out / 'annotations.json')
    names = ['P10__100__0___0.png', 'P2__100__0___0.png', 'P2__100__50___0.png']
    assert [image['file_name'] for image in content['images']] == names
    assert sorted(path.name for path in (out / 'images').iterdir()) == names
    assert content['images'][2] == dict(
        id=3,
        file_name='P2__100__50___0.png',
        width=100,
        height=100,
        scene='P2',
        scene_id=2,
        scene_width=150,
        scene_height=100,
        patch=100,
        x=50,
        y=0,
        size=100,
        rate=1.0,
    )
    rows = [
        (a['id'], a['image_id'], CLASSES[a['category_id'] - 1], a['bbox'], a['area'])
        for a in content['annotations']
    ]
    assert rows == [
        # Clipped to the scene, not to the padded tile.
        (1, 1, 'helipad', [40, 60, 20, 10], 200),
        (2, 2, 'plane', [10, 5, 20, 10], 200),
        # 80 % of the ship is in the first tile of P2.
        (3, 2, 'ship', [92, 50, 8, 10], 80),
        (4, 3, 'ship', [42, 50, 10, 10], 100),
    ]
    assert [a['difficult'] for a in content['annotations']] == [0, 1, 0, 0]
    assert {a['iscrowd'] for a in content['annotations']} == {0}
    # Polygons are not clipped.
    assert content['annotations'][0]['segmentation'] == [
        [40, 60, 70, 60, 70, 80, 40, 80]
    ]
    assert content['annotations'][3]['segmentation'] == [
        [42, 50, 52, 50, 52, 60, 42, 60]
    ]
    assert [c['name'] for c in content['categories']] == list(CLASSES)
    assert [c['id'] for c in content['categories']] == list(range(1, 19))

    scenes = read(out / 'scenes.json')
    assert [image['file_name'] for image in scenes['images']] == ['P10.PNG', 'P2.png']
    assert [a['bbox'] for a in scenes['annotations']] == [
        [40, 60, 20, 10],
        [10, 5, 20, 10],
        [92, 50, 10, 10],
    ]
    pixels = cv2.imread(str(source / 'images/P2.png'))
    tile = cv2.imread(str(out / 'images/P2__100__50___0.png'))
    assert (tile == pixels[:, 50:]).all()

    result = tool(CONVERTER, source, '--out', out, '--patch', 80, '--gap', 20)
    assert_one_clear_error(result, 'tiles of other settings', "'patch': 80", '--out')


def test_the_data_set_class_takes_the_tiles(source, tmp_path):
    convert(source, tmp_path / 'tiles', Tiling(100, 20))
    data = DOTAv2Dataset(
        data_root=f'{tmp_path}/tiles/',
        ann_file='annotations.json',
        data_prefix=dict(img='images/'),
        pipeline=[],
    )
    assert len(data) == 3
    (plane, ship) = data.get_data_info(1)['instances']
    assert data.metainfo['classes'][ship['bbox_label']] == 'ship'
    assert ship['bbox'] == [92, 50, 100, 60]
    palette = data.metainfo['palette']
    assert len(set(palette)) == len(palette) == len(CLASSES) == 18


def test_rates_scale_boxes(source, tmp_path):
    counts = convert(source, tmp_path / 'tiles', Tiling(50, 10, (0.5, 1.0)))
    content = read(tmp_path / 'tiles/annotations.json')
    images = {image['id']: image for image in content['images']}
    assert {(i['rate'], i['size'], i['width']) for i in images.values()} == {
        (0.5, 100, 50),
        (1.0, 50, 50),
    }
    planes = [
        (images[a['image_id']]['file_name'], a['bbox'])
        for a in content['annotations']
        if a['category_id'] == 1
    ]
    assert planes == [
        ('P2__100__0___0.png', [5, 2.5, 10, 5]),
        ('P2__50__0___0.png', [10, 5, 20, 10]),
    ]
    assert counts.tiles == len(images)


def test_any_number_of_workers_and_a_second_run_give_the_same_bytes(source, tmp_path):
    first, second = tmp_path / 'first', tmp_path / 'second'
    convert(source, first, Tiling(40, 10), workers=1)
    convert(source, second, Tiling(40, 10), workers=3)
    assert snapshot(first) == snapshot(second)
    # A run that was killed while it wrote a tile leaves no annotations.json.
    (second / 'annotations.json').unlink()
    tile = next((second / 'images').iterdir())
    tile.rename(tile.with_name(tile.name + '.part'))
    convert(source, second, Tiling(40, 10), workers=2)
    assert snapshot(first) == snapshot(second)


def test_a_broken_off_run_leaves_no_annotations(source, tmp_path):
    convert(source, tmp_path / 'tiles', Tiling(40, 10))
    path = source / 'images/P2.png'
    content = bytearray(path.read_bytes())
    content[2000:2100] = bytes(100)
    path.write_bytes(content)
    with pytest.raises(InputError, match=r'P2\.png is missing or broken'):
        convert(source, tmp_path / 'tiles', Tiling(40, 10))
    assert not list((tmp_path / 'tiles').glob('annotations*'))


def test_a_folder_of_other_tiles_is_refused(source, tmp_path):
    out = tmp_path / 'tiles'
    convert(source, out, Tiling(40, 10))
    before = snapshot(out)
    for tiling, image_format in ((Tiling(40, 12), 'png'), (Tiling(40, 10), 'jpg')):
        with pytest.raises(InputError, match='tiles of other settings'):
            convert(source, out, tiling, image_format)
    (source / 'images/P2.png').rename(source / 'images/P3.png')
    (source / 'labelTxt/P2.txt').rename(source / 'labelTxt/P3.txt')
    with pytest.raises(InputError, match='not tiles of this run, first P2__40'):
        convert(source, out, Tiling(40, 10))
    assert snapshot(out) == before
    # Tiles of a tool that left no record.
    (out / 'tiling.json').unlink()
    with pytest.raises(InputError, match='not tiles of this run') as refusal:
        convert(source, out, Tiling(40, 10))
    assert 'delete' not in str(refusal.value)


def test_hidden_files_are_no_tiles(source, tmp_path):
    convert(source, tmp_path, Tiling(40, 10))
    (tmp_path / 'images/.DS_Store').touch()
    convert(source, tmp_path, Tiling(40, 10))


def test_scenes_are_not_called_tiles_to_delete(source):
    before = snapshot(source)
    with pytest.raises(InputError, match='with --out') as refusal:
        convert(source, source, Tiling(40, 10))
    assert 'delete' not in str(refusal.value)
    assert snapshot(source) == before


@pytest.mark.parametrize('name', ['annotations.json', 'scenes.json'])
def test_files_of_another_tool_are_not_deleted(source, tmp_path, name):
    path = tmp_path / name
    path.write_bytes(b'my own')
    with pytest.raises(InputError, match=rf'{name} is not of this tool\. Choose anoth'):
        convert(source, tmp_path, Tiling(40, 10))
    assert path.read_bytes() == b'my own'
    assert not (tmp_path / 'tiling.json').exists()


def test_a_test_set_has_no_labels(warm_tool, source, tmp_path):
    shutil.rmtree(source / 'labelTxt')
    result = warm_tool(CONVERTER, source, '--out', tmp_path / 'tiles', *SMALL)
    assert result.returncode == 0, result.stderr
    assert 'no labelTxt folder: tiles without annotations' in result.stdout
    content = read(tmp_path / 'tiles/annotations.json')
    assert len(content['images']) == 3
    assert content['annotations'] == []


def test_labels_of_another_name_are_not_passed_over(source, tmp_path):
    (source / 'labelTxt').rename(source / 'labelTxt-v2.0')
    with pytest.raises(InputError, match=r'no folder labelTxt, but labelTxt-v2\.0'):
        convert(source, tmp_path / 'tiles', Tiling(40, 10))
    assert not (tmp_path / 'tiles').exists()


def test_objects_without_area_or_outside_are_counted_and_left_out(source, tmp_path):
    write_labels(
        source,
        'P10',
        '1 1 9 1 9 1 1 1 ship 0',
        '1 1 9 9 9 9 1 1 ship 0',
        '70 1 90 1 90 9 70 9 ship 0',
        '-5 -5 5 -5 5 5 -5 5 ship 0',
        '10 10 20 20 20 10 10 20 ship 0',
    )
    counts = convert(source, tmp_path / 'tiles', Tiling(100, 20))
    assert counts.without_area == 3
    boxes = [a['bbox'] for a in read(tmp_path / 'tiles/scenes.json')['annotations'][:2]]
    assert boxes == [[0, 0, 5, 5], [10, 10, 10, 10]]
    # Three quarters of one are outside the image and its window.
    assert counts.in_no_tile == 1
    StrictCOCO(tmp_path / 'tiles/annotations.json')
    StrictCOCO(tmp_path / 'tiles/scenes.json')


def test_labels_in_odd_shapes(tmp_path):
    path = tmp_path / 'P1.txt'
    rows = b'1 2 3.5 4 5 6 7 8 ship 1', b'  1 2 3 4 5 6 7 8\tharbor', b'', b'gsd:null'
    path.write_bytes(b'\xef\xbb\xbfimagesource:GoogleEarth\r\n' + b'\r\n'.join(rows))
    objects = read_labels(path)
    assert objects.polygons.tolist() == [
        [1, 2, 3.5, 4, 5, 6, 7, 8],
        [1, 2, 3, 4, 5, 6, 7, 8],
    ]
    assert [CLASSES[label] for label in objects.labels] == ['ship', 'harbor']
    assert objects.difficult.tolist() == [1, 0]
    path.write_bytes(b'')
    assert [part.shape for part in read_labels(path)] == [(0, 8), (0,), (0,)]
    assert isinstance(read_labels(path), Objects)


@pytest.mark.parametrize(
    'row',
    [
        '1 2 3 4 5 6 7 ship 0',
        '1 2 3 4 5 6 7 8',
        '1 2 3 4 5 6 7 8 ship 0 0',
        '1,2,3,4,5,6,7,8,ship,0',
        '1 2 3 4 5 6 7 8 ship 0,',
        '1 2 3 4 5 6 7 x ship 0',
        '1 2 3 4 5 6 7 nan ship 0',
        '1 2 3 4 5 6 7 1_0 ship 0',
        '1 2 3 4 5 6 7 8 ship -1',
    ],
)
def test_malformed_labels(source, tmp_path, row):
    write_labels(source, 'P2', '10 10 20 5 30 10 20 15 plane 1', row)
    with pytest.raises(InputError, match=r'P2\.txt, line 4: .* is not "x1 y1') as error:
        convert(source, tmp_path / 'tiles', Tiling())
    assert row in str(error.value)
    assert not (tmp_path / 'tiles').exists()


def test_other_bad_input(source, tmp_path):
    def assert_refused(mention):
        with pytest.raises(InputError, match=mention):
            convert(source, tmp_path / 'tiles', Tiling())
        assert not (tmp_path / 'tiles').exists()

    write_labels(source, 'P2', '1 2 3 4 5 6 7 8 Ship 0')
    assert_refused(r"P2\.txt, line 3: unknown class 'Ship'")
    (source / 'labelTxt/P2.txt').write_bytes(b'\xff\xfe1\x00')
    assert_refused(r'P2\.txt, line 1: not UTF-8')
    write_labels(source, 'P2')
    write_labels(source, 'P3')
    assert_refused(r'1 label files have no image .*P3\.txt\. .*images of DOTA-v1\.0')
    (source / 'labelTxt/P3.txt').unlink()
    (source / 'labelTxt/P10.txt').unlink()
    assert_refused(r'1 images .* have no label file .*first P10\.txt.*empty label file')
    write_labels(source, 'P10')
    path = source / 'images/P2.png'
    path.write_bytes(path.read_bytes()[:-500])
    assert_refused(r'P2\.png: the image is truncated')
    path.write_bytes(b'')
    assert_refused(r'P2\.png is not a readable image')
    shutil.rmtree(source / 'images')
    assert_refused('images does not exist')
    (source / 'images').mkdir()
    assert_refused('has no images')


def test_real_scenes(tmp_path):
    if not REAL.is_dir():
        pytest.skip('the real DOTA scenes are not here')
    counts = convert(REAL, tmp_path / 'tiles', Tiling(), 'jpg', 2)
    assert counts == (4, 15, 727, 1013, 0, 0, True)
    scenes = read(tmp_path / 'tiles/scenes.json')
    found = Counter(CLASSES[a['category_id'] - 1] for a in scenes['annotations'])
    lines = [
        line.split()
        for path in (REAL / 'labelTxt').iterdir()
        for line in path.read_text().splitlines()[2:]
    ]
    assert found == Counter(fields[8] for fields in lines)
    StrictCOCO(tmp_path / 'tiles/annotations.json').check_images(
        tmp_path / 'tiles/images'
    )
