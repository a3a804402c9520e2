"""The bases' arithmetic, worked out from the frameworks' own numbers."""

import copy

import mmyolo
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.structures import InstanceData
from mmyolo.registry import MODELS
from zoo import DATA, OURS, SCENES, load, stem

import sarl  # noqa: F401

CONFIGS = f'{mmyolo.__path__[0]}/.mim/configs'
# (class loss, objectness loss) of MMYOLO's sizes at 80 classes and 640 px.
BASES = {**dict.fromkeys('ns', (0.5, 1.0)), **dict.fromkeys('mlx', (0.3, 0.7))}
# Classes over 80; (side over 640) ** 2.
SHARES = dict(aitod=(0.1, 1.5625), aitodv2=(0.1, 1.5625))
SHARES |= dict(dotav2=(0.225, 2.56), visdrone=(0.125, 2.56))


@pytest.mark.parametrize('data', DATA)
@pytest.mark.parametrize('size', BASES)
def test_loss_weights_of_yolov5(size, data):
    for components in OURS:
        head = load(stem(f'yolov5_{size}-v61', components, data)).model.bbox_head
        for loss, base, share in zip(
            (head.loss_cls, head.loss_obj), BASES[size], SHARES[data], strict=True
        ):
            assert loss.loss_weight == pytest.approx(base * share)
        box = head.loss_bbox.get('loss', head.loss_bbox)
        assert box.loss_weight == pytest.approx(0.05)


@pytest.mark.parametrize('name', SCENES)
def test_loss_weights_of_the_scenes(name):
    head = load(name).model.bbox_head
    assert head.loss_cls.loss_weight == pytest.approx(0.5 * 8 / 80)
    assert head.loss_obj.loss_weight == pytest.approx((192 / 640) ** 2)
    assert head.prior_generator.base_sizes[0][0] == (5, 5)
    assert load(name).model.test_cfg.max_per_img == 1500


@pytest.mark.parametrize('components', ['', 'sal'])
def test_class_loss_with_ignored_regions(components):
    """It weighs as without them; MMYOLO's head would sum it over the classes then."""
    init_default_scope('mmyolo')
    cfg = load(stem('yolov5_n-v61', components, 'visdrone')).model
    head = MODELS.build(copy.deepcopy(cfg)).bbox_head
    plain = MODELS.build(copy.deepcopy(cfg)).bbox_head
    plain.load_state_dict(head.state_dict())
    plain.ignore_iof_thr = -1
    plain.loss_cls.loss_weight = 0.5 * 10 / 80
    levels = [torch.randn(2, 64 * 2**i, 16 // 2**i, 16 // 2**i) for i in range(3)]
    truth = InstanceData(
        bboxes=torch.tensor([[90.0, 90, 100, 104], [60, 96, 84, 110]]),
        labels=torch.tensor([2, 7]),
    )
    region = InstanceData(
        bboxes=torch.tensor([[0.0, 0, 40, 40]]), labels=torch.tensor([0])
    )
    metas = [dict(batch_input_shape=(128, 128), img_shape=(128, 128))] * 2
    with_region = head.loss_by_feat(*head(levels), [truth] * 2, metas, [region] * 2)
    without = plain.loss_by_feat(*plain(levels), [truth] * 2, metas, None)
    for loss in ('loss_cls', 'loss_bbox'):
        torch.testing.assert_close(
            with_region[loss].sum(), without[loss].sum(), rtol=1e-4, atol=0
        )


@pytest.mark.parametrize(
    ('family', 'theirs'),
    [
        *(
            (f'yolov5_{s}-v61', f'yolov5/yolov5_{s}-v61_syncbn_fast_8xb16-300e_coco.py')
            for s in 'nsmlx'
        ),
        *(
            (f'yolox_{s}', f'yolox/yolox_{s}_fast_8xb8-300e_coco.py')
            for s in ('tiny', *'smlx')
        ),
    ],
)
def test_sizes_are_those_of_mmyolo(family, theirs):
    theirs = Config.fromfile(f'{CONFIGS}/{theirs}')
    cfg = load(stem(family, '', 'aitod'))
    for part in ('backbone', 'neck'):
        for factor in ('widen_factor', 'deepen_factor'):
            assert cfg.model[part][factor] == theirs.model[part][factor]
    module = cfg.model.bbox_head.head_module
    assert module.widen_factor == theirs.model.bbox_head.head_module.widen_factor
    hook, their_hook = (c.default_hooks.param_scheduler for c in (cfg, theirs))
    assert hook.get('lr_factor') == their_hook.get('lr_factor')
    mixups = [
        [
            step.get('prob')
            for step in c.train_dataloader.dataset.pipeline
            if 'MixUp' in step['type']
        ]
        for c in (cfg, theirs)
    ]
    assert mixups[0] == mixups[1]


# Learning rate of the batch in the name, as each framework publishes it.
RATES = {
    'yolov5_s-v61': (0.01, 128),
    'yolox_s': (0.01, 64),
    'rtmdet_s': (0.004, 256),
    'faster-rcnn_r50_fpn': (0.02, 16),
    'cascade-rcnn_r50_fpn': (0.02, 16),
    'retinanet_r50_fpn': (0.01, 16),
    'atss_r50_fpn': (0.01, 16),
    'fcos_r50_fpn_gn-head': (0.01, 16),
    'dino-4scale_r50': (0.0001, 16),
}


@pytest.mark.parametrize('family', RATES)
def test_learning_rate_belongs_to_the_batch(family):
    for data in DATA:
        cfg = load(stem(family, '', data))
        rate = cfg.optim_wrapper.optimizer.lr, cfg.auto_scale_lr.base_batch_size
        assert rate == RATES[family]


def test_schedules_are_scaled_as_a_whole():
    """100 epochs keep what the bases say of their last ones, and of the rest."""
    warm_up, cosine, constant = load(stem('yolox_s', '', 'aitod')).param_scheduler
    assert (warm_up.begin, warm_up.end) == (0, 5)
    # The last 15 epochs without mosaic, at a constant rate.
    assert (cosine.begin, cosine.end, cosine.T_max) == (5, 85, 85)
    assert (constant.begin, constant.end) == (85, 100)
    rtmdet = load(stem('rtmdet_s', '', 'aitod'))
    # The second half; the last 20 epochs without mosaic.
    warm_up, cosine = rtmdet.param_scheduler
    assert (warm_up.begin, warm_up.end, warm_up.by_epoch) == (0, 5, True)
    assert (cosine.begin, cosine.end, cosine.T_max) == (50, 100, 50)
    (switch,) = [h for h in rtmdet.custom_hooks if h.type == 'PipelineSwitchHook']
    assert switch.switch_epoch == 80
    # Three epochs of warm-up where an epoch is short: VisDrone's 6,471 images.
    yolov5 = load(stem('yolov5_s-v61', '', 'visdrone'))
    assert yolov5.default_hooks.param_scheduler.warmup_mim_iter < 3 * 6471 / (8 * 16)
