"""Every config builds; every architecture trains and predicts; small objects stay."""

import copy
import json
import logging
import random
import shutil

import cv2
import mmyolo
import numpy as np
import pytest
import torch
from mmdet.registry import TRANSFORMS as MMDET_TRANSFORMS
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.logging import MessageHub
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope
from mmyolo.datasets import yolov5_collate
from mmyolo.registry import MODELS
from steps import build, collate, sample
from zoo import FAMILIES, PATHS, ROOT, as_text, load, stem

from sarl.datasets import AITODDataset, VisDroneDataset
from sarl.engine.config_checks import check_sal
from sarl.files import write_json
from sarl.losses import SAL
from sarl.necks import SARL


@pytest.fixture(scope='module', autouse=True)
def _quiet():
    """MMEngine logs each parameter's options."""
    logging.disable(logging.WARNING)
    yield
    logging.disable(logging.NOTSET)


def test_all_build():
    """Each different model; on the meta device, which has no numbers to compute."""
    models = {as_text(load(name).model): name for name in PATHS}
    with torch.device('meta'):
        for name in models.values():
            model = build(load(name))
            assert sum(p.numel() for p in model.parameters()) > 1e6, name
            check_sal(model)


ARCHITECTURES = [
    stem(family, components, data)
    for family, settings in FAMILIES.items()
    for components in settings['components']
    # The smallest, and of YOLOv5 the one that has stride-4 heads.
    if family in ('yolov5_n-v61', 'yolox_tiny')
    or not family.startswith('yolo')
    or 'p2' in components
    for data in (('aitod', 'visdrone') if 'v5' in family else ('visdrone',))
]


def shrink(model):
    """So small an image has no more queries, and needs no more proposals."""
    if 'num_queries' in model:
        model.num_queries = 100
    if 'rpn_head' in model:
        model.train_cfg.rpn_proposal.max_per_img = 50
        model.test_cfg.rpn.max_per_img = 50


@pytest.mark.parametrize('name', ARCHITECTURES)
def test_step_and_prediction(name):
    cfg = copy.deepcopy(load(name))
    shrink(cfg.model)
    model = build(cfg)
    # Without the pretrained weights; until then some of DINO's are what memory held.
    model.backbone.init_cfg = None
    model.init_weights()
    parts = [m for m in model.modules() if isinstance(m, SARL | SAL)]
    # On VisDrone YOLOv5's plain loss is SAL of constant weight, for its head.
    parts = [part for part in parts if getattr(part, 'form', '') != 'constant']
    assert len(parts) == ('sarl' in name) + ('sal' in name.replace('sarl', ''))
    optimizer = build_optim_wrapper(model, copy.deepcopy(cfg.optim_wrapper))
    MessageHub.get_current_instance().update_info('iter', 0)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    model.train()
    log = model.train_step(collate(cfg, [sample(), sample()]), optimizer)
    assert all(torch.isfinite(value).all() for value in log.values())
    assert any('bbox' in key and log[key] > 0 for key in log), log
    for module in (model.neck, model.backbone):
        prefix = 'neck.' if module is model.neck else 'backbone.'
        assert any(
            not torch.equal(before[key], value)
            for key, value in model.state_dict().items()
            if key.startswith(prefix) and 'running' not in key and 'num' not in key
        )
    model.eval()
    one = sample()
    (result,) = model.test_step(
        dict(inputs=[one['inputs']], data_samples=[one['data_samples']])
    )
    caps = cfg.model.test_cfg
    found = result.pred_instances
    assert len(found) <= caps.get('rcnn', caps).max_per_img
    assert found.bboxes.isfinite().all()
    assert ((found.scores >= 0) & (found.scores <= 1)).all()


def grid(folder, classes, size, spacing=32, side=800):
    """Write images of objects of one size (px) on a grid."""
    boxes = [
        [x - size / 2, y - size / 2, size, size]
        for x in range(spacing // 2, side - spacing // 2, spacing)
        for y in range(spacing // 2, side - spacing // 2, spacing)
    ]
    images = [
        dict(id=i, file_name=f'{i}.png', width=side, height=side) for i in range(4)
    ]
    annotations = [
        dict(
            id=1 + index,
            image_id=index // len(boxes),
            category_id=1,
            bbox=boxes[index % len(boxes)],
            iscrowd=0,
        )
        for index in range(len(images) * len(boxes))
    ]
    categories = [dict(id=i, name=name) for i, name in enumerate(classes, 1)]
    folder.mkdir()
    for image in images:
        cv2.imwrite(
            str(folder / image['file_name']), np.zeros((side, side, 3), np.uint8)
        )
    write_json(
        folder / 'train.json',
        dict(images=images, annotations=annotations, categories=categories),
    )
    return dict(data_root=f'{folder}/', ann_file='train.json', data_prefix=dict(img=''))


def training_pipelines(cfg):
    return [
        cfg.train_dataloader.dataset.pipeline,
        *(
            hook[key]
            for hook in cfg.custom_hooks
            for key in ('new_train_pipeline', 'switch_pipeline')
            if key in hook
        ),
    ]


def kept(pipeline, data, scope='mmyolo', count=4):
    """Count the objects that a pipeline hands to training, always by the same draws."""
    init_default_scope(scope)
    dataset = AITODDataset(**data, pipeline=pipeline)
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002
    torch.manual_seed(0)
    samples = [dataset[index % len(dataset)] for index in range(count)]
    return sum(len(one['data_samples'].gt_instances) for one in samples)


@pytest.fixture(scope='module')
def grids(tmp_path_factory):
    folder = tmp_path_factory.mktemp('grids')
    classes = AITODDataset.METAINFO['classes']
    return [grid(folder / str(size), classes, size) for size in (3, 8)]


@pytest.mark.parametrize(
    'family',
    [
        'yolov5_s-v61',
        'yolov5_m-v61',
        'yolox_s',
        'yolox_tiny',
        'rtmdet_s',
        'atss_r50_fpn',
    ],
)
def test_augmentation_keeps_tiny_objects(family, grids):
    cfg = load(stem(family, '', 'aitod'))
    for pipeline in training_pipelines(cfg):
        tiny, small = (kept(pipeline, data, cfg.default_scope) for data in grids)
        assert small > 100
        # Some of the small ones only reach into the image.
        assert tiny > 0.97 * small


def test_mmyolos_augmentation_does_not(grids):
    """So the test above is able to fail."""
    folder = f'{mmyolo.__path__[0]}/.mim/configs/yolov5'
    cfg = Config.fromfile(f'{folder}/yolov5_m-v61_syncbn_fast_8xb16-300e_coco.py')
    pipeline = [
        step
        for step in cfg.train_dataloader.dataset.pipeline
        if step['type'] not in ('mmdet.Albu', 'YOLOv5MixUp')
    ]
    tiny, small = (kept(pipeline, data) for data in grids)
    assert tiny < 0.8 * small


@pytest.mark.parametrize('family', ['dino-4scale_r50', 'yolov5_s-v61', 'rtmdet_s'])
def test_an_image_without_objects_is_not_replaced(family, tmp_path):
    data = grid(tmp_path / 'data', AITODDataset.METAINFO['classes'], 8, side=96)
    path = tmp_path / 'data/train.json'
    content = json.loads(path.read_text())
    content['annotations'] = [a for a in content['annotations'] if a['image_id'] == 2]
    write_json(path, content)
    cfg = load(stem(family, '', 'aitod'))
    init_default_scope(cfg.default_scope)
    settings = cfg.train_dataloader.dataset
    keep_all = dict(filter_empty_gt=False)
    if 'dino' in family:
        assert not settings.filter_cfg.filter_empty_gt
    for pipeline in training_pipelines(cfg):
        dataset = AITODDataset(**data, pipeline=pipeline, filter_cfg=keep_all)
        samples = [dataset[index]['data_samples'] for index in range(4)]
        assert [sample.img_id for sample in samples] == [0, 1, 2, 3]


def random_crops(pipeline):
    for step in pipeline:
        if step['type'].endswith('RandomCrop'):
            yield step
        yield from random_crops(step.get('pre_transform', []))


def with_input_size(family, size, folder):
    """A family's config for AI-TOD with another row in the table of data sets."""
    shutil.copytree(ROOT, folder / 'configs')
    table = folder / 'configs/_base_/datasets.py'
    assert 'img_scale=(800, 800)' in table.read_text()
    table.write_text(
        table.read_text().replace('img_scale=(800, 800)', f'img_scale={size}')
    )
    path = PATHS[stem(family, '', 'aitod')].relative_to(ROOT)
    return Config.fromfile(folder / 'configs' / path)


@pytest.mark.parametrize('family', ['yolov5_s-v61', 'rtmdet_s', 'atss_r50_fpn'])
def test_crops_of_a_wide_input_are_wide(family, tmp_path):
    cfg = with_input_size(family, (96, 64), tmp_path)
    init_default_scope(cfg.default_scope)
    crops = list(random_crops(cfg.train_dataloader.dataset.pipeline))
    assert crops
    for crop in crops:
        image = np.zeros((200, 200, 3), np.uint8)
        crop = MMDET_TRANSFORMS.build(crop)
        assert crop(dict(img=image, img_shape=image.shape[:2]))['img_shape'] == (64, 96)


@pytest.mark.parametrize(
    ('width', 'height', 'smallest'), [(128, 128, 32), (320, 256, 96)]
)
def test_yolox_changes_sizes_around_that_of_the_input(
    tmp_path, width, height, smallest
):
    """By 160 px of its height at most, and they stay above 0."""
    cfg = with_input_size('yolox_s', (width, height), tmp_path)
    (resize,) = cfg.model.data_preprocessor.batch_augments
    init_default_scope('mmyolo')
    resize = MODELS.build(dict(resize, interval=1))
    MessageHub.get_current_instance().update_info('iter', 0)
    heights = set()
    for _ in range(100):
        truth = dict(bboxes_labels=torch.zeros(0, 6))
        images, _ = resize(torch.zeros(1, 3, height, width), truth)
        heights.add(images.shape[2])
        assert abs(images.shape[3] - images.shape[2] * width / height) < 32
    assert heights == set(range(smallest, height + 161, 32))


@pytest.mark.parametrize('family', ['yolov5_s-v61', 'yolox_s', 'atss_r50_fpn'])
def test_whole_images_keep_their_resolution(family, tmp_path):
    """However large they are; here wider than the 4096 px of many a limit."""
    path = tmp_path / 'wide.png'
    cv2.imwrite(str(path), np.zeros((40, 5472, 3), np.uint8))
    cfg = load(stem(family, '', 'aitod'))
    init_default_scope(cfg.default_scope)
    steps = Compose(cfg.val_dataloader.dataset.pipeline)
    packed = steps(dict(img_path=str(path), img_id=1))
    assert packed['data_samples'].scale_factor == (1, 1)
    assert packed['inputs'].shape[2] == 5472


@pytest.mark.parametrize('family', ['yolov5_m-v61', 'yolox_s', 'atss_r50_fpn'])
def test_ignored_regions_reach_training(family, tmp_path):
    """Through mosaic, mixup and crops; they are never objects."""
    classes = (*VisDroneDataset.METAINFO['classes'], 'ignored-regions')
    data = grid(tmp_path / 'data', classes, size=16, spacing=100, side=400)
    path = tmp_path / 'data/train.json'
    content = json.loads(path.read_text())
    for image in content['images']:
        region = dict(bbox=[0, 0, 300, 300], category_id=len(classes), iscrowd=1)
        content['annotations'].append(
            dict(region, id=1000 + image['id'], image_id=image['id'])
        )
    write_json(path, content)
    cfg = load(stem(family, '', 'visdrone'))
    init_default_scope(cfg.default_scope)
    pipeline = cfg.train_dataloader.dataset.pipeline
    dataset = VisDroneDataset(**data, pipeline=pipeline)
    samples = [dataset[index]['data_samples'] for index in range(3)]
    assert all(len(one.ignored_instances) > 0 for one in samples)
    assert {int(i) for one in samples for i in one.gt_instances.labels} == {0}
    if family == 'yolox_s':
        # YOLOXHead knows no ignored regions: they are dropped here.
        batch = yolov5_collate([dataset[0], dataset[1]])
        assert not batch['data_samples']['bboxes_labels'][:, 1].any()
