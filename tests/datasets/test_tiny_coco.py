import json
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
from mmdet.registry import DATASETS as MMDET_DATASETS
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmyolo.registry import DATASETS
from PIL import ExifTags, Image

from sarl.datasets import AITODDataset, TinyCocoDataset
from sarl.datasets.coco_file import StrictCOCO
from sarl.errors import InputError

CONFIGS = Path(__file__).parents[2] / 'configs'


def dataset(folder, split='train', **kwargs):
    return TinyCocoDataset(
        ann_file=f'annotations/{split}.json',
        data_root=str(folder),
        data_prefix=dict(img='images/'),
        pipeline=[],
        **kwargs,
    )


def annotations(folder):
    return folder / 'annotations/train.json'


def names_by_box(data):
    classes = data.metainfo['classes']
    return {
        (item['img_id'], *instance['bbox']): classes[instance['bbox_label']]
        for item in (data.get_data_info(i) for i in range(len(data)))
        for instance in item['instances']
    }


@pytest.mark.parametrize('classes', [('boat', 'car'), ('car', 'boat')])
@pytest.mark.parametrize('reverse_file', [False, True])
def test_classes_are_matched_by_name(coco_folder, edit, classes, reverse_file):
    """MMDetection's CocoDataset goes by position here and swaps the classes."""
    content = json.loads(annotations(coco_folder).read_text())
    name_of = {category['id']: category['name'] for category in content['categories']}
    expected = {}
    for annotation in content['annotations']:
        x, y, w, h = annotation['bbox']
        key = (annotation['image_id'], x, y, x + w, y + h)
        expected[key] = name_of[annotation['category_id']]
    if reverse_file:
        edit(annotations(coco_folder), lambda c: c['categories'].reverse())
    data = dataset(coco_folder, metainfo=dict(classes=classes))
    assert data.metainfo['classes'] == classes
    assert names_by_box(data) == expected


def test_classes_come_from_the_file_if_none_are_given(coco_folder):
    assert dataset(coco_folder).metainfo['classes'] == ('boat', 'car')


def test_a_subset_of_the_classes_can_be_trained(coco_folder):
    data = dataset(coco_folder, metainfo=dict(classes=('car',)))
    assert set(names_by_box(data).values()) == {'car'}


def test_aitod_is_registered_in_both_frameworks():
    assert DATASETS.get('AITODDataset') is AITODDataset
    assert MMDET_DATASETS.get('AITODDataset') is AITODDataset
    assert len(AITODDataset.METAINFO['palette']) == 8


@pytest.mark.parametrize(
    ('config', 'side', 'scales'),
    [
        ('yolov5_n-v61_1xb16-25e_scenes.py', 192, False),
        ('yolov5_s-v61_8xb16-100e_aitod.py', 800, True),
    ],
)
def test_two_pixel_objects_survive_the_training_pipeline(
    tmp_path, config, side, scales
):
    """MMYOLO's defaults drop what is 2 px wide or less after scaling."""
    init_default_scope('mmyolo')
    (tmp_path / 'images').mkdir()
    cv2.imwrite(str(tmp_path / 'images/0.png'), np.zeros((side, side, 3), np.uint8))
    grid = [(x, y) for x in range(20, side, 20) for y in range(20, side, 20)]
    content = dict(
        images=[dict(id=0, file_name='0.png', width=side, height=side)],
        annotations=[
            dict(id=i, image_id=0, category_id=1, bbox=[x, y, 2, 2])
            for i, (x, y) in enumerate(grid, 1)
        ],
        categories=[dict(id=1, name='dot')],
    )
    (tmp_path / 'train.json').write_text(json.dumps(content))
    cfg = Config.fromfile(CONFIGS / 'yolov5' / config)
    data = TinyCocoDataset(
        ann_file='train.json',
        data_root=str(tmp_path),
        data_prefix=dict(img='images/'),
        pipeline=cfg.train_dataloader.dataset.pipeline,
    )
    widths = []
    for _ in range(20):
        boxes = data[0]['data_samples'].gt_instances.bboxes.tensor
        widths.append((boxes[:, 2] - boxes[:, 0]).numpy())
    if scales:
        widths = np.concatenate(widths)
        assert len(widths) > 500
        # About half of the draws scale down, by up to a half.
        assert np.mean(widths < 1.9) > 0.2
    else:
        np.testing.assert_array_equal(widths, np.full((20, len(grid)), 2))


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (lambda c: c.update(annotations=None), 'no list "annotations"'),
        (lambda c: c.pop('annotations'), 'has no annotations of the classes'),
        (lambda c: c.pop('images'), 'no list "images"'),
        (lambda c: c.pop('categories'), 'no list "categories"'),
        (
            lambda c: c['images'][0].pop('file_name'),
            r"images\[0\] lacks \['file_name'\]",
        ),
        (lambda c: c['annotations'][0].update(id=2), 'two annotations have the id 2'),
        (lambda c: c['annotations'][0].update(image_id=99), 'image 99'),
        (lambda c: c['annotations'][0].update(category_id=7), 'category 7'),
        (lambda c: c['annotations'][0].update(bbox=[1, 2, 3]), 'is not '),
        (lambda c: c['annotations'][0].update(bbox=[1, 2, 'a', 3]), 'is not '),
        (lambda c: c['annotations'][0].update(bbox=[1, 2, float('nan'), 3]), 'finite'),
        (lambda c: c['annotations'][0].update(bbox=[1, 2, 0, 3]), 'has no area'),
        (lambda c: c['annotations'][0].update(bbox=[1, 2, 5, -3]), 'negative size'),
        (lambda c: c['annotations'][0].update(area=0), 'has the area 0'),
        (lambda c: c['annotations'][0].update(bbox=[90, 2, 8, 3]), 'by 2 px'),
        (
            lambda c: c['annotations'][0].update(bbox=[500, 500, 8, 3]),
            'leaves the image',
        ),
        (
            lambda c: c['annotations'][0].update(iscrowd='0'),
            "annotation 1 has the iscrowd '0', which is not 0 or 1",
        ),
        (lambda c: c['annotations'][0].update(ignore='0'), "has the ignore '0'"),
        (lambda c: c['annotations'][0].update(iscrowd=2), 'has the iscrowd 2'),
        (
            lambda c: c['categories'][0].update(id='1'),
            'ids of categories are numbers and some text',
        ),
        (
            lambda c: c['images'][1].update(file_name='./train_1.jpg'),
            r'listed as two images, first train_1\.jpg',
        ),
        (lambda c: c['images'][0].update(width=0), '0 x 96 px'),
        (
            lambda c: c['images'][0].update(width='10'),
            r"images\[0\] has the width '10', which is not a number",
        ),
        (lambda c: c['images'][0].update(height=None), 'has the height None'),
        (
            lambda c: c['images'][0].update(file_name=None),
            r'images\[0\] has the file_name None, which is not text',
        ),
        (
            lambda c: c['categories'][0].update(name=['boat']),
            r"categories\[0\] has the name \['boat'\], which is not text",
        ),
        (lambda c: c['categories'][0].update(name='car'), 'same name'),
        (lambda c: c.update(images=[], annotations=[]), 'lists no images'),
    ],
)
def test_malformed_files_are_refused(coco_folder, edit, change, message):
    edit(annotations(coco_folder), change)
    with pytest.raises(InputError, match=message) as caught:
        dataset(coco_folder)
    assert 'train.json' in str(caught.value)


@pytest.mark.parametrize('content', ['[1, 2]', '3', '{}', '{"shapes": []}'])
def test_other_json_is_refused(coco_folder, content):
    annotations(coco_folder).write_text(content)
    with pytest.raises(InputError, match='not a COCO detection file'):
        dataset(coco_folder)


def test_bad_boxes_can_be_clipped(coco_folder, edit):
    def spoil(content):
        first, second, third = content['annotations'][:3]
        first.update(bbox=[90, 10, 20, 8], area=160)
        second.update(bbox=[200, 10, 20, 8])
        third.update(bbox=[5, 5, 0, 8], area=0)

    edit(annotations(coco_folder), spoil)
    total = len(StrictCOCO(coco_folder / 'annotations/val.json').anns)
    coco = StrictCOCO(annotations(coco_folder), bad_boxes='clip')
    assert coco.anns[1]['bbox'] == [90, 10, 6, 8]
    assert coco.anns[1]['area'] == 48
    assert 2 not in coco.anns
    assert 3 not in coco.anns
    assert total == 20
    assert len(coco.anns) == 30 - 2


def test_half_a_pixel_outside_is_rounding(coco_folder, edit):
    edit(
        annotations(coco_folder),
        lambda c: c['annotations'][0].update(bbox=[90.5, -0.5, 6, 8]),
    )
    assert len(dataset(coco_folder)) == 6


def test_missing_area_and_iscrowd_are_filled_in(coco_folder, edit):
    def strip(content):
        for annotation in content['annotations']:
            del annotation['area'], annotation['iscrowd']

    edit(annotations(coco_folder), strip)
    for annotation in StrictCOCO(annotations(coco_folder)).anns.values():
        assert annotation['area'] == annotation['bbox'][2] * annotation['bbox'][3]
        assert annotation['iscrowd'] == 0


def truncate(path):
    path.write_bytes(path.read_bytes()[:-300])


def test_truncated_images_are_found(coco_folder):
    truncate(coco_folder / 'images/train_3.jpg')
    with pytest.raises(InputError, match=r'train_3\.jpg: the image is truncated'):
        dataset(coco_folder)
    assert len(dataset(coco_folder, check_images=False)) == 6


def test_a_name_too_long_for_a_file(coco_folder, edit):
    name = 'a' * 300
    edit(
        annotations(coco_folder),
        lambda c: c['images'][2].update(file_name=f'{name}.jpg'),
    )
    with pytest.raises(InputError, match=rf'{name}\.jpg of .*train\.json.*too long'):
        dataset(coco_folder)


def test_images_have_the_size_that_training_loads(coco_folder, edit):
    """Labels of 48 x 96 px, drawn on an image that EXIF turns to 96 x 48."""
    path = coco_folder / 'images/train_1.jpg'
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    Image.new('RGB', (48, 96)).save(path, exif=exif)

    def list_size(width, height):
        def change(content):
            content['images'][0].update(width=width, height=height)
            for row in content['annotations']:
                row['bbox'] = [1, 1, 8, 8]

        edit(annotations(coco_folder), change)

    list_size(48, 96)
    turned = r'train_1\.jpg: training loads 96 x 48 px, turned .* 6, .* lists 48 x 96'
    with pytest.raises(InputError, match=turned):
        dataset(coco_folder)
    list_size(96, 48)
    assert len(dataset(coco_folder)) == 6
    list_size(200, 48)
    with pytest.raises(InputError, match=r'96 x 48 px, .*train\.json lists 200 x 48'):
        dataset(coco_folder)


@pytest.mark.parametrize('yes', [1, True, 1.0])
def test_flags_of_annotations(coco_folder, edit, yes):
    def flag(content):
        first, second, third = content['annotations'][:3]
        first['iscrowd'], second['iscrowd'], third['iscrowd'] = yes, False, None

    edit(annotations(coco_folder), flag)
    coco = StrictCOCO(annotations(coco_folder))
    assert [coco.anns[number]['iscrowd'] for number in (1, 2, 3)] == [1, 0, 0]


def test_truncated_pngs_are_found_and_trailing_bytes_are_not_blamed(coco_folder, edit):
    for index in (1, 2):
        jpg = coco_folder / f'images/train_{index}.jpg'
        cv2.imwrite(str(jpg.with_suffix('.png')), cv2.imread(str(jpg)))
    jpg = coco_folder / 'images/train_4.jpg'
    jpg.write_bytes(jpg.read_bytes() + b'what some cameras append')
    edit(
        annotations(coco_folder),
        lambda c: (
            [i.update(file_name=f'train_{i["id"]}.png') for i in c['images'][:2]]
            and None
        ),
    )
    assert len(dataset(coco_folder)) == 6
    truncate(coco_folder / 'images/train_2.png')
    with pytest.raises(InputError, match=r'train_2\.png'):
        dataset(coco_folder)


def test_validation_data_may_be_empty_of_objects(coco_folder, edit):
    """A test set without labels can be run; only training needs objects."""
    path = coco_folder / 'annotations/val.json'
    edit(path, lambda c: c.update(annotations=[]))
    assert len(dataset(coco_folder, 'val', test_mode=True)) == 4
    edit(path, lambda c: c.pop('annotations'))
    assert len(dataset(coco_folder, 'val', test_mode=True)) == 4


@pytest.fixture
def said(monkeypatch):
    """What the data set logs."""
    texts = []
    monkeypatch.setattr(
        'sarl.datasets.tiny_coco.print_log', lambda text, *_: texts.append(text)
    )
    return texts


def test_objects_below_a_pixel_are_counted(coco_folder, edit, said):
    """MMDetection leaves them out without a word."""

    def shrink(content):
        first, second, third, fourth = content['annotations'][:4]
        for row in content['annotations']:
            row['category_id'] = 2
        first['bbox'] = [10, 10, 0.9, 5]
        second['bbox'] = [10, 10, 5, 0.9]
        # No object of the classes
        third.update(bbox=[10, 10, 0.9, 5], iscrowd=1)
        fourth.update(bbox=[10, 10, 0.9, 5], category_id=1)

    edit(annotations(coco_folder), shrink)
    data = dataset(coco_folder, metainfo=dict(classes=('car',)))
    assert len(names_by_box(data)) == 26
    assert len(said) == 1
    assert re.search(r'train\.json: 2 objects .* below 1 px', said[0])
    # Scores count them.
    dataset(coco_folder, test_mode=True)
    assert len(said) == 1


def test_boxes_as_fractions_of_the_image(coco_folder, edit, said):
    def divide(content):
        for row in content['annotations']:
            row['bbox'] = [side / 96 for side in row['bbox']]
            del row['area']

    edit(annotations(coco_folder), divide)
    message = r'train\.json: all 30 boxes .* below 1 px.* fractions of the image'
    with pytest.raises(InputError, match=message):
        dataset(coco_folder)
    assert len(dataset(coco_folder, test_mode=True)) == 6
    assert not said
