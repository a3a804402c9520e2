"""VisDrone2019-DET to COCO: hand-worked cases, and the real files where there are."""

import json
import os
import re
import runpy
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from conftest import ROOT
from PIL import Image

from sarl.conversion.visdrone import convert, find_split, read_rows
from sarl.datasets.visdrone import VisDroneDataset
from sarl.errors import InputError
from sarl.metrics.score_files import score_files

REAL = Path(__file__).parents[3] / 'shared/data'
NAMES = [
    'ignored-regions',
    'pedestrian',
    'people',
    'bicycle',
    'car',
    'van',
    'truck',
    'tricycle',
    'awning-tricycle',
    'bus',
    'motor',
    'others',
]
VAL_COUNTS = dict(
    zip(
        NAMES,
        (1378, 8844, 5125, 1287, 14064, 1975, 750, 1045, 532, 251, 4886, 32),
        strict=True,
    )
)


def real(name):
    if not (REAL / name).is_dir():
        pytest.skip(f'the real samples are not here: {REAL / name}')
    return REAL / name


def write_split(folder, files, size=(100, 80), suffix='.jpg'):
    """Write a split: annotation files by stem, bytes or text, None for no file."""
    for part in ('images', 'annotations'):
        (folder / part).mkdir(parents=True)
    for stem, content in files.items():
        Image.new('RGB', size).save(folder / f'images/{stem}{suffix}', 'JPEG')
        if content is not None:
            content = content if isinstance(content, bytes) else content.encode()
            (folder / f'annotations/{stem}.txt').write_bytes(content)
    return folder


def converted(src, out, workers=1):
    summary = convert(src, out, workers)
    return json.loads(out.read_text()), summary


def rows_again(coco):
    """Turn COCO back into the text of rows, by file name."""
    names = {image['id']: Path(image['file_name']).stem for image in coco['images']}
    rows = {name: [] for name in names.values()}
    for row in coco['annotations']:
        fields = [*row['bbox'], row['score'], row['category_id']]
        fields += [row['truncation'], row['occlusion']]
        rows[names[row['image_id']]].append(','.join(map(str, fields)))
    return rows


def test_every_row_becomes_an_annotation(tmp_path):
    src = write_split(
        tmp_path / 'split',
        {
            # By its file's name, "a-.txt" comes before "a.txt".
            'a': '1,2,30,40,1,4,1,2\n',
            'a-': '0,0,9,8,0,0,0,0\n5,6,7,8,1,11,0,0\n1,1,2,2,0,10,0,1\n',
        },
    )
    coco, _ = converted(src, tmp_path / 'out.json')
    assert coco['categories'] == [dict(id=i, name=n) for i, n in enumerate(NAMES)]
    assert coco['images'] == [
        dict(id=1, file_name='a-.jpg', width=100, height=80),
        dict(id=2, file_name='a.jpg', width=100, height=80),
    ]

    def annotation(number, image, category, box, score, ignored, truncation, occlusion):
        return dict(
            id=number,
            image_id=image,
            category_id=category,
            bbox=box,
            area=box[2] * box[3],
            iscrowd=ignored,
            ignore=ignored,
            score=score,
            truncation=truncation,
            occlusion=occlusion,
        )

    assert coco['annotations'] == [
        annotation(1, 1, 0, [0, 0, 9, 8], 0, 1, 0, 0),
        annotation(2, 1, 11, [5, 6, 7, 8], 1, 1, 0, 0),
        annotation(3, 1, 10, [1, 1, 2, 2], 0, 1, 0, 1),
        annotation(4, 2, 4, [1, 2, 30, 40], 1, 0, 1, 2),
    ]


@pytest.mark.parametrize(
    ('content', 'rows'),
    [
        ('1,2,3,4,1,4,0,0', [(1, 2, 3, 4, 1, 4, 0, 0)]),
        ('1,2,3,4,1,4,0,0,\n', [(1, 2, 3, 4, 1, 4, 0, 0)]),
        (
            '1,2,3,4,1,4,0,0\r\n\r\n5,6,7,8,1,5,1,2,\r\n',
            [(1, 2, 3, 4, 1, 4, 0, 0), (5, 6, 7, 8, 1, 5, 1, 2)],
        ),
        (b'\xef\xbb\xbf1,2,3,4,1,4,0,0\n \n\n', [(1, 2, 3, 4, 1, 4, 0, 0)]),
        (' 1, 2 ,3,4.0,1.0,4,0,0 ', [(1, 2, 3, 4, 1, 4, 0, 0)]),
        ('-1.5,2,3.25,4,1,4,-1,-1', [(-1.5, 2, 3.25, 4, 1, 4, -1, -1)]),
        ('1,2,0,4,1,4,0,0', [(1, 2, 0, 4, 1, 4, 0, 0)]),
        ('', []),
        ('\n\n', []),
    ],
)
def test_rows_as_they_occur(tmp_path, content, rows):
    path = tmp_path / 'a.txt'
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    read = read_rows(path)
    assert read == rows
    # Whole numbers stay whole in the JSON file.
    assert [list(map(type, row)) for row in read] == [
        list(map(type, row)) for row in rows
    ]


@pytest.mark.parametrize(
    ('row', 'problem'),
    [
        ('1,2,3,4,1,4,0', 'has 7 fields, not the eight x,y,w,h,score'),
        ('1,2,3,4,1,4,0,0,0', 'has 9 fields'),
        ('1,2,3,4,1,4,0,0,,', 'has 9 fields'),
        ('1 2 3 4 1 4 0 0', 'has 1 fields'),
        ('1,2,x,4,1,4,0,0', "holds 'x', which is no number"),
        ('1,,3,4,1,4,0,0', "holds ''"),
        ('1,2,nan,4,1,4,0,0', "holds 'nan'"),
        ('1,2,1_0,4,1,4,0,0', "holds '1_0'"),
        ('1,2,3,inf,1,4,0,0', "holds 'inf'"),
        ('1,2,3,4,0.9,4,0,0', r'score is 0.9, not one of 0, 1'),
        ('1,2,3,4,2,4,0,0', 'score is 2'),
        ('1,2,3,4,1,12,0,0', 'category is 12'),
        ('1,2,3,4,1,-1,0,0', 'category is -1'),
        ('1,2,3,4,1,4.5,0,0', 'category is 4.5'),
        ('1,2,3,4,1,4,2,0', 'truncation is 2, not one of -1, 0, 1'),
        ('1,2,3,4,1,4,0,3', 'occlusion is 3, not one of -1, 0, 1, 2'),
        ('1,2,-3,4,1,4,0,0', 'the box is -3 x 4 px'),
        ('1,2,3,-4,1,4,0,0', 'the box is 3 x -4 px'),
    ],
)
def test_bad_row(tmp_path, row, problem):
    src = write_split(tmp_path / 'split', dict(a='1,2,3,4,1,4,0,0\n\n' + row, b=''))
    out = tmp_path / 'out.json'
    with pytest.raises(InputError, match=rf'a\.txt, line 3: .*{problem}.*Correct or'):
        convert(src, out)
    assert not list(tmp_path.glob('out*'))


def test_text_that_is_not_utf8(tmp_path):
    src = write_split(tmp_path / 'split', dict(a=b'1,2,3,4,1,4,0,0\n\xff\xfe1\n'))
    with pytest.raises(InputError, match=r'a\.txt, line 2: not UTF-8'):
        convert(src, tmp_path / 'out.json')


def test_boxes_of_zero_size_and_over_the_border_are_kept(tmp_path):
    src = write_split(
        tmp_path / 'split',
        {
            # 100 x 80 px; on the border is not over it.
            'a': '0,0,100,80,1,1,0,0\n9,9,0,5,1,1,0,0\n9,9,5,0,0,0,0,0\n'
            '-1,0,5,5,1,2,0,0\n0,-1,5,5,0,2,0,0\n96,0,5,5,1,9,0,0\n0,76,5,5,0,11,0,0\n',
            'b': '',
            'c': '3,3,0,0,1,4,0,0\n',
        },
    )
    coco, summary = converted(src, tmp_path / 'out.json')
    assert [row['bbox'] for row in coco['annotations']] == [
        [0, 0, 100, 80],
        [9, 9, 0, 5],
        [9, 9, 5, 0],
        [-1, 0, 5, 5],
        [0, -1, 5, 5],
        [96, 0, 5, 5],
        [0, 76, 5, 5],
        [3, 3, 0, 0],
    ]
    assert [row['id'] for row in coco['annotations']] == list(range(1, 9))
    assert len(coco['images']) == 3
    categories = {0: 1, 1: 2, 2: 2, 4: 1, 9: 1, 11: 1}
    assert summary == (3, True, 1, categories, 1, 4, 3)


@pytest.mark.parametrize(
    ('files', 'remove', 'problem'),
    [
        (
            dict(a='', b=None, c=None),
            None,
            r'2 of 3 images have no annotation file of the same name, first .*b\.jpg',
        ),
        (
            dict(a='', b='', c=''),
            'images/c.jpg',
            r'1 of 3 annotation files have no image of the same name, first .*c\.txt',
        ),
        ({}, None, 'images holds no images'),
        ({}, 'images', 'holds no folder "images"'),
        ({}, '', 'split does not exist'),
    ],
)
def test_incomplete_folder(tmp_path, files, remove, problem):
    src = write_split(tmp_path / 'split', files)
    if remove is not None:
        path = src / remove
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    with pytest.raises(InputError, match=problem):
        convert(src, tmp_path / 'out.json')


@pytest.mark.parametrize(
    ('path', 'first'), [('images/a.PNG', 'a.PNG'), ('annotations/a.TXT', 'a.TXT')]
)
def test_two_files_of_one_stem(tmp_path, path, first):
    src = write_split(tmp_path / 'split', dict(a=''))
    (src / path).touch()
    with pytest.raises(InputError, match=rf'{first} and .* differ in their suffix'):
        find_split(src)


def test_broken_image(tmp_path):
    src = write_split(tmp_path / 'split', dict(a=''))
    (src / 'images/a.jpg').write_bytes(b'not an image')
    with pytest.raises(InputError, match=r'a\.jpg is not a readable image'):
        convert(src, tmp_path / 'out.json')


@pytest.mark.parametrize('orientation', range(2, 9))
def test_an_image_that_exif_turns(tmp_path, orientation):
    src = write_split(tmp_path / 'split', dict(a='1,2,3,4,1,4,0,0'))
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.new('RGB', (40, 30)).save(src / 'images/a.jpg', exif=exif)
    with pytest.raises(InputError, match=r'a\.jpg: its EXIF data turn it.*without'):
        convert(src, tmp_path / 'out.json')
    assert not (tmp_path / 'out.json').exists()


def test_annotations_of_another_name_are_not_passed_over(tmp_path):
    src = write_split(tmp_path / 'split', dict(a='1,2,3,4,1,4,0,0'))
    (src / 'annotations').rename(src / 'Annotations')
    with pytest.raises(InputError, match='no folder annotations, but Annotations'):
        find_split(src)


def test_upper_case_suffixes_and_hidden_files(tmp_path):
    src = write_split(tmp_path / 'split', dict(a='1,2,3,4,1,4,0,0'), suffix='.JPG')
    (src / 'annotations/a.txt').rename(src / 'annotations/a.TXT')
    (src / 'images/._a.JPG').touch()
    (src / 'annotations/._a.txt').touch()
    coco, _ = converted(src, tmp_path / 'out.json')
    assert [image['file_name'] for image in coco['images']] == ['a.JPG']
    assert len(coco['annotations']) == 1


def test_folder_that_holds_the_split(tmp_path):
    write_split(tmp_path / 'unpacked/VisDrone2019-DET-val', dict(a=''))
    assert len(find_split(tmp_path / 'unpacked').images) == 1
    write_split(tmp_path / 'unpacked/VisDrone2019-DET-train', dict(a=''))
    with pytest.raises(InputError, match='2 splits: VisDrone2019-DET-train, Vis'):
        find_split(tmp_path / 'unpacked')


def test_split_without_annotations(tmp_path):
    src = write_split(tmp_path / 'split', dict(b=None, a=None))
    (src / 'annotations').rmdir()
    coco, summary = converted(src, tmp_path / 'out.json')
    assert 'written without annotations' in str(summary)
    assert [image['file_name'] for image in coco['images']] == ['a.jpg', 'b.jpg']
    assert coco['annotations'] == []
    assert len(coco['categories']) == 12


def test_one_clear_error_on_the_command_line(tmp_path, warm_tool):
    src = write_split(tmp_path / 'split', dict(a='', b='1,2,3', c='1,2'))
    out = tmp_path / 'out.json'
    arguments = [src, '--out', out, '--workers', 2]
    result = warm_tool('dataset_converters/visdrone2coco.py', *arguments)
    assert result.returncode == 1
    (line,) = result.stderr.splitlines()
    assert line.startswith('error: ')
    assert 'b.txt, line 1' in line
    assert not out.exists()


def test_out_is_a_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, 'argv', ['', str(tmp_path), '--out', str(tmp_path)])
    tool = runpy.run_path(str(ROOT / 'tools/dataset_converters/visdrone2coco.py'))
    with pytest.raises(InputError, match='is a folder. Name a file'):
        tool['main']()


def test_interrupted_and_run_again(tmp_path):
    """A named pipe holds the run up until it is interrupted."""
    src = write_split(tmp_path / 'split', dict(a='1,2,3,4,1,4,0,0', b='', c=''))
    pipe = src / 'annotations/b.txt'
    pipe.unlink()
    os.mkfifo(pipe)
    tool = ROOT / 'tools/dataset_converters/visdrone2coco.py'
    out = tmp_path / 'out.json'
    arguments = [sys.executable, tool, src, '--out', out, '--workers', '2']
    run = subprocess.Popen(arguments, stderr=subprocess.PIPE, text=True)
    while True:
        try:
            reader = os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
            break
        except OSError:
            assert run.poll() is None
            time.sleep(0.02)
    run.send_signal(signal.SIGINT)
    errors = run.communicate(timeout=30)[1]
    os.close(reader)
    assert run.returncode == 130
    assert errors.split() == ['interrupted']
    assert not list(tmp_path.glob('out*'))

    pipe.unlink()
    pipe.touch()
    convert(src, out, workers=2)
    again = out.read_bytes()
    convert(src, out, workers=1)
    assert out.read_bytes() == again


@pytest.mark.parametrize('split', ['train', 'val', 'test-dev'])
def test_ground_truth_scores_1_against_itself(tmp_path, split):
    src = real('visdrone_raw') / f'VisDrone2019-DET-{split}'
    coco, _ = converted(src, tmp_path / 'gt.json')
    lines = {p.stem: p.read_text().split() for p in src.glob('annotations/*.txt')}
    assert rows_again(coco) == lines
    scores = score_files('visdrone', tmp_path / 'gt.json', own_detections(tmp_path))
    for name in ('AP', 'AP50', 'AP75', 'AR500', 'coco_AP', 'coco_AR_500'):
        assert scores[f'visdrone/{name}'] == pytest.approx(1, abs=1e-12)


def own_detections(folder):
    """Write the objects that are not ignored as detections of score 1."""
    path = folder / 'dt.json'
    rows = json.loads((folder / 'gt.json').read_text())['annotations']
    wanted = [row for row in rows if 1 <= row['category_id'] <= 10 and row['score']]
    keys = ('image_id', 'category_id', 'bbox')
    detections = [{key: row[key] for key in keys} | dict(score=1.0) for row in wanted]
    path.write_text(json.dumps(detections))
    return path


def test_ignored_objects_lower_the_official_scores(tmp_path, tool):
    """Of four cars one is in the ignored region and one has score 0.

    The one in the region is dropped, found or not. Of the three others two are found:
    the official recall counts the ignored one as missed, COCO's does not.
    """
    rows = '60,0,40,40,0,0,0,0\n65,5,10,10,1,4,0,0\n5,5,10,10,0,4,0,0\n'
    rows += '20,5,10,10,1,4,0,0\n20,50,10,10,1,4,0,0\n80,60,9,9,0,11,0,0\n'
    src = write_split(tmp_path / 'split', dict(a=rows))
    truth = tmp_path / 'new folder/gt.json'
    result = tool('dataset_converters/visdrone2coco.py', src, '--out', truth)
    assert result.returncode == 0, result.stderr
    assert re.search(r'with score 0, kept: +1\n', result.stdout)
    scores = score_files('visdrone', truth, own_detections(truth.parent))
    for name in ('AP', 'AP50', 'AR500'):
        assert scores[f'visdrone/{name}'] == pytest.approx(2 / 3)
    assert scores['visdrone/coco_AP'] == scores['visdrone/coco_AR_500'] == 1


def test_counts_of_val():
    paths = sorted(real('visdrone_val_annotations').glob('*.txt'))
    assert len(paths) == 548
    rows = [row for path in paths for row in read_rows(path)]
    assert len(rows) == 40_169
    assert Counter(NAMES[row.category] for row in rows) == VAL_COUNTS


def test_val_round_trip_with_any_number_of_workers(tmp_path):
    """With images of one pixel in place of the real ones, which are not here."""
    (tmp_path / 'split').mkdir()
    source = real('visdrone_val_annotations')
    (tmp_path / 'split/annotations').symlink_to(source)
    (tmp_path / 'split/images').mkdir()
    pixel = tmp_path / 'pixel.png'
    Image.new('L', (1, 1)).save(pixel)
    for path in source.glob('*.txt'):
        (tmp_path / f'split/images/{path.stem}.png').write_bytes(pixel.read_bytes())
    coco, summary = converted(tmp_path / 'split', tmp_path / '1.json', workers=1)
    convert(tmp_path / 'split', tmp_path / '2.json', workers=2)
    assert (tmp_path / '1.json').read_bytes() == (tmp_path / '2.json').read_bytes()

    lines = {p.stem: p.read_text().split() for p in source.glob('*.txt')}
    assert rows_again(coco) == lines
    assert list(rows_again(coco)) == sorted(lines)
    assert [image['id'] for image in coco['images']] == list(range(1, 549))
    assert [row['id'] for row in coco['annotations']] == list(range(1, 40_170))
    ignored = [row['category_id'] for row in coco['annotations'] if row['iscrowd']]
    assert Counter(ignored) == {0: 1378, 11: 32}
    assert summary.images == 548
    assert summary.empty == summary.flat == summary.score_0 == 0
    printed = dict(line.strip().split(':') for line in str(summary).splitlines())
    assert {name: int(printed[name].replace(',', '')) for name in NAMES} == VAL_COUNTS
    assert printed['annotations'].strip() == '40,169'


def test_dataset_matches_classes_by_name(tmp_path, edit):
    src = write_split(
        tmp_path / 'split',
        dict(a='1,2,30,40,1,4,0,0\n1,1,9,9,1,10,0,0\n', b='5,5,9,9,1,1,0,0\n'),
    )
    (src / 'annotations/b.txt').write_text(
        '5,5,9,9,1,1,0,0\n0,0,50,50,0,0,0,0\n5,5,9,9,0,11,0,0\n7,7,9,9,0,1,0,0\n'
    )
    truth = tmp_path / 'train.json'
    convert(src, truth)

    def shuffle(content):
        content['categories'].reverse()
        for row in content['categories']:
            row['id'] = 100 - row['id']
        for row in content['annotations']:
            row['category_id'] = 100 - row['category_id']

    def labels():
        data = VisDroneDataset(
            ann_file=str(truth), data_prefix=dict(img=f'{src}/images/'), pipeline=[]
        )
        return [
            [
                (row['bbox_label'], row['bbox'], row['ignore_flag'])
                for row in data.get_data_info(i)['instances']
            ]
            for i in range(len(data))
        ]

    expected = [
        [(3, [1, 2, 31, 42], 0), (9, [1, 1, 10, 10], 0)],
        [
            (0, [5, 5, 14, 14], 0),
            # Ignored, whatever the label: a region, one of the others and score 0.
            (0, [0, 0, 50, 50], 1),
            (0, [5, 5, 14, 14], 1),
            (0, [7, 7, 16, 16], 1),
        ],
    ]
    assert labels() == expected
    edit(truth, shuffle)
    assert labels() == expected


def test_metainfo():
    meta = VisDroneDataset.METAINFO
    assert list(meta['classes']) == NAMES[1:-1]
    assert len(set(meta['palette'])) == 10
