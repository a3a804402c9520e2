"""Each config does what its name says, and differs in what its name says only."""

import re

import pytest
from mmdet.registry import DATASETS
from zoo import FAMILIES, PATHS, SCENES, ZOO, as_text, functional, load, stem, walk

import sarl  # noqa: F401

TYPES = dict(
    aitod=('AITODDataset', 'AITODMetric'),
    aitodv2=('AITODv2Dataset', 'AITODMetric'),
    dotav2=('DOTAv2Dataset', 'AITODMetric'),
    visdrone=('VisDroneDataset', 'VisDroneMetric'),
)
# The trees that docs/datasets.md describes.
FILES = dict(
    aitod=(
        'data/AI-TOD/annotations/aitod_{}_v1.json',
        'data/AI-TOD/images/{}/',
        ('trainval', 'test'),
    ),
    aitodv2=(
        'data/AI-TOD/annotations/aitodv2_{}.json',
        'data/AI-TOD/images/{}/',
        ('trainval', 'test'),
    ),
    dotav2=(
        'data/dota_tiles/{}/annotations.json',
        'data/dota_tiles/{}/images/',
        ('train', 'val'),
    ),
    visdrone=(
        'data/visdrone/annotations/{}.json',
        'data/visdrone/VisDrone2019-DET-{}/images/',
        ('train', 'val'),
    ),
)
CLASSES = dict(aitod=8, aitodv2=8, dotav2=18, visdrone=10)
CAPS = dict(aitod=1500, aitodv2=1500, dotav2=1500, visdrone=500)


def test_all_are_there_and_no_others():
    assert set(PATHS) == {*ZOO, *SCENES}
    for name, (family, _, _) in ZOO.items():
        assert PATHS[name].parent.name == FAMILIES[family]['folder']


def test_no_two_are_equal():
    by_content = {}
    for name in PATHS:
        by_content.setdefault(as_text(functional(load(name))), []).append(name)
    assert [names for names in by_content.values() if len(names) > 1] == []


@pytest.mark.parametrize('name', PATHS)
def test_schedule_and_evaluation(name):
    cfg = load(name)
    gpus, batch, epochs = map(int, re.search(r'_(\d+)xb(\d+)-(\d+)e_', name).groups())
    assert cfg.train_dataloader.batch_size == batch
    assert cfg.auto_scale_lr.base_batch_size == gpus * batch
    assert not cfg.auto_scale_lr.get('enable')
    assert cfg.train_cfg.max_epochs == epochs
    ends = [
        schedule.get('max_epochs', schedule.get('end'))
        for schedule in cfg.param_scheduler or [cfg.default_hooks.param_scheduler]
        if schedule.get('by_epoch', True)
    ]
    assert max(ends) == epochs
    for split in ('val', 'test'):
        dataset = cfg[f'{split}_dataloader'].dataset
        assert dataset.test_mode
        evaluator = cfg[f'{split}_evaluator']
        assert evaluator.ann_file == dataset.data_root + dataset.ann_file
        # Nothing of the base's evaluator is left.
        assert evaluator.keys() == {'type', 'ann_file'}
    # No test set picks an epoch.
    assert cfg.default_hooks.checkpoint.get('save_best') is None
    assert [hook.type for hook in cfg.custom_hooks].count('RunRecordHook') == 1
    for key, value in walk(functional(cfg)):
        assert key != '_delete_'
        # Nothing is downloaded.
        assert not (isinstance(value, str) and '://' in value), value


@pytest.mark.parametrize('name', ZOO)
def test_data(name):
    data, cfg = ZOO[name][2], load(name)
    dataset_type, metric = TYPES[data]
    annotations, images, splits = FILES[data]
    for loader, split in zip(
        ('train', 'val', 'test'), (*splits, splits[1]), strict=True
    ):
        dataset = cfg[f'{loader}_dataloader'].dataset
        assert dataset.type == dataset_type
        assert dataset.data_root + dataset.ann_file == annotations.format(split)
        assert dataset.data_root + dataset.data_prefix.img == images.format(split)
    assert cfg.val_evaluator.type == cfg.test_evaluator.type == metric
    numbers = {value for key, value in walk(cfg.model) if key == 'num_classes'}
    assert numbers == {CLASSES[data]}
    assert len(DATASETS.get(dataset_type).METAINFO['classes']) == CLASSES[data]


@pytest.mark.parametrize('name', ZOO)
def test_caps_and_anchors_fit_tiny_objects(name):
    family, components, data = ZOO[name]
    model = load(name).model
    caps = model.test_cfg
    assert caps.get('rcnn', caps).max_per_img == CAPS[data]
    assert not caps.get('yolox_style'), 'it has no caps'
    if 'dino' in family:
        assert model.num_queries >= CAPS[data]
        return
    # What each level hands on to NMS; in MMYOLO the whole image, with some 20
    # candidates for each object.
    if 'yolo' in family or 'rtmdet' in family:
        assert caps.get('nms_pre', 100_000) >= 20 * caps.max_per_img
    else:
        assert caps.get('rpn', caps).nms_pre == 3000
    head = model.get('rpn_head') or model.bbox_head
    priors = head.get('anchor_generator') or head.get('prior_generator')
    if 'yolov5' in family:
        sides = [s for level in priors.base_sizes for anchor in level for s in anchor]
        # An anchor takes objects down to a quarter of its size.
        assert min(sides) / 4 <= 2
    elif priors is not None and priors.type.endswith('AnchorGenerator'):
        scale = priors.get('octave_base_scale') or min(priors.scales)
        assert (priors.strides[0] * scale <= 16) == ('tiny-anchors' in components)


def is_ours(components):
    return bool({'sarl', 'sal'} & {*components.split('-')})


@pytest.mark.parametrize('name', [name for name in ZOO if is_ours(ZOO[name][1])])
def test_ours_is_the_plain_one_and_what_the_name_says(name):
    family, components, data = ZOO[name]
    words = components.split('-')
    plain_words = [word for word in words if word not in ('sarl', 'sal')]
    ours = functional(load(name))
    plain = functional(load(stem(family, '-'.join(plain_words), data)))
    model, plain_model = ours['model'], plain['model']
    assert model.neck.type == ('SARL' if 'sarl' in words else plain_model.neck.type)
    if 'sarl' in words:
        wide, narrow = model.neck, model.neck.neck
        assert wide.get('widen_factor') == narrow.get('widen_factor')
        # One finer level than the neck takes, unless it takes stride 4 itself.
        assert wide.in_channels[-len(narrow.in_channels) :] == narrow.in_channels
        assert len(wide.in_channels) == len(model.backbone.out_indices) == 4
        model.neck = narrow
        for one in (model, plain_model):
            one.backbone.pop('out_indices', None)
    head, plain_head = (
        m.get('bbox_head') or m.roi_head.bbox_head for m in (model, plain_model)
    )
    if family.startswith('yolov5') and data == 'visdrone':
        # The plain loss in the head that ignores regions in every image.
        assert plain_head.type == 'SALYOLOv5Head'
        assert plain_head.loss_bbox.form == 'constant'
        plain_head.loss_bbox = plain_head.loss_bbox.loss
        if 'sal' not in words:
            head.loss_bbox = head.loss_bbox.loss
    assert (head.loss_bbox.type == 'SAL') == ('sal' in words)
    if 'sal' in words:
        # Heads that call it once a level cannot compare sizes over all of them.
        by_level = family.startswith(('atss', 'rtmdet'))
        assert head.loss_bbox.get('normalize', True) != by_level
        assert (head.type == 'SALYOLOv5Head') == ('yolov5' in family)
        head.loss_bbox, head.type = head.loss_bbox.loss, plain_head.type
    assert as_text(ours) == as_text(plain)


@pytest.mark.parametrize('data', TYPES)
def test_p2_is_the_plain_one_and_a_finer_level(data):
    finer, plain = (
        functional(load(stem('yolov5_s-v61', parts, data))) for parts in ('p2', '')
    )
    head, plain_head = (one['model'].bbox_head for one in (finer, plain))
    assert head.prior_generator.strides == [4, 8, 16, 32]
    (first, *others), plain_sizes = (
        one.prior_generator.base_sizes for one in (head, plain_head)
    )
    assert others == plain_sizes
    halved = [[side / 2 for side in anchor] for anchor in plain_sizes[0]]
    assert [list(anchor) for anchor in first] == halved
    # As strong as stride 8 in what says whether there is an object.
    assert head.obj_level_weights == [4.0, 4.0, 1.0, 0.4]
    neck, module = finer['model'].neck, head.head_module
    channels = neck.in_channels, neck.out_channels, module.in_channels
    assert channels == ([128, 256, 512, 1024],) * 3
    assert module.featmap_strides == head.prior_generator.strides
    # Nothing else differs.
    module.featmap_strides = plain_head.head_module.featmap_strides
    module.in_channels = plain_head.head_module.in_channels
    head.prior_generator = plain_head.prior_generator
    head.obj_level_weights = plain_head.obj_level_weights
    for one in (finer['model'], plain['model']):
        one.neck = dict(one.neck, in_channels=None, out_channels=None)
        one.backbone.pop('out_indices', None)
    assert as_text(finer) == as_text(plain)


@pytest.mark.parametrize('family', FAMILIES)
def test_data_sets_differ_in_data_only(family):
    """Schedule, optimizer and hooks do not depend on the data."""
    first, *others = (functional(load(stem(family, '', data))) for data in TYPES)
    for other in others:
        for key in ('optim_wrapper', 'param_scheduler', 'auto_scale_lr', 'train_cfg'):
            assert first.get(key) == other.get(key)
        assert first['default_hooks'] == other['default_hooks']
        assert first['model'].backbone == other['model'].backbone
        assert first['model'].neck == other['model'].neck


def test_fcos_has_the_backbone_of_atss():
    fcos, atss = (
        load(stem(family, '', 'aitod')).model.backbone
        for family in ('fcos_r50_fpn_gn-head', 'atss_r50_fpn')
    )
    assert fcos == atss


@pytest.mark.parametrize('name', ZOO)
def test_a_file_holds_what_differs(name):
    lines = PATHS[name].read_text().splitlines()
    assert lines[0].startswith('_base_ = ')
    assert len(lines) <= 10
