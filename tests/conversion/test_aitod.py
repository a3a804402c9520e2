"""AI-TOD: the check of a download, and its xView part."""

import json
import multiprocessing
import os
import re
import runpy
import signal
import sys
import time

import cv2
import numpy as np
import pytest
from conftest import ROOT
from PIL import Image

from sarl.conversion.aitod import RELEASES, Release, check_release, format_report
from sarl.conversion.xview import (
    AITOD_TYPES,
    cut_tile,
    make_tiles,
    window_starts,
)
from sarl.datasets.aitod import AITODDataset, AITODv2Dataset
from sarl.errors import InputError

SIDE = 32
CLASSES = AITODDataset.METAINFO['classes']
IMAGES = dict(train=3, val=2, trainval=5, test=4)
SMALL = {
    version: Release(release.files, IMAGES, 18 if version == 'v1' else None, side=SIDE)
    for version, release in RELEASES.items()
}
NAMES = dict(
    train=['a.png', 'b.png', '5__600_0.png'],
    val=['c.png', 'd.png'],
    test=['e.png', 'f.png', 'g.png', '7__0_600.png'],
)
NAMES['trainval'] = NAMES['train'] + NAMES['val']


def annotations(names, classes=CLASSES):
    return dict(
        images=[
            dict(id=i, file_name=name, width=SIDE, height=SIDE)
            for i, name in enumerate(names)
        ],
        annotations=[
            dict(id=i, image_id=i // 2, category_id=1, bbox=[1, 2, 3, 4], area=12)
            for i in range(2 * len(names))
        ],
        categories=[dict(id=i, name=name) for i, name in enumerate(classes, 1)],
    )


@pytest.fixture
def release(tmp_path):
    """A small AI-TOD as downloads of it lie: 2 boxes an image, trainval and test."""
    root = tmp_path / 'AI TOD'
    (root / 'annotations').mkdir(parents=True)
    for split in ('trainval', 'test'):
        folder = root / 'images' / split
        folder.mkdir(parents=True)
        for name in NAMES[split]:
            pixels = np.random.default_rng(0).integers(0, 255, (SIDE, SIDE, 3))
            cv2.imwrite(str(folder / name), pixels)
    for split, names in NAMES.items():
        path = root / f'annotations/aitod_{split}_v1.json'
        path.write_text(json.dumps(annotations(names)))
    return root


def check(root, version=None, workers=1):
    return check_release(root, version, workers, SMALL)


def faults(report):
    return [
        (finding['what'], finding['items'])
        for finding in report['findings']
        if finding['fault']
    ]


def notes(report):
    return [f for f in report['findings'] if not f['fault']]


def one_fault(report, what):
    assert not report['complete']
    ((found, items),) = faults(report)
    assert re.search(what, found), found
    return items


def test_the_releases_are_those_of_the_paper():
    assert RELEASES['v1'].images == RELEASES['v2'].images
    images = RELEASES['v1'].images
    assert images['train'] + images['val'] == images['trainval'] == 14_018
    assert images['trainval'] + images['test'] == 28_036
    assert RELEASES['v1'].instances == 700_621
    assert RELEASES['v1'].side == 800
    assert set(RELEASES['v1'].files) == {
        'aitod_train_v1.json',
        'aitod_val_v1.json',
        'aitod_trainval_v1.json',
        'aitod_test_v1.json',
        'small_trainval_v1_1.0.json',
    }
    assert RELEASES['v2'].files['small_trainval_v2_2.0.json'] == 'trainval'
    assert RELEASES['v2'].files['aitodv2_val.json'] == 'val'


def test_v2_dataset_has_the_classes_of_v1():
    assert AITODv2Dataset.METAINFO == AITODDataset.METAINFO


def test_a_complete_release(release):
    report = check(release)
    assert report['complete'], format_report(report)
    assert report['findings'] == []
    by_split = {file['split']: file for file in report['files']}
    assert set(by_split) == set(IMAGES)
    assert by_split['trainval'] == dict(
        file='annotations/aitod_trainval_v1.json',
        version='v1',
        split='trainval',
        images=5,
        instances=10,
        folders={'images/trainval': 5},
    )
    assert format_report(report).endswith('verdict: complete')
    # The second version is not there, and was not asked for either.
    assert check(release, 'v1') == report
    assert not check(release, 'v2')['complete']
    # The real release is larger.
    real = check_release(release)
    wanted = [items for what, items in faults(real) if 'number of images' in what]
    assert ['3 instead of 11,214'] in wanted
    assert any('700,621' in items[0] for _, items in faults(real))


def test_flat_and_nested_trees_other_names_and_links(release, tmp_path):
    elsewhere = tmp_path / 'elsewhere'
    (release / 'images/trainval').rename(elsewhere)
    (release / 'images/test').rename(release / 'deep')
    (release / 'images/loop').symlink_to(release)
    (release / 'linked').symlink_to(elsewhere)
    old = release / 'annotations'
    (old / 'aitod_trainval_v1.json').rename(release / 'Small_Trainval_V1_1.0.JSON')
    for split in ('train', 'val'):
        (old / f'aitod_{split}_v1.json').unlink()
    report = check(release)
    assert report['complete'], format_report(report)
    assert [file['folders'] for file in report['files']] == [
        {'linked': 5},
        {'deep': 4},
    ]


def test_both_versions_are_checked(release):
    for split, names in NAMES.items():
        path = release / f'aitodv2_{split}.json'
        path.write_text(json.dumps(annotations(names)))
    report = check(release)
    assert report['complete']
    assert [file['version'] for file in report['files']] == ['v2'] * 4 + ['v1'] * 4
    (release / 'aitodv2_test.json').unlink()
    assert one_fault(check(release), 'v2: annotation files missing') == ['test']
    assert check(release, 'v1')['complete']


def test_missing_images_of_both_parts(release):
    (release / 'images/trainval/a.png').unlink()
    (release / 'images/test/7__0_600.png').unlink()
    assert faults(check(release)) == [
        (
            'images of the xView part missing; make them with `aitod.py xview`',
            ['7__0_600.png'],
        ),
        ('images missing; complete the download', ['a.png']),
    ]


def cut(path):
    path.write_bytes(path.read_bytes()[:-200])


@pytest.mark.parametrize('spoil', [cut, lambda path: path.write_bytes(b'')])
def test_truncated_and_empty_images(release, spoil):
    spoil(release / 'images/test/f.png')
    (item,) = one_fault(check(release), 'truncated')
    assert item.startswith('images/test/f.png (the image is truncated')
    assert check(release, workers=2) == check(release)


def test_wrong_sizes(release, edit):
    path = release / 'images/test/f.png'
    cv2.imwrite(str(path), np.zeros((SIDE, SIDE + 1, 3), np.uint8))
    assert one_fault(check(release), 'images not of 32 x 32 px') == [
        'images/test/f.png (33 x 32)'
    ]
    cv2.imwrite(str(path), np.zeros((SIDE, SIDE, 3), np.uint8))
    edit(
        release / 'annotations/aitod_test_v1.json',
        lambda data: data['images'][1].update(height=64),
    )
    assert one_fault(check(release), 'said not to be of 32') == ['f.png (32 x 64)']


def test_resource_forks_are_noted_and_not_taken_for_images(release):
    forks = ['images/test/._e.png', 'images/test/._100.tif']
    for fork in forks:
        (release / fork).write_bytes(b'\0\5\x16\7')
    (release / 'annotations/._aitod_test_v1.json').write_bytes(b'\0\5\x16\7')
    report = check(release)
    assert report['complete']
    (note,) = notes(report)
    assert note['what'].startswith('resource forks')
    assert sorted(note['items']) == sorted(forks)
    (release / 'images/test/e.png').unlink()
    assert one_fault(check(release), 'images missing') == ['e.png']


def test_classes(release, edit):
    path = release / 'annotations/aitod_test_v1.json'
    path.write_text(json.dumps(annotations(NAMES['test'], sorted(CLASSES))))
    report = check(release)
    assert report['complete']
    assert 'alphabetical order, no fault' in notes(report)[0]['what']
    edit(path, lambda data: data['categories'][0].update(name='plane'))
    assert faults(check(release)) == [
        ('annotations/aitod_test_v1.json: classes missing', ['airplane']),
        ('annotations/aitod_test_v1.json: classes unknown', ['plane']),
    ]


def test_a_class_name_that_is_none(release, edit):
    path = release / 'annotations/aitod_test_v1.json'
    edit(path, lambda data: data['categories'][0].update(name=['airplane']))
    (missing, unknown) = faults(check(release))[:2]
    assert missing[1] == ['airplane']
    assert unknown[1] == ["['airplane']"]


def test_half_a_set(release):
    folder = release / 'annotations'
    (folder / 'aitod_trainval_v1.json').unlink()
    report = check(release)
    assert report['complete']
    assert notes(report)[0]['items'] == ['trainval']
    (folder / 'aitod_val_v1.json').unlink()
    assert one_fault(check(release), r'missing \(half a set') == ['trainval']
    (folder / 'aitod_test_v1.json').unlink()
    assert one_fault(check(release), r'missing \(half a set') == ['trainval', 'test']


def test_counts_that_differ(release, edit):
    def halve(data):
        del data['images'][2:]
        del data['annotations'][4:]

    edit(release / 'annotations/aitod_test_v1.json', halve)
    report = check(release)
    assert faults(report) == [
        (
            'annotations/aitod_test_v1.json: another number of images than in the '
            'release of v1 test',
            ['2 instead of 4'],
        ),
        (
            'v1: another number of instances in trainval + test than in the release',
            ['14 instead of 18'],
        ),
    ]
    assert notes(report)[0]['items'] == ['7__0_600.png', 'g.png']


def test_images_in_two_splits(release):
    names = ['e.png', 'f.png', 'g.png', 'a.png']
    path = release / 'annotations/aitod_test_v1.json'
    path.write_text(json.dumps(annotations(names)))
    assert faults(check(release)) == [
        ('v1: images both in train and test', ['a.png']),
        ('v1: images both in trainval and test', ['a.png']),
    ]


def test_trainval_is_train_and_val(release):
    path = release / 'annotations/aitod_val_v1.json'
    (release / 'images/trainval/new.png').write_bytes(
        (release / 'images/trainval/c.png').read_bytes()
    )
    path.write_text(json.dumps(annotations(['c.png', 'new.png'])))
    items = one_fault(check(release), 'in trainval only, or in train or val only')
    assert items == ['d.png', 'new.png']


def test_copies_of_a_split_that_differ(release):
    path = release / 'small_trainval_v1_1.0.json'
    path.write_text(json.dumps(annotations(NAMES['trainval'])))
    assert check(release)['complete']
    path.write_text(json.dumps(annotations([*NAMES['trainval'][:4], 'e.png'])))
    what, items = faults(check(release))[0]
    assert 'other images or instances than in small_trainval_v1_1.0.json' in what
    assert items == ['annotations/aitod_trainval_v1.json']


def test_images_spread_over_folders_are_noted(release):
    (release / 'val').mkdir()
    for name in NAMES['val']:
        (release / 'images/trainval' / name).rename(release / 'val' / name)
    report = check(release)
    assert report['complete']
    (note,) = notes(report)
    assert 'aitod_trainval_v1.json: images spread over folders' in note['what']
    assert note['items'] == ['images/trainval: 3', 'val: 2']


def test_annotations_are_checked_item_by_item(release, edit):
    def spoil(data):
        rows = data['annotations']
        rows[0]['image_id'] = 99
        rows[1]['category_id'] = [1]
        rows[2]['bbox'] = [0, 0, 0, 5]
        rows[3]['bbox'] = [0, 0, float('nan'), 5]
        rows[4]['bbox'] = '0 0 1 1'
        rows[5]['bbox'] = [30, 30, 5, 5]
        rows[6]['bbox'] = [-1, 0, 34, 5]
        rows[7]['id'] = 6
        data['images'][1]['file_name'] = 'e.png'

    edit(release / 'annotations/aitod_test_v1.json', spoil)
    report = check(release)
    name = 'annotations/aitod_test_v1.json: '
    assert faults(report) == [
        (name + 'ids used twice in annotations', ['id 6']),
        (name + 'images listed twice', ['e.png']),
        (
            name + 'annotations of an image or category that is not listed',
            ['id 0', 'id 1'],
        ),
        (
            name + 'boxes that are not [x, y, width, height] with an area',
            ['id 2: [0, 0, 0, 5]', 'id 3: [0, 0, nan, 5]', 'id 4: 0 0 1 1'],
        ),
    ]
    # The box that leaves its image by 1 px is within rounding.
    assert notes(report)[0]['items'] == ['id 5: [30, 30, 5, 5]']


@pytest.mark.parametrize('content', ['', '{"images": [', '\ufeff', b'\xff\xfe{}'])
def test_unreadable_annotations_do_not_hide_other_faults(release, content):
    path = release / 'annotations/aitod_test_v1.json'
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    (release / 'images/trainval/a.png').unlink()
    report = check(release)
    found = dict(faults(report))
    assert set(found) == {
        'annotations/aitod_test_v1.json: cannot be read',
        'v1: annotation files missing',
        'images missing; complete the download',
    }
    assert str(path) in found['annotations/aitod_test_v1.json: cannot be read'][0]


@pytest.mark.parametrize('content', ['[]', '{"images": [1], "annotations": {}}'])
def test_json_that_is_no_annotation_file(release, content):
    (release / 'annotations/aitod_test_v1.json').write_text(content)
    found = [what for what, _ in faults(check(release))]
    assert any('aitod_test_v1.json: list missing' in what for what in found)
    assert any('another number of images' in what for what in found)


def test_folders_of_nothing(tmp_path):
    report = check(tmp_path)
    assert [what for what, _ in faults(report)] == [
        'no annotation file that can be read under a name in circulation',
        'no images in the folder',
    ]
    with pytest.raises(InputError, match='nowhere does not exist'):
        check(tmp_path / 'nowhere')
    with pytest.raises(InputError, match='version'):
        check(tmp_path, 'v3')


def test_check_on_the_command_line(release, tool, tmp_path):
    result = tool(
        'dataset_converters/aitod.py',
        *('check', release, '--version', 'v1', '--workers', 2, '--out', 'report.json'),
    )
    assert result.returncode == 1, result.stderr
    assert 'Traceback' not in result.stderr
    lines = result.stdout.splitlines()
    assert lines[0] == (
        'annotations/aitod_test_v1.json: v1 test, 4 images, 8 instances; images in '
        'images/test (4)'
    )
    # Every image is 32 px, not 800; an example or five a finding
    assert any(
        re.match(r'FAULT: images not of 800 x 800 px \(9\): (\S+ \(32 x 32\), ){5}', s)
        for s in lines
    )
    saved = json.loads((tmp_path / 'report.json').read_text())
    count = sum(finding['fault'] for finding in saved['findings'])
    assert lines[-1] == f'verdict: not complete, faults: {count}'
    sizes = [f for f in saved['findings'] if f['what'] == 'images not of 800 x 800 px']
    assert len(sizes[0]['items']) == sizes[0]['count'] == 9


def test_a_complete_release_ends_with_status_0(release, monkeypatch, capsys):
    monkeypatch.setattr('sarl.conversion.aitod.check_release', check)
    status, lines = run_main(monkeypatch, capsys, 'check', release, '--workers', 1)
    assert (status, lines[-1]) == (0, 'verdict: complete')


def run_main(monkeypatch, capsys, *arguments):
    """Run the tool in this process."""
    monkeypatch.setattr(sys, 'argv', ['aitod.py', *map(str, arguments)])
    main = runpy.run_path(str(ROOT / 'tools/dataset_converters/aitod.py'))['main']
    with pytest.raises(SystemExit) as status:
        main()
    return int(status.value.code), capsys.readouterr().out.splitlines()


# --- The xView part


@pytest.mark.parametrize(
    ('length', 'starts'),
    [
        (1, [0]),
        (600, [0]),
        (700, [0]),
        (800, [0]),
        (801, [0, 1]),
        (1200, [0, 400]),
        (1400, [0, 600]),
        # The second to last window of these sticks out.
        (1401, [0, 600, 601]),
        (2100, [0, 600, 1200, 1300]),
    ],
)
def test_window_starts_by_hand(length, starts):
    assert window_starts(length) == starts


@pytest.mark.parametrize(
    ('last', 'published'),
    [
        # One side of scenes 1106, 1987, 109 and 1431 in AI-TOD's list of validation
        (2375, [2375, 2400]),
        (4190, [3600, 4190, 4200]),
        (1806, [0, 1800, 1806]),
        (2351, [1800, 2351, 2400]),
    ],
)
def test_window_starts_are_those_of_published_names(last, published):
    assert set(published) <= set(window_starts(last + 800))


def test_cut_tile_pads_with_black():
    scene = np.arange(1, 1 + 900 * 700 * 3).reshape(900, 700, 3)
    tile = cut_tile(scene, 0, 600)
    assert tile.shape == (800, 800, 3)
    assert (tile[:300, :700] == scene[600:]).all()
    assert not tile[300:].any()
    assert not tile[:, 700:].any()


def feature(scene, box, kind=18):
    bounds = ','.join(map(str, box))
    return dict(properties=dict(image_id=scene, bounds_imcoords=bounds, type_id=kind))


def write_scene(path, width, height, seed=0):
    rng = np.random.default_rng(seed)
    pixels = rng.integers(1, 255, (height, width, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return pixels


@pytest.fixture
def xview(tmp_path):
    """An xView of two scenes, 5 of 1500 x 900 px and 12, smaller than a tile."""
    root = tmp_path / 'xview'
    (root / 'train_images').mkdir(parents=True)
    write_scene(root / 'train_images/5.tif', 1500, 900)
    write_scene(root / 'train_images/12.TIF', 500, 300, 1)
    (root / 'train_images/._5.tif').write_bytes(b'\0\5\x16\7')
    write_labels(
        root, [feature('5.tif', [0, 0, 9, 9]), feature('12.tif', [5, 5, 9, 9])]
    )
    return root


def write_labels(root, features):
    path = root / 'train_labels/xView_train.geojson'
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(dict(features=features)))


def read(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_tiles_hold_the_pixels_of_their_window(xview, tmp_path):
    out = tmp_path / 'out'
    report = make_tiles(xview, out)
    assert report['tiles'] == ['5__0_0.png', '12__0_0.png']
    assert report['made'] == 2
    assert report['not_made'] == {}
    assert set(read(out)) == {'5__0_0.png', '12__0_0.png', 'xview_tiles.json'}
    scene = np.array(Image.open(xview / 'train_images/5.tif'))
    tile = np.array(Image.open(out / '5__0_0.png'))
    # Red and blue are exchanged as in AI-TOD.
    assert (tile == scene[:800, :800, ::-1]).all()
    small = np.array(Image.open(out / '12__0_0.png'))
    assert small.shape == (800, 800, 3)
    assert not small[300:].any()
    assert not small[:, 500:].any()
    assert small[:300, :500].all()

    report = make_tiles(xview, out, channels='xview')
    # Other settings: made again
    assert report['made'] == 2
    assert (np.array(Image.open(out / '5__0_0.png')) == scene[:800, :800]).all()
    assert make_tiles(xview, out, channels='xview')['made'] == 0


@pytest.mark.parametrize(
    ('box', 'tiles'),
    [
        # The scene of 1500 x 900 px has windows at x = 0, 600, 700 and y = 0, 100.
        ([10, 10, 20, 20], {(0, 0)}),
        # The centre counts, not the box: (599.5, 50) and (600, 50)
        ([598, 40, 601, 60], {(0, 0)}),
        ([599, 40, 601, 60], {(0, 0), (600, 0)}),
        # (799.5, 50) and (800, 50): the end of a tile is not in it
        ([798, 40, 801, 60], {(0, 0), (600, 0), (700, 0)}),
        ([799, 40, 801, 60], {(600, 0), (700, 0)}),
        # (50, 99.5), (50, 100), (50, 800), the bottom of the first row of tiles
        ([0, 98, 100, 101], {(0, 0)}),
        ([0, 99, 100, 101], {(0, 0), (0, 100)}),
        ([0, 799, 100, 801], {(0, 100)}),
        # Outside the scene
        ([1500, 10, 1520, 20], set()),
        ([-10, 10, 4, 20], set()),
    ],
)
def test_tiles_that_hold_a_centre(xview, tmp_path, box, tiles):
    # Window (600, 0) ends at x = 1400, inside; (700, 0) at the border of 1500.
    write_labels(xview, [feature('5.tif', box), feature('12.tif', [5, 5, 9, 9])])
    report = make_tiles(xview, tmp_path / 'out')
    expected = {f'5__{x}_{y}.png' for x, y in tiles} | {'12__0_0.png'}
    assert set(report['tiles']) == expected


def test_types_are_all_of_xview_but_those_without_a_class_of_aitod():
    known = [*range(11, 14), 15, *range(17, 22), *range(23, 30), *range(32, 39)]
    known += [40, 41, 42, 44, 45, 47, *range(49, 58), *range(59, 67), *range(71, 78)]
    known += [79, 82, 83, 84, 86, 89, 91, 93, 94]
    assert len(known) == 62
    # Helicopter, tower crane, container crane, reach stacker, straddle carrier,
    # hut, shed, building, hangar, two without a name, damaged building, facility,
    # construction site, vehicle lot, helipad, container lot, container, pylon, tower
    others = [15, 54, 55, 56, 57, 71, 72, 73, 74, 75, 82, 76, 77]
    others += [79, 83, 84, 89, 91, 93, 94]
    assert sorted(AITOD_TYPES) == sorted(set(known) - set(others))


def test_objects_of_other_classes_and_malformed_labels(xview, tmp_path):
    helicopter, building = 15, 73
    write_labels(
        xview,
        [
            feature('12.tif', [5, 5, 9, 9], kind=86),
            feature('5.tif', [0, 0, 9, 9], kind=helicopter),
            feature('5.tif', [0, 0, 9, 9], kind=building),
            feature('5.tif', [0, 0, 9, 9], kind=75),
            # Without a usable box, image or type: left out and counted
            feature('5.tif', [0, 0, 9]),
            feature('5.tif', ['nan', 0, 9, 9]),
            dict(properties=dict(image_id='5.tif', bounds_imcoords=[], type_id=18)),
            dict(properties=dict(image_id='5.tif', bounds_imcoords='0,0,9,9')),
            feature(5, [0, 0, 9, 9]),
            3,
        ],
    )
    report = make_tiles(xview, tmp_path / 'out')
    assert report['tiles'] == ['12__0_0.png']
    assert report['features_left_out'] == 6
    write_labels(xview, [feature('5.tif', [0, 0, 9, 9], kind=helicopter)])
    with pytest.raises(InputError, match=r'xView_train\.geojson: none of 1 features'):
        make_tiles(xview, tmp_path / 'none')
    assert not (tmp_path / 'none').exists()


def test_black_tiles_are_skipped(xview, tmp_path):
    pixels = np.zeros((900, 1500, 3), np.uint8)
    pixels[899, 1499, 1] = 1
    Image.fromarray(pixels).save(xview / 'train_images/5.tif')
    write_labels(xview, [feature('5.tif', [0, 0, 1500, 900])])
    report = make_tiles(xview, tmp_path / 'out')
    # The centre (750, 450) is in windows at 0, 600, 700; one pixel is not black.
    assert report['tiles'] == ['5__700_100.png']
    assert report['not_made'] == {}


@pytest.fixture
def named(tmp_path):
    path = tmp_path / 'aitod_train_v1.json'
    names = ['5__700_100.png', 'images/5__600_0.png', 'P0001__1__0___0.png']
    path.write_text(json.dumps(annotations(names)))
    return path


def test_tiles_named_by_annotations(xview, named, tmp_path):
    (xview / 'train_labels/xView_train.geojson').unlink()
    (xview / 'val_images').mkdir()
    write_scene(xview / 'val_images/30.tif', 800, 800)
    other = tmp_path / 'aitod_val_v1.json'
    black = np.zeros((10, 10, 3), np.uint8)
    Image.fromarray(black).save(xview / 'train_images/8.tif')
    whole = (xview / 'train_images/5.tif').read_bytes()
    (xview / 'train_images/9.tif').write_bytes(whole[: len(whole) // 2])
    names = ['30__0_0.png', '5__601_0.png', '8__0_0.png', '9__0_0.png', '77__0_0.png']
    other.write_text(json.dumps(annotations(names)))
    out = tmp_path / 'out'
    report = make_tiles(xview, out, [named, other])
    assert report['tiles'] == ['5__600_0.png', '5__700_100.png', '30__0_0.png']
    reasons = report['not_made']
    assert list(reasons) == ['5__601_0.png', '8__0_0.png', '9__0_0.png', '77__0_0.png']
    assert '1500 x 900 px has no window there' in reasons['5__601_0.png']
    assert 'black' in reasons['8__0_0.png']
    assert 'truncated' in reasons['9__0_0.png']
    assert 'scene 77 is missing' in reasons['77__0_0.png']
    saved = json.loads((out / 'xview_tiles.json').read_text())
    assert saved == {key: report[key] for key in saved}
    assert list(saved['not_made']) == list(reasons)


def test_tiles_of_a_scene_that_broke_later_are_kept(xview, named, tmp_path):
    path = xview / 'train_images/5.tif'
    make_tiles(xview, tmp_path / 'out', [named])
    (tmp_path / 'out/5__600_0.png').unlink()
    path.write_bytes(path.read_bytes()[:9000])
    report = make_tiles(xview, tmp_path / 'out', [named])
    assert report['tiles'] == ['5__700_100.png']
    assert list(report['not_made']) == ['5__600_0.png']


def test_scenes_missing_and_broken_without_annotations(xview, tmp_path):
    (xview / 'train_images/5.tif').write_bytes(b'no image')
    labels = [
        feature(name, [5, 5, 9, 9])
        for name in ('5.tif', '12.tif', '13.tif', '1395.tif')
    ]
    write_labels(xview, labels)
    report = make_tiles(xview, tmp_path / 'out')
    assert report['tiles'] == ['12__0_0.png']
    # Nobody has scene 1395.
    assert list(report['not_made']) == ['5.tif', '13.tif']


def test_bad_xview_input(xview, named, tmp_path):
    out = tmp_path / 'out'

    def refused(match, annotations=(), **kwargs):
        with pytest.raises(InputError, match=match):
            make_tiles(xview, out, annotations, **kwargs)
        assert not out.exists()

    refused('channels is one of', channels='bgr')
    named.write_text('{"images": [{}]}')
    refused(r'aitod_train_v1\.json: images\[0\] has no file_name', [named])
    named.write_text('{"images": [{"file_name": "a.png"}]}')
    refused('no image is named as tiles of xView', [named])
    named.write_text('[')
    refused('not valid JSON', [named])
    labels = xview / 'train_labels/xView_train.geojson'
    labels.write_text('[]')
    refused('no list "features"')
    labels.unlink()
    refused(r'holds no xView_train\.geojson')
    for path in (xview / 'train_images').iterdir():
        path.unlink()
    refused('holds no images')
    (xview / 'train_images').rmdir()
    refused('train_images does not exist')


def test_workers_and_a_killed_run_give_the_same_bytes(xview, tmp_path):
    write_labels(
        xview,
        [feature('5.tif', [0, 0, 1500, 900]), feature('12.tif', [5, 5, 9, 9])],
    )
    whole = tmp_path / 'whole'
    report = make_tiles(xview, whole)
    assert len(report['tiles']) == 3 * 2 + 1
    make_tiles(xview, tmp_path / 'two', workers=2)
    assert read(tmp_path / 'two') == read(whole)

    killed = tmp_path / 'killed'
    process = multiprocessing.get_context('fork').Process(
        target=make_tiles, args=(xview, killed)
    )
    process.start()
    while len(list(killed.glob('*.png'))) < 3:
        assert process.is_alive()
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    left = {path: path.stat().st_mtime_ns for path in killed.glob('*.png')}
    assert 3 <= len(left) < 7
    assert not (killed / 'xview_tiles.json').exists()
    broken = min(left)
    broken.write_bytes(broken.read_bytes()[:1000])
    again = make_tiles(xview, killed)
    assert again['made'] == 7 - len(left) + 1
    assert read(killed) == read(whole)
    for path, time_written in left.items():
        assert (path.stat().st_mtime_ns == time_written) == (path != broken)


def test_xview_on_the_command_line(xview, named, warm_tool):
    arguments = ['xview', xview, '--out', 'tiles', '--workers', 2]
    result = warm_tool(
        'dataset_converters/aitod.py', *arguments, '--annotations', named
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout == 'tiles: 2 tiles, 2 made now\n'


def test_xview_that_lacks_scenes_ends_with_status_1(xview, monkeypatch, capsys):
    path = xview / 'aitod_val_v1.json'
    path.write_text(json.dumps(annotations(['77__0_0.png'])))
    arguments = ['xview', xview, '--out', xview / 'out', '--annotations', path]
    status, lines = run_main(monkeypatch, capsys, *arguments)
    assert status == 1
    assert lines[-1] == '  77__0_0.png: scene 77 is missing'


def test_bad_arguments_give_one_clear_error(warm_tool):
    result = warm_tool('dataset_converters/aitod.py', 'check', 'nowhere')
    assert result.returncode == 1
    assert result.stderr == 'error: folder nowhere does not exist.\n'
