"""An object of 8 px and one of 64 px get the same weights in every head."""

import math

import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.logging import MessageHub
from mmengine.registry import init_default_scope
from mmyolo.registry import MODELS

from sarl.engine.config_checks import check_sal
from sarl.errors import InputError
from sarl.losses import SAL

HEIGHT, WIDTH, CLASSES, CHANNELS, STRIDES = 128, 160, 2, 16, (8, 16, 32)
NORM = dict(type='BN')
TAL = dict(type='BatchTaskAlignedAssigner', num_classes=CLASSES, topk=13)
ATSS = dict(
    type='BatchATSSAssigner',
    num_classes=CLASSES,
    topk=9,
    iou_calculator=dict(type='mmdet.BboxOverlaps2D'),
)
BOTH = dict(initial_epoch=4, initial_assigner=ATSS, assigner=TAL)
ANCHORS = [
    [(8, 8), (12, 16), (19, 36)],
    [(36, 30), (40, 55), (64, 64)],
    [(90, 70), (100, 110), (120, 120)],
]
XYXY = dict(type='IoULoss', bbox_format='xyxy', return_iou=False)
# Type, arguments of the head module, of the head, box loss, train_cfg.
HEADS = {
    'YOLOv6Head': (dict(), dict(), XYXY | dict(iou_mode='giou'), BOTH),
    'YOLOv8Head': (
        dict(reg_max=16),
        dict(),
        XYXY | dict(iou_mode='ciou', reduction='sum'),
        dict(assigner=TAL),
    ),
    'PPYOLOEHead': (dict(reg_max=16), dict(), XYXY | dict(iou_mode='giou'), BOTH),
    'YOLOv7Head': (
        dict(num_base_priors=3),
        dict(
            prior_generator=dict(
                type='mmdet.YOLOAnchorGenerator', base_sizes=ANCHORS, strides=STRIDES
            )
        ),
        dict(type='IoULoss', iou_mode='ciou', bbox_format='xywh', return_iou=True),
        None,
    ),
}
# The assigner that YOLOv6 and PPYOLOE begin with, and the one they go on with.
CASES = [('YOLOv6Head', 0), ('YOLOv6Head', 9), ('PPYOLOEHead', 0), ('PPYOLOEHead', 9)]
CASES += [('YOLOv8Head', 0), ('YOLOv7Head', 0)]


@pytest.fixture(autouse=True)
def _scope():
    init_default_scope('mmyolo')


def build(name, **sal):
    """Build a head, with SAL if there are arguments for it."""
    module, arguments, loss, train_cfg = HEADS[name]
    if 'YOLOv7' not in name:
        module = module | dict(norm_cfg=NORM, act_cfg=dict(type='SiLU', inplace=True))
    return MODELS.build(
        ConfigDict(
            type=f'SAL{name}' if sal else name,
            head_module=dict(
                type=f'{name}Module',
                num_classes=CLASSES,
                in_channels=[CHANNELS] * 3,
                featmap_strides=STRIDES,
                **module,
            ),
            loss_bbox=dict(type='SAL', loss=loss, **sal) if sal else loss,
            train_cfg=train_cfg,
            **arguments,
        )
    )


def losses(head, epoch, objects=slice(2)):
    torch.manual_seed(0)
    head.init_weights()
    head.train()
    for parameter in head.parameters():
        torch.nn.init.normal_(parameter, std=0.05)
    MessageHub.get_current_instance().update_info('epoch', epoch)
    features = tuple(torch.randn(2, CHANNELS, HEIGHT // s, WIDTH // s) for s in STRIDES)
    # image index, label, x1, y1, x2, y2: 4 x 16 and 128 x 32 px, which makes 8 and 64,
    # and one that no anchor of YOLOv7 fits; the second image is empty
    truth = torch.tensor(
        [[0, 0, 10.0, 10, 14, 26], [0, 1, 20, 60, 148, 92], [0, 0, 60, 10, 61.5, 11.5]]
    )
    metas = [dict(img_shape=(HEIGHT, WIDTH), batch_input_shape=(HEIGHT, WIDTH))] * 2
    result = head.loss_by_feat(*head(features), truth[objects], metas)
    sum(result.values()).sum().backward()
    # Hooks that a step leaves would be called ever more often.
    parts = [head.loss_bbox, *vars(head).values()]
    modules = [part for part in parts if isinstance(part, torch.nn.Module)]
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in modules)
    return result, [parameter.grad for parameter in head.parameters()]


@pytest.fixture
def weights_by_size(monkeypatch):
    """Collect the weight that each size got."""
    seen = {}
    size_weight = SAL.size_weight

    def spy(self, size, *args):
        weights = size_weight(self, size, *args)
        for one, weight in zip(size.round().tolist(), weights.tolist(), strict=True):
            seen.setdefault(one, set()).add(round(weight, 5))
        return weights

    monkeypatch.setattr(SAL, 'size_weight', spy)
    return seen


@pytest.mark.parametrize(('name', 'epoch'), CASES)
def test_sizes_are_pixels(name, epoch, weights_by_size):
    losses(build(name, normalize=False, reference=16, floor=0.5), epoch)
    weights = {size: weight for size, (weight,) in weights_by_size.items()}
    expected = {8: 0.5 + 0.5 * math.exp(-0.5), 64: 0.5 + 0.5 * math.exp(-4)}
    assert weights == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize(('name', 'epoch'), CASES)
def test_normalized_weights_keep_their_ratio(name, epoch, weights_by_size):
    losses(build(name, normalize=True), epoch)
    # One weight each: the levels are weighed together.
    (small,), (large,) = weights_by_size[8], weights_by_size[64]
    expected = (1 + math.exp(-0.5)) / (1 + math.exp(-4))
    assert small / large == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(('name', 'epoch'), [c for c in CASES if 'v7' not in c[0]])
def test_the_mean_is_by_the_weights_of_the_head(name, epoch, monkeypatch):
    means = []
    forward = SAL.forward

    def spy(self, *args, size_weight, **kwargs):
        own = kwargs['weight'].mean(-1)
        assert own.unique().numel() > 1
        means.append(((own * size_weight).sum() / own.sum()).item())
        return forward(self, *args, size_weight=size_weight, **kwargs)

    monkeypatch.setattr(SAL, 'forward', spy)
    losses(build(name, normalize=True), epoch)
    assert means == pytest.approx([1], abs=1e-5)


# Both, none, the large one, which leaves YOLOv7's finest level without positives, and
# one that leaves all of its levels without.
@pytest.mark.parametrize('objects', [slice(2), slice(0), slice(1, 2), slice(2, 3)])
@pytest.mark.parametrize(('name', 'epoch'), CASES)
def test_constant_weight_gives_the_plain_head(name, epoch, objects):
    plain, plain_gradients = losses(build(name), epoch, objects)
    ours, gradients = losses(build(name, form='constant'), epoch, objects)
    assert ours.keys() == plain.keys()
    for key, value in plain.items():
        torch.testing.assert_close(ours[key], value, rtol=1e-6, atol=1e-6)
    for one, other in zip(gradients, plain_gradients, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(('name', 'epoch'), CASES)
def test_box_loss_is_the_plain_one_weighed(name, epoch):
    plain, _ = losses(build(name), epoch)
    same, _ = losses(build(name, floor=1.0), epoch)
    ours, _ = losses(build(name, normalize=False), epoch)
    torch.testing.assert_close(same['loss_bbox'], plain['loss_bbox'])
    assert ours['loss_bbox'] < plain['loss_bbox']
    for key in plain.keys() - {'loss_bbox', 'loss_obj'}:
        torch.testing.assert_close(ours[key], plain[key])


@pytest.mark.parametrize('name', HEADS)
def test_a_plain_loss_is_refused(name):
    head = build(name, form='constant')
    head.loss_bbox = torch.nn.Identity()
    for ours in (f'SAL{name}', 'Mine'):
        with pytest.raises(ValueError, match=f'{ours} needs loss_bbox.*use {name} for'):
            head.special_init()
        head.__class__ = type('Mine', (type(head),), {})


@pytest.mark.parametrize('name', HEADS)
def test_training_refuses_sal_in_the_plain_head(name):
    ours, plain = build(name, form='constant'), build(name)
    check_sal(ours)
    plain.loss_bbox = ours.loss_bbox
    with pytest.raises(InputError, match=f"^{name} divides .*type='SAL{name}'"):
        check_sal(plain)
