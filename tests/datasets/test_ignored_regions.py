"""Ignored regions, from the annotation file to the loss."""

import cv2
import numpy as np
import pytest
import torch
from mmdet.registry import DATASETS as MMDET_DATASETS
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmyolo.registry import DATASETS, MODELS

from sarl.errors import InputError
from sarl.files import write_json

pytestmark = pytest.mark.usefixtures('mmyolo_scope')
SIDE = 128
CONFIG = 'configs/yolov5/yolov5_n-v61_1xb16-25e_scenes.py'
# The pipeline that hands ignored regions on.
PIPELINE = [
    dict(type='mmdet.LoadImageFromFile'),
    dict(type='mmdet.LoadAnnotations', with_bbox=True),
    dict(type='mmdet.PackDetInputs', meta_keys=('img_id', 'img_shape')),
]


@pytest.fixture
def visdrone(tmp_path):
    """A car, one of score 0, one of "others", and a region over the left half."""
    categories = dict(enumerate(('ignored-regions', 'car', 'others')))

    def row(index, category, box, ignored):
        return dict(
            id=index,
            image_id=1,
            category_id=category,
            bbox=box,
            area=box[2] * box[3],
            iscrowd=ignored,
            ignore=ignored,
        )

    write_json(
        tmp_path / 'train.json',
        dict(
            images=[dict(id=1, file_name='a.png', width=SIDE, height=SIDE)],
            categories=[dict(id=i, name=name) for i, name in categories.items()],
            annotations=[
                row(1, 1, [80, 40, 20, 20], 0),
                row(2, 1, [80, 80, 20, 20], 1),
                row(3, 2, [100, 100, 10, 10], 1),
                row(4, 0, [0, 0, 64, 128], 1),
            ],
        ),
    )
    cv2.imwrite(str(tmp_path / 'a.png'), np.full((SIDE, SIDE, 3), 90, np.uint8))
    return dict(
        type='VisDroneDataset',
        metainfo=dict(classes=('car',)),
        ann_file='train.json',
        data_root=str(tmp_path),
    )


@pytest.mark.parametrize('registry', [DATASETS, MMDET_DATASETS])
def test_they_reach_the_detector(visdrone, registry):
    sample = registry.build(visdrone | dict(pipeline=PIPELINE))[0]['data_samples']
    assert sample.gt_instances.bboxes.tensor.tolist() == [[80, 40, 100, 60]]
    assert sample.ignored_instances.bboxes.tensor.tolist() == [
        [80, 80, 100, 100],
        [100, 100, 110, 110],
        [0, 0, 64, 128],
    ]


def test_mmyolos_own_loader_leaves_them_out(visdrone):
    pipeline = [*PIPELINE[:1], dict(type='mmyolo.LoadAnnotations', with_bbox=True)]
    pipeline.append(PIPELINE[2])
    sample = DATASETS.build(visdrone | dict(pipeline=pipeline))[0]['data_samples']
    assert len(sample.gt_instances) == 1
    assert len(sample.ignored_instances) == 0


@pytest.mark.parametrize('head', ['YOLOv5Head', 'SALYOLOv5Head'])
def test_what_lies_in_them_is_no_negative(visdrone, head):
    cfg = Config.fromfile(CONFIG).model
    cfg.data_preprocessor = dict(
        type='mmdet.DetDataPreprocessor', mean=[0] * 3, std=[255] * 3
    )
    cfg.bbox_head.update(type=head, ignore_iof_thr=0.5)
    cfg.bbox_head.head_module.num_classes = 1
    if head == 'SALYOLOv5Head':
        cfg.bbox_head.loss_bbox = dict(type='SAL', loss=cfg.bbox_head.loss_bbox)
    model = MODELS.build(cfg)
    batch = pseudo_collate([DATASETS.build(visdrone | dict(pipeline=PIPELINE))[0]])
    batch = model.data_preprocessor(batch, training=True)
    outputs = model.bbox_head(model.extract_feat(batch['inputs']))
    for objectness in outputs[2]:
        objectness.retain_grad()
    samples = batch['data_samples']
    losses = model.bbox_head.loss_by_feat(
        *outputs,
        [sample.gt_instances for sample in samples],
        [sample.metainfo for sample in samples],
        [sample.ignored_instances for sample in samples],
    )
    losses['loss_obj'].backward()
    # Stride 8: the first six columns of cells lie well inside of the region.
    gradient = outputs[2][0].grad
    assert not gradient[..., :6].any()
    assert torch.count_nonzero(gradient[..., 10:])


def test_ignored_objects_are_nothing_to_train_on(visdrone, tmp_path, edit):
    edit(tmp_path / 'train.json', lambda c: c['annotations'].pop(0))
    with pytest.raises(InputError, match='there is nothing to train on'):
        DATASETS.build(visdrone | dict(pipeline=[]))
