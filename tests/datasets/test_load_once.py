import pytest
import torch
from mmcv.transforms import LoadImageFromFile
from mmengine.registry import init_default_scope
from mmyolo.registry import DATASETS

from sarl.datasets import LoadImageOnce


@pytest.fixture
def paths(coco_folder):
    return sorted((coco_folder / 'images').glob('train_*.jpg'))


def test_the_same_as_from_the_file_and_read_once(paths):
    once = LoadImageOnce()
    expected = [LoadImageFromFile()(dict(img_path=str(path))) for path in paths]
    first = [once(dict(img_path=str(path))) for path in paths]
    for path in paths:
        path.unlink()
    second = [once(dict(img_path=str(path))) for path in paths]
    for found in (first, second):
        for ours, theirs in zip(found, expected, strict=True):
            assert (ours.pop('img') == theirs['img']).all()
            assert ours == {k: v for k, v in theirs.items() if k != 'img'}


def test_what_writes_into_an_image_does_not_change_the_next_one(paths):
    once = LoadImageOnce()
    for _ in range(2):
        image = once(dict(img_path=str(paths[0])))['img']
        assert image.any()
        image[:] = 0


def test_missing_images(tmp_path):
    nowhere = dict(img_path=str(tmp_path / 'none.jpg'))
    assert LoadImageOnce(ignore_empty=True)(dict(nowhere)) is None
    with pytest.raises(FileNotFoundError, match=r'none\.jpg'):
        LoadImageOnce()(dict(nowhere))


@pytest.mark.parametrize('scope', ['mmyolo', 'mmdet'])
def test_by_name_in_a_pipeline(coco_folder, scope):
    init_default_scope(scope)
    load = [dict(type='LoadImageFromFile'), dict(type='LoadImageOnce')]
    then = [
        dict(type='LoadAnnotations', with_bbox=True),
        dict(type='mmdet.PackDetInputs'),
    ]
    data = dict(
        type='mmdet.TinyCocoDataset',
        data_root=str(coco_folder),
        ann_file='annotations/train.json',
        data_prefix=dict(img='images/'),
    )
    each, once = (DATASETS.build(dict(data, pipeline=[first, *then])) for first in load)
    for _ in range(2):
        assert all(
            torch.equal(a['inputs'], b['inputs'])
            for a, b in zip(each, once, strict=True)
        )
