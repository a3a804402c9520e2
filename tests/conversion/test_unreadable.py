"""Images and folders that exist and may not be read, in every converter."""

import errno
import json
import os
from pathlib import Path

import pytest
from PIL import Image

from sarl.conversion import dota, visdrone
from sarl.conversion.aitod import check_release
from sarl.conversion.check import check_dataset
from sarl.conversion.tiling import Tiling
from sarl.conversion.xview import make_tiles
from sarl.datasets.coco_file import StrictCOCO
from sarl.errors import InputError
from sarl.images import find_images


@pytest.fixture
def forbid(monkeypatch):
    """Let a file or folder not be read, which no permission does to root."""

    def forbid_name(method, name):
        original = getattr(Path, method)

        def refuse(path, *arguments, **options):
            if path.name == name:
                reason = 'Permission denied'
                raise PermissionError(errno.EACCES, reason, str(path))
            return original(path, *arguments, **options)

        monkeypatch.setattr(Path, method, refuse)

    return forbid_name


def write_image(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new('RGB', (40, 30), 'white').save(path)


def write_coco(folder):
    """A sound set of one image."""
    write_image(folder / 'images/a.png')
    box = dict(id=1, image_id=1, category_id=1, bbox=[1, 1, 9, 9])
    content = dict(
        images=[dict(id=1, file_name='a.png', width=40, height=30)],
        annotations=[box],
        categories=[dict(id=1, name='boat')],
    )
    (folder / 'train.json').write_text(json.dumps(content))


def test_a_folder_of_images(tmp_path, forbid):
    forbid('iterdir', tmp_path.name)
    with pytest.raises(InputError, match=r'folder .* cannot be read: Permission'):
        find_images(tmp_path)


@pytest.mark.parametrize(
    ('method', 'name'),
    [('iterdir', 'images'), ('iterdir', 'labelTxt'), ('open', 'P1.png')],
)
def test_dota(tmp_path, forbid, method, name):
    write_image(tmp_path / 'images/P1.png')
    (tmp_path / 'labelTxt').mkdir()
    (tmp_path / 'labelTxt/P1.txt').touch()
    forbid(method, name)
    with pytest.raises(InputError, match=f'{name}.* cannot be read.*Permission denied'):
        dota.convert(tmp_path, tmp_path / 'out', Tiling())


@pytest.mark.parametrize('name', ['images', 'annotations'])
def test_visdrone(tmp_path, forbid, name):
    write_image(tmp_path / 'images/a.jpg')
    (tmp_path / 'annotations').mkdir()
    (tmp_path / 'annotations/a.txt').touch()
    forbid('iterdir', name)
    with pytest.raises(InputError, match=f'{name} cannot be read: Permission denied'):
        visdrone.convert(tmp_path, tmp_path / 'out.json')


def test_xview(tmp_path, forbid):
    write_image(tmp_path / 'train_images/5.tif')
    names = tmp_path / 'names.json'
    names.write_text(json.dumps(dict(images=[dict(file_name='5__0_0.png')])))
    forbid('open', '5.tif')
    report = make_tiles(tmp_path, tmp_path / 'out', [names])
    assert report['tiles'] == []
    assert 'Permission denied' in report['not_made']['5__0_0.png']
    forbid('iterdir', 'train_images')
    with pytest.raises(InputError, match='train_images cannot be read: Permission'):
        make_tiles(tmp_path, tmp_path / 'out', [names])


def test_check_of_a_release(tmp_path, forbid):
    write_image(tmp_path / 'images/a.png')
    forbid('open', 'a.png')
    faults = {row['what']: row['items'] for row in check_release(tmp_path)['findings']}
    (item,) = faults['images truncated or broken; unpack or download them again']
    assert item == 'images/a.png (the image cannot be read (Permission denied))'


@pytest.mark.parametrize('method', ['open', 'is_file'])
def test_check_of_a_data_set(tmp_path, forbid, method):
    write_coco(tmp_path)
    forbid(method, 'a.png')
    report = check_dataset([f'{tmp_path}/train.json'], [f'{tmp_path}/images'])
    ((kind, (finding,)),) = report.findings.items()
    assert kind == 'broken-image'
    assert 'Permission denied' in finding.detail


def test_folders_in_a_release(tmp_path, monkeypatch):
    """Its images are not missing."""
    write_image(tmp_path / 'images/a.png')
    scandir = os.scandir

    def refuse(folder):
        if Path(folder).name == 'images':
            raise PermissionError(errno.EACCES, 'Permission denied', str(folder))
        return scandir(folder)

    monkeypatch.setattr(os, 'scandir', refuse)
    with pytest.raises(InputError, match='images cannot be read: Permission denied'):
        check_release(tmp_path)


@pytest.mark.parametrize('method', ['open', 'is_file'])
def test_training(tmp_path, forbid, method):
    write_coco(tmp_path)
    forbid(method, 'a.png')
    with pytest.raises(InputError, match=r'a\.png.* cannot be read.*Permission denied'):
        StrictCOCO(tmp_path / 'train.json').check_images(tmp_path / 'images')
