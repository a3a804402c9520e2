"""The validator and its statistics, on one fault at a time and on real data."""

import json
import os
import shutil
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from mmcv.transforms import LoadImageFromFile
from PIL import ExifTags, Image

from sarl.conversion.check import ERRORS, WARNINGS, check_dataset
from sarl.conversion.statistics import (
    Split,
    draw_images,
    plot_statistics,
    split_statistics,
)
from sarl.errors import InputError

HITUAV = Path(__file__).parents[3] / 'shared/data/hituav_half'


def write_split(name, names, objects, rng):
    """Write images of 40 x 30 px and their JSON in the current folder."""
    Path('images').mkdir(exist_ok=True)
    for file_name in names:
        pixels = rng.integers(0, 255, (30, 40, 3), dtype=np.uint8)
        cv2.imwrite(f'images/{file_name}', pixels)
    images = [
        dict(id=number, file_name=file_name, width=40, height=30)
        for number, file_name in enumerate(names, 1)
    ]
    annotations = [
        dict(id=number, image_id=image_id, category_id=category_id, bbox=bbox)
        for number, (image_id, category_id, bbox) in enumerate(objects, 1)
    ]
    categories = [dict(id=1, name='boat'), dict(id=2, name='car')]
    Path(f'{name}.json').write_text(
        json.dumps(dict(images=images, annotations=annotations, categories=categories))
    )


@pytest.fixture
def splits(tmp_path, monkeypatch):
    """Two clean splits in the current folder."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    # The third image has no objects, and the second box sticks out by 1 px.
    train = [(1, 1, [2, 3, 8, 8]), (1, 2, [31, 10, 10, 16.5]), (2, 1, [20, 5, 2, 9])]
    write_split('train', ['a.png', 'b.png', 'c.JPG'], train, rng)
    write_split(
        'val', ['d.png', 'e.png'], [(1, 1, [0, 0, 9, 9]), (2, 2, [5, 5, 6, 6])], rng
    )


def check():
    return check_dataset(['train.json', 'val.json'], ['images'])


def texts(report):
    return {kind: list(map(str, items)) for kind, items in report.findings.items()}


def test_a_clean_set_has_no_findings(splits):
    report = check()
    assert texts(report) == {}
    assert (report.errors, report.warnings) == (0, 0)
    assert report.statistics['train']['objects'] == 3
    assert report.statistics['train']['images_without_objects'] == 1


def image(index, **values):
    return lambda data: data['images'][index].update(values)


def annotation(index, **values):
    return lambda data: data['annotations'][index].update(values)


def drop(table, index, field):
    return lambda data: data[table][index].pop(field)


def add(table, **row):
    return lambda data: data[table].append(row)


def no_change(data):
    pass


def boxed(box, **values):
    """A fourth annotation, of the second image."""
    return add('annotations', id=4, image_id=2, category_id=1, bbox=box, **values)


def box_text(box, more=''):
    return f'train.json: annotation 4 of b.png: box {box}{more}'


UNUSED = 'has no objects'
# A change of train.json, and all that is found then.
JSON_FAULTS = {
    'no table': (
        lambda data: data.pop('annotations'),
        {
            'table': ['train.json: has no list "annotations"'],
            'category-unused': [
                f"train.json: category 'boat' {UNUSED}",
                f"train.json: category 'car' {UNUSED}",
            ],
        },
    ),
    'no images': (
        lambda data: data.update(images=[], annotations=data['annotations'][:1]),
        {
            'no-images': ['train.json: lists no images'],
            'unknown-image': ['train.json: annotation 1 has the image_id 1'],
            'category-unused': [
                f"train.json: category 'boat' {UNUSED}",
                f"train.json: category 'car' {UNUSED}",
            ],
            'unlisted-image': [
                f'images/{name}: is in no annotation file'
                for name in ('a.png', 'b.png', 'c.JPG')
            ],
        },
    ),
    'row': (
        lambda data: data['annotations'].insert(0, [1, 2]),
        {'row': ['train.json: annotations[0] is [1, 2]']},
    ),
    'image field': (
        drop('images', 2, 'width'),
        {'field': ['train.json: images[2] lacks width']},
    ),
    'annotation fields': (
        add('annotations', id=4, image_id=1),
        {'field': ['train.json: annotations[3] lacks category_id, bbox']},
    ),
    'image side': (
        image(2, height=0),
        {'value': ['train.json: images[2] has the height 0']},
    ),
    'image name': (
        lambda data: data['images'].append(dict(data['images'][2], id=4, file_name=5)),
        {'value': ['train.json: images[3] has the file_name 5']},
    ),
    'category name': (
        add('categories', id=3, name=['x']),
        {
            'value': ["train.json: category 3 has the name ['x']"],
            'category-unused': [f"train.json: category ['x'] {UNUSED}"],
        },
    ),
    'id': (
        annotation(2, id=1.5),
        {'id': ['train.json: annotations[2] has the id 1.5']},
    ),
    'mixed ids': (
        annotation(2, id='3'),
        {'mixed-ids': ['train.json: annotations has 2 numbers and 1 texts as ids']},
    ),
    'image id twice': (
        image(2, id=2),
        {'duplicate-id': ['train.json: images[2] has the id 2 of another row']},
    ),
    'annotation id twice': (
        annotation(2, id=2),
        {'duplicate-id': ['train.json: annotations[2] has the id 2 of another row']},
    ),
    'category id twice': (
        add('categories', id=2, name='van'),
        {'duplicate-id': ['train.json: categories[2] has the id 2 of another row']},
    ),
    'file name twice': (
        add('images', id=4, file_name='./a.png', width=40, height=30),
        {'duplicate-file-name': ['train.json: images[3] and images[0] are both a.png']},
    ),
    'category name twice': (
        add('categories', id=3, name='car'),
        {
            'duplicate-category': [
                "train.json: category 3 and category 2 are both named 'car'"
            ],
            'categories-differ': [
                "val.json: category 'car' has the id 2, but 3 in train.json"
            ],
            'category-unused': [f"train.json: category 'car' {UNUSED}"],
        },
    ),
    'unknown image': (
        add('annotations', id=4, image_id='1', category_id=1, bbox=[1, 1, 5, 5]),
        {'unknown-image': ["train.json: annotation 4 has the image_id '1'"]},
    ),
    'unknown category': (
        add('annotations', id=4, image_id=1, category_id=[9], bbox=[1, 1, 5, 5]),
        {'unknown-category': ['train.json: annotation 4 has the category_id [9]']},
    ),
    'categories differ': (
        lambda data: data.update(
            categories=[dict(id=2, name='boat'), dict(id=1, name='lorry')]
        ),
        {
            'categories-differ': [
                "val.json: category 'boat' has the id 1, but 2 in train.json",
                "val.json: category 'lorry' is missing; train.json has it",
                "val.json: category 'car' is not in train.json",
            ]
        },
    ),
    'flags': (
        lambda data: data['annotations'][1].update(iscrowd='0', ignore=2),
        {
            'value': [
                "train.json: annotation 2 has the iscrowd '0'",
                'train.json: annotation 2 has the ignore 2',
            ],
            'category-unused': [f"train.json: category 'car' {UNUSED}"],
        },
    ),
    'unused category': (
        lambda data: data['annotations'][1].update(iscrowd=1),
        {'category-unused': [f"train.json: category 'car' {UNUSED}"]},
    ),
    'missing image': (
        image(2, file_name='x/c.JPG'),
        {
            'missing-image': ['train.json: image x/c.JPG is not in images'],
            'unlisted-image': ['images/c.JPG: is in no annotation file'],
        },
    ),
    'other size': (
        image(2, width=30, height=40),
        {'image-size': ['train.json: image c.JPG has 40 x 30 px, listed as 30 x 40']},
    ),
    'three numbers': (boxed([1, 1, 5]), {'box-form': [box_text([1, 1, 5])]}),
    'text': (boxed('1 1 5 5'), {'box-form': [box_text("'1 1 5 5'")]}),
    'not a number': (
        boxed([1, 1, 5, float('nan')]),
        {'box-form': [box_text('[1, 1, 5, nan]')]},
    ),
    'zero width': (boxed([1, 1, 0, 5]), {'box-empty': [box_text([1, 1, 0, 5])]}),
    'negative height': (
        boxed([1, 9, 5, -5]),
        {'box-empty': [box_text([1, 9, 5, -5])]},
    ),
    'outside': (
        boxed([31.5, 1, 9.6, 5]),
        {'box-outside': [box_text([31.5, 1, 9.6, 5])]},
    ),
    'outside on the left': (
        boxed([-1.5, 1, 9, 5]),
        {'box-outside': [box_text([-1.5, 1, 9, 5])]},
    ),
    'outside below': (
        boxed([1, 25, 5, 6.5]),
        {'box-outside': [box_text([1, 25, 5, 6.5])]},
    ),
    'wholly outside on the right': (
        boxed([40, 1, 5, 5]),
        {'box-wholly-outside': [box_text([40, 1, 5, 5])]},
    ),
    'wholly outside above': (
        boxed([1, -5, 5, 5]),
        {'box-wholly-outside': [box_text([1, -5, 5, 5])]},
    ),
    'wholly outside below': (
        boxed([1, 30, 5, 5]),
        {'box-wholly-outside': [box_text([1, 30, 5, 5])]},
    ),
    'small area': (
        boxed([1, 1, 4, 5], area=9.9),
        {'area': [box_text([1, 1, 4, 5], ', area 9.9')]},
    ),
    'half area': (boxed([1, 1, 4, 5], area=10), {}),
    'large area, no polygon': (
        boxed([1, 1, 4, 5], area=41, segmentation=[]),
        {'area': [box_text([1, 1, 4, 5], ', area 41')]},
    ),
    'area of a polygon': (
        boxed([1, 1, 4, 5], area=2, segmentation=[[1, 1, 5, 1, 1, 2]]),
        {},
    ),
    'no area': (
        boxed([1, 1, 4, 5], area=0),
        {'value': [box_text([1, 1, 4, 5], ', area 0')]},
    ),
    'box twice': (
        boxed([20.0, 5, 2, 9]),
        {'duplicate-box': [box_text([20.0, 5, 2, 9], ', as annotation 3')]},
    ),
    'below 2 px': (
        boxed([20, 5, 1.9, 9]),
        {'box-below-2px': [box_text([20, 5, 1.9, 9])]},
    ),
}


@pytest.mark.parametrize('fault', JSON_FAULTS)
def test_faults_of_the_file(splits, edit, fault):
    change, expected = JSON_FAULTS[fault]
    edit(Path('train.json'), change)
    assert texts(check()) == expected


def val_copy(source, name):
    """A third image of val that is a copy."""

    def change():
        shutil.copy(f'images/{source}', f'images/{name}')
        data = json.loads(Path('val.json').read_text())
        data['images'].append(dict(id=3, file_name=name, width=40, height=30))
        Path('val.json').write_text(json.dumps(data))

    return change


def same_stem():
    Path('images/b').mkdir()
    shutil.move('images/d.png', 'images/b/a.jpg')
    path = Path('val.json')
    path.write_text(path.read_text().replace('d.png', 'b/a.jpg'))


def turned(width, height):
    """An image that EXIF turns by 90 degrees when it is loaded."""

    def change():
        exif = Image.Exif()
        exif[ExifTags.Base.Orientation] = 6
        Image.new('RGB', (width, height), 'white').save('images/c.JPG', exif=exif)

    return change


def deep():
    cv2.imwrite('images/a.png', np.full((30, 40, 3), 4000, np.uint16))


def floating():
    Image.new('F', (40, 30)).save('images/a.tif')
    Path('images/a.png').unlink()
    path = Path('train.json')
    path.write_text(path.read_text().replace('a.png', 'a.tif'))


TURNED = 'train.json: image c.JPG has the EXIF orientation 6'
IMAGE_FAULTS = {
    'turned, labelled as loaded': (turned(30, 40), {'turned-image': [TURNED]}),
    'turned, labelled as stored': (
        turned(40, 30),
        {
            'image-size': ['train.json: image c.JPG has 30 x 40 px, listed as 40 x 30'],
            'turned-image': [TURNED],
        },
    ),
    'deep': (
        deep,
        {'deep-image': ['train.json: image a.png has 16 bits a channel']},
    ),
    'floating-point numbers': (
        floating,
        {
            'broken-image': [
                'train.json: image a.tif cannot be used: OpenCV, by which training '
                'loads images, does not decode it'
            ]
        },
    ),
    'no image': (
        lambda: Path('images/a.png').write_text('<html>'),
        {
            'broken-image': [
                'train.json: image a.png cannot be used: {folder}/images/a.png is not '
                'a readable image: it is of no known format'
            ]
        },
    ),
    'unlisted': (
        lambda: shutil.copy('images/a.png', 'images/z.PNG'),
        {'unlisted-image': ['images/z.PNG: is in no annotation file']},
    ),
    'other files': (
        lambda: [Path(f'images/{name}').touch() for name in ('a.txt', '.x.png')],
        {},
    ),
    'resource fork': (
        lambda: Path('images/._a.png').touch(),
        {'resource-fork': ['images/._a.png: is no image but what macOS left']},
    ),
    'leak': (
        val_copy('b.png', 'x.png'),
        {'leak-content': ['val.json: image x.png is b.png of train.json']},
    ),
    'identical': (
        val_copy('d.png', 'x.png'),
        {'identical-images': ['val.json: image x.png is identical to d.png']},
    ),
    'leak of names': (
        same_stem,
        {'leak-name': ['val.json: image b/a.jpg is a.png of train.json']},
    ),
}


@pytest.mark.parametrize('fault', IMAGE_FAULTS)
def test_faults_of_images(splits, fault):
    change, expected = IMAGE_FAULTS[fault]
    change()
    assert texts(check()) == {
        kind: [item.format(folder=os.path.realpath('.')) for item in items]
        for kind, items in expected.items()
    }


def test_linked_folders(splits, edit):
    """Images lie elsewhere, and are listed by the link or by where it leads."""
    Path('nas/.hidden').mkdir(parents=True)
    Path('images/train').symlink_to('../nas')
    Path('nas/up').symlink_to('../images')
    for name in ('a.png', 'b.png', 'c.JPG'):
        shutil.move(f'images/{name}', f'nas/{name}')
    for name in ('nas/x.png', 'nas/.hidden/y.png'):
        shutil.copy('images/d.png', name)
    files = ['train.json', 'val.json']
    assert texts(check_dataset(files, ['nas', 'images'])) == {
        'unlisted-image': ['nas/x.png: is in no annotation file']
    }

    def list_by_link(data):
        for row in data['images']:
            row['file_name'] = f'train/{row["file_name"]}'

    edit(Path('train.json'), list_by_link)
    assert texts(check()) == {
        'unlisted-image': ['images/train/x.png: is in no annotation file']
    }


def test_a_truncated_image(splits):
    path = Path('images/a.png')
    path.write_bytes(path.read_bytes()[:-30])
    found = texts(check())
    assert list(found) == ['broken-image']
    assert found['broken-image'][0].startswith(
        'train.json: image a.png cannot be used: the image is truncated or broken'
    )


def test_one_split_given_as_two_leaks_whole(splits):
    shutil.copy('train.json', 'val.json')
    found = texts(check())
    leaks = [
        f'val.json: image {name} is {name} of train.json'
        for name in ('a.png', 'b.png', 'c.JPG')
    ]
    assert found['leak-content'] == found['leak-name'] == leaks
    assert set(found) == {'leak-content', 'leak-name', 'unlisted-image'}


def test_a_folder_for_each_split(splits):
    Path('other').mkdir()
    for name in ('d.png', 'e.png'):
        shutil.move(f'images/{name}', 'other')
    report = check_dataset(['train.json', 'b=val.json'], ['images', 'other'])
    assert texts(report) == {}
    assert list(report.statistics) == ['train', 'b']
    # The wrong way round, nothing is where it should be.
    swapped = texts(check_dataset(['train.json', 'b=val.json'], ['other', 'images']))
    assert {kind: len(items) for kind, items in swapped.items()} == {
        'missing-image': 5,
        'unlisted-image': 5,
    }


def spoil_much(edit):
    """Faults of all sorts in one set."""
    for change, _ in (
        JSON_FAULTS['outside'],
        JSON_FAULTS['missing image'],
        JSON_FAULTS['annotation fields'],
        JSON_FAULTS['category name twice'],
    ):
        edit(Path('train.json'), change)
    for fault in ('no image', 'unlisted', 'leak', 'resource fork'):
        IMAGE_FAULTS[fault][0]()


def test_faults_add_up(splits, edit):
    spoil_much(edit)
    report = check()
    assert {kind: len(items) for kind, items in report.findings.items()} == {
        'field': 1,
        'duplicate-id': 1,
        'duplicate-category': 1,
        'categories-differ': 1,
        'missing-image': 1,
        'broken-image': 1,
        'box-outside': 1,
        'leak-content': 1,
        'category-unused': 1,
        'unlisted-image': 2,
        'resource-fork': 1,
    }
    assert (report.errors, report.warnings) == (8, 4)


def test_text_shows_the_count_and_five_examples(splits, edit):
    def many(data):
        for index in range(7):
            box = [index, 0, 5, 0]
            row = dict(id=10 + index, image_id=3, category_id=1, bbox=box)
            data['annotations'].append(row)

    edit(Path('train.json'), many)
    lines = check().as_text().splitlines()
    assert lines[0] == 'ERROR: boxes of zero or negative size: 7'
    assert lines[5] == '    train.json: annotation 14 of c.JPG: box [4, 0, 5, 0]'
    assert lines[6] == '    and 2 more'
    assert lines[-1] == '7 errors, 0 warnings'


def test_kinds_are_errors_or_warnings():
    assert not set(ERRORS) & set(WARNINGS)


@pytest.mark.parametrize(
    ('annotations', 'folders', 'mention'),
    [
        (['no.json'], ['images'], r'no\.json does not exist'),
        (['cut.json'], ['images'], r'cut\.json is not valid JSON \(line 1'),
        (['empty.json'], ['images'], r'empty\.json is empty'),
        (['train.json'], ['nowhere'], 'folder nowhere does not exist'),
        (['train.json'], ['images', 'images'], '2 image folders do not fit 1'),
        (['train.json', './train.json'], ['images'], "both called 'train'"),
        (['../x=train.json'], ['images'], "'../x' cannot be the name"),
    ],
)
def test_what_cannot_be_checked(splits, annotations, folders, mention):
    Path('cut.json').write_text(Path('train.json').read_text()[:-5])
    Path('empty.json').touch()
    with pytest.raises(InputError, match=mention):
        check_dataset(annotations, folders)


@pytest.fixture
def worked():
    """Three images of 100 x 100 px, and objects whose statistics are known."""
    images = [
        dict(id=number, file_name=f'{number}.png', width=100, height=100)
        for number in (7, 8, 9)
    ]
    rows = [
        # A size on a border belongs to the lower bin.
        (7, 1, [0, 0, 8, 8]),
        (7, 2, [40, 45, 20, 10]),
        (7, 1, [90, 90, 10, 10]),
        (8, 1, [0, 0, 16, 64]),
        (9, 1, [0, 0, 50, 50]),
    ]
    annotations = [
        dict(id=number, image_id=image_id, category_id=category_id, bbox=bbox)
        for number, (image_id, category_id, bbox) in enumerate(rows)
    ]
    # The bins go by this area, sizes by the box.
    annotations[2]['area'] = 1025
    annotations[4]['iscrowd'] = 1
    categories = [dict(id=2, name='car'), dict(id=1, name='boat')]
    return Split(images, annotations, categories)


def test_statistics_against_numbers_by_hand(worked):
    found = split_statistics(worked)
    assert found['images'] == 3
    assert found['images_without_objects'] == 1
    assert (found['objects'], found['crowd_regions']) == (4, 1)
    assert found['objects_an_image'] == dict(
        mean=1.3333, median=1.0, max=3, histogram=dict(bin_width=1, counts=[1, 1, 0, 1])
    )
    assert found['classes'] == [
        dict(name='car', count=1, share=0.25),
        dict(name='boat', count=3, share=0.75),
    ]
    size = found['size_px']
    assert {name: row['count'] for name, row in size['bins'].items()} == {
        'very tiny': 1,
        'tiny': 1,
        'small': 1,
        'medium': 1,
    }
    # Sizes 8, 10, 14.1421 and 32, ratios 0.25, 1, 1 and 2.
    assert [size[name] for name in ('min', 'p5', 'p25', 'p50')] == [
        8,
        8.3,
        9.5,
        12.0711,
    ]
    assert [size[name] for name in ('p75', 'p95', 'max')] == [18.6066, 29.3213, 32]
    edges, counts = size['histogram']['edges'], size['histogram']['counts']
    assert {
        edge: count for edge, count in zip(edges, counts, strict=False) if count
    } == {
        8: 1,
        2**3.25: 1,
        2**3.75: 1,
        32: 1,
    }
    ratio = found['aspect_ratio']
    assert (ratio['min'], ratio['p50'], ratio['max']) == (0.25, 1, 2)
    assert (found['centre']['x'], found['centre']['y']) == (0.3925, 0.4525)
    grid = np.array(found['centre']['grid'])
    assert grid.shape == (16, 16)
    assert list(zip(*np.nonzero(grid), strict=True)) == [
        (0, 0),
        (5, 1),
        (8, 8),
        (15, 15),
    ]


def test_statistics_of_nothing():
    found = split_statistics(Split([], [], []))
    assert found['objects_an_image']['mean'] is None
    assert found['size_px']['p50'] is None
    assert found['size_px']['bins']['tiny'] == dict(count=0, share=None)
    json.dumps(found, allow_nan=False)


def test_drawn_images_are_spread_and_show_their_boxes(tmp_path):
    (tmp_path / 'in').mkdir()
    names = [f'in/{number}.png' for number in range(5)]
    for name in names:
        grey = np.full((100, 1000), 90, np.uint8)
        cv2.imwrite(str(tmp_path / name), grey)
    images = [
        dict(id=name, file_name=name, width=1000, height=100) for name in names[::-1]
    ]
    box = dict(image_id=names[2], category_id=1, bbox=[50, 40, 6, 4])
    split = Split(images, [box], [dict(id=1, name='boat')])
    paths = draw_images(split, tmp_path, 2, tmp_path / 'out')
    assert [path.name for path in paths] == ['in__0.png.png', 'in__2.png.png']
    plain, drawn = (cv2.imread(str(path)) for path in paths)
    assert (plain == 90).all()
    assert drawn.shape == (100, 1000, 3)
    # The object itself is left as it is, what frames it is not.
    assert (drawn[40:44, 50:56] == 90).all()
    assert (drawn[38:46, 48] != 90).any(axis=-1).all()
    assert len(draw_images(split, tmp_path, 9, tmp_path / 'out')) == 5


def test_images_are_drawn_as_training_loads_them(splits):
    deep()
    turned(30, 40)()
    data = json.loads(Path('train.json').read_text())
    split = Split(data['images'], [], data['categories'])
    for path in draw_images(split, Path('images'), 3, Path('out')):
        loaded = LoadImageFromFile()(dict(img_path=f'images/{path.stem}'))['img']
        drawn = cv2.imread(str(path))
        scale = len(drawn) // len(loaded)
        np.testing.assert_array_equal(drawn[::scale, ::scale], loaded)


def test_names_of_many_classes_do_not_overlap(worked, tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(
        Figure, 'savefig', lambda figure, *_, **__: drawn.append(figure)
    )
    categories = [dict(id=number, name=f'class {number}') for number in range(300)]
    found = split_statistics(worked._replace(categories=categories))
    plot_statistics(found, 'many', tmp_path / 'many.png')
    (figure,) = drawn
    FigureCanvasAgg(figure).draw()
    labels = figure.axes[2].get_yticklabels()
    # Those with objects come first.
    assert [label.get_text() for label in labels[:2]] == ['class 1', 'class 2']
    boxes = [label.get_window_extent() for label in labels]
    assert all(above.y0 > below.y1 for above, below in pairwise(boxes))
    assert '300' in figure.axes[2].get_xlabel()


def test_names_that_look_like_formulas(worked, tmp_path):
    categories = [dict(id=number, name=rf'$\foo_{number}$') for number in (1, 2)]
    found = split_statistics(worked._replace(categories=categories))
    plot_statistics(found, '$x_$', tmp_path / 'figure.png')
    assert (tmp_path / 'figure.png').is_file()


def test_the_annotations_are_not_replaced_by_the_report(splits, warm_tool):
    path = Path('train.json')
    before = path.read_bytes()
    result = warm_tool(
        'dataset_converters/check_dataset.py',
        *(f'mine={path}', '--images', 'images', '--out', path),
    )
    assert result.returncode == 1
    assert 'would replace a file that is needed' in result.stderr
    assert path.read_bytes() == before


def test_command_line_of_a_clean_set(splits, tool):
    arguments = ['train.json', 'val.json', '--images', 'images', '--workers', '2']
    result = tool(
        'dataset_converters/check_dataset.py',
        *arguments,
        *['--out', 'new/report.json', '--plots', 'plots', '--draw', 2],
    )
    assert result.returncode == 0, result.stderr
    assert '0 errors, 0 warnings' in result.stdout
    report = json.loads(Path('new/report.json').read_text())
    assert report['findings'] == []
    assert report['statistics'] == check().statistics
    assert report['splits']['val'] == dict(annotations='val.json', images='images')
    assert sorted(str(path) for path in Path('plots').rglob('*.*')) == [
        'plots/drawn/train/a.png.png',
        'plots/drawn/train/b.png.png',
        'plots/drawn/val/d.png.png',
        'plots/drawn/val/e.png.png',
        'plots/train.png',
        'plots/val.png',
    ]


def test_names_that_are_no_text(splits, warm_tool, monkeypatch):
    shutil.copy(b'images/a.png', b'images/\xcf\xe3.jpg')
    monkeypatch.setenv('PYTHONIOENCODING', 'utf-8:strict')
    arguments = ['train.json', 'val.json', '--images', 'images', '--workers', '1']
    result = warm_tool('dataset_converters/check_dataset.py', *arguments)
    assert result.returncode == 0, result.stderr
    assert r'images/\udccf\udce3.jpg: is in no annotation file' in result.stdout


def test_command_line_of_a_faulty_set(splits, edit, warm_tool):
    spoil_much(edit)
    arguments = ['train.json', 'val.json', '--images', 'images', '--out', 'r.json']
    # Two processes find what one does.
    arguments += ['--workers', '2']
    result = warm_tool('dataset_converters/check_dataset.py', *arguments)
    assert result.returncode == 1
    assert 'Traceback' not in result.stderr
    assert '8 errors, 4 warnings' in result.stdout
    report = json.loads(Path('r.json').read_text())
    assert report == json.loads(json.dumps(check().as_dict()))
    by_kind = {finding['kind']: finding for finding in report['findings']}
    assert by_kind['box-outside']['severity'] == 'error'
    assert by_kind['unlisted-image']['severity'] == 'warning'
    assert by_kind['unlisted-image']['count'] == 2
    assert by_kind['missing-image']['items'] == [
        dict(file='train.json', item='image x/c.JPG', detail='is not in images')
    ]


def test_real_data():
    if not HITUAV.is_dir():
        pytest.skip(f'the sample {HITUAV} is not there')
    files = [f'{HITUAV}/annotations/{split}.json' for split in ('train', 'val')]
    report = check_dataset(files, [f'{HITUAV}/images'])
    assert {kind: len(items) for kind, items in report.findings.items()} == {
        'box-below-2px': 2
    }
    train, val = report.statistics['train'], report.statistics['val']
    assert (train['images'], train['objects']) == (1727, 16062)
    assert (val['images'], val['objects']) == (760, 5097)
    # Counted with other means, from the boxes alone.
    data = json.loads(Path(files[0]).read_text())
    sizes = [(row['bbox'][2] * row['bbox'][3]) ** 0.5 for row in data['annotations']]
    bins = [row['count'] for row in train['size_px']['bins'].values()]
    assert bins[0] == sum(size <= 8 for size in sizes)
    assert bins[1] == sum(8 < size <= 16 for size in sizes)
    assert bins[3] == sum(size > 32 for size in sizes)
