"""Heads that hand their loss boxes in pixels take SAL as it is."""

import math

import pytest
import torch
from mmdet.registry import MODELS as MMDET_MODELS
from mmengine.config import ConfigDict
from mmengine.registry import init_default_scope
from mmengine.structures import InstanceData
from mmyolo.registry import MODELS

from sarl.losses import SAL

SIDE, CLASSES, CHANNELS, STRIDES = 128, 2, 32, (8, 16, 32)
METAS = [dict(img_shape=(SIDE, SIDE), batch_input_shape=(SIDE, SIDE))] * 2
for meta in METAS:
    meta['pad_shape'] = (SIDE, SIDE)
# x1, y1, x2, y2 of the first image; the second one is empty.
BOXES = torch.tensor([[10.0, 10, 18, 18], [40, 40, 104, 104]])
DENSE = dict(num_classes=CLASSES, in_channels=CHANNELS, feat_channels=CHANNELS)
SQUARE = dict(
    type='mmdet.AnchorGenerator', ratios=[1.0], scales=[1], base_sizes=[8, 16, 64]
)
SQUARE['strides'] = STRIDES
OVERLAP = dict(
    type='mmdet.MaxIoUAssigner', pos_iou_thr=0.5, neg_iou_thr=0.4, min_pos_iou=0
)
HEADS = {
    'YOLOXHead': dict(
        type='YOLOXHead',
        head_module=dict(
            type='YOLOXHeadModule',
            featmap_strides=STRIDES,
            act_cfg=dict(type='SiLU'),
            **DENSE,
        ),
        train_cfg=dict(
            assigner=dict(
                type='mmdet.SimOTAAssigner',
                center_radius=2.5,
                iou_calculator=dict(type='mmdet.BboxOverlaps2D'),
            )
        ),
    ),
    'RTMDetHead': dict(
        type='RTMDetHead',
        head_module=dict(
            type='RTMDetSepBNHeadModule',
            stacked_convs=1,
            featmap_strides=STRIDES,
            norm_cfg=dict(type='BN'),
            **DENSE,
        ),
        train_cfg=dict(
            assigner=dict(
                type='BatchDynamicSoftLabelAssigner',
                num_classes=CLASSES,
                topk=13,
                iou_calculator=dict(type='mmdet.BboxOverlaps2D'),
            ),
            allowed_border=-1,
            pos_weight=-1,
        ),
    ),
    'FCOSHead': dict(
        type='mmdet.FCOSHead',
        stacked_convs=1,
        strides=STRIDES,
        regress_ranges=((-1, 16), (16, 32), (32, 1e8)),
        **DENSE,
    ),
    'ATSSHead': dict(
        type='mmdet.ATSSHead',
        stacked_convs=1,
        anchor_generator=SQUARE,
        train_cfg=dict(
            assigner=dict(type='mmdet.ATSSAssigner', topk=9),
            allowed_border=-1,
            pos_weight=-1,
        ),
        **DENSE,
    ),
    'RetinaHead': dict(
        type='mmdet.RetinaHead',
        stacked_convs=1,
        anchor_generator=SQUARE,
        reg_decoded_bbox=True,
        train_cfg=dict(
            assigner=OVERLAP,
            sampler=dict(type='mmdet.PseudoSampler'),
            allowed_border=-1,
            pos_weight=-1,
        ),
        **DENSE,
    ),
    'Faster R-CNN': dict(
        type='mmdet.Shared2FCBBoxHead',
        in_channels=CHANNELS,
        fc_out_channels=CHANNELS,
        roi_feat_size=2,
        num_classes=CLASSES,
        reg_decoded_bbox=True,
    ),
}
# They call the loss once a level.
BY_LEVEL = {'ATSSHead', 'RetinaHead'}


def losses(name, loss_bbox):
    torch.manual_seed(0)
    in_mmdet = HEADS[name]['type'].startswith('mmdet.')
    init_default_scope('mmdet' if in_mmdet else 'mmyolo')
    registry = MMDET_MODELS if in_mmdet else MODELS
    head = registry.build(ConfigDict(loss_bbox=loss_bbox, **HEADS[name]))
    head.train()
    if name == 'Faster R-CNN':
        result = roi_losses(head)
    else:
        features = tuple(
            torch.randn(2, CHANNELS, SIDE // s, SIDE // s) for s in STRIDES
        )
        if in_mmdet:
            truth = [
                InstanceData(bboxes=BOXES, labels=torch.tensor([0, 1])),
                InstanceData(
                    bboxes=torch.empty(0, 4), labels=torch.empty(0, dtype=torch.long)
                ),
            ]
        else:
            labels = torch.tensor([[0.0, 0], [0, 1]])
            truth = torch.cat([labels, BOXES], 1)
        result = head.loss_by_feat(*head(features), truth, METAS)
    total = {
        key: sum(value) if isinstance(value, list) else value
        for key, value in result.items()
    }
    sum(value.sum() for value in total.values()).backward()
    return total, [parameter.grad for parameter in head.parameters()]


def roi_losses(head):
    """Two proposals near the objects, and one on nothing."""
    boxes = torch.cat([BOXES + 1, torch.tensor([[60.0, 5, 80, 25]])])
    rois = torch.cat([torch.zeros(3, 1), boxes], 1)
    cls_score, bbox_pred = head(torch.randn(3, CHANNELS, 2, 2))
    weights = torch.tensor([[1.0], [1], [0]]).expand(3, 4)
    targets = torch.cat([BOXES, torch.zeros(1, 4)])
    labels = torch.tensor([0, 1, CLASSES])
    return head.loss(
        cls_score, bbox_pred, rois, labels, torch.ones(3), targets, weights
    )


def iou_loss(name):
    if name == 'YOLOXHead':
        return dict(type='mmdet.IoULoss', mode='square', eps=1e-16, reduction='sum')
    return dict(type='mmdet.GIoULoss')


@pytest.mark.parametrize('name', HEADS)
def test_constant_weight_gives_the_plain_head(name):
    plain, plain_gradients = losses(name, iou_loss(name))
    ours, gradients = losses(
        name, dict(type='SAL', loss=iou_loss(name), form='constant')
    )
    assert ours.keys() == plain.keys()
    for key, value in plain.items():
        torch.testing.assert_close(ours[key], value, rtol=0, atol=1e-6)
    for one, other in zip(gradients, plain_gradients, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)


def weights_by_size(name, monkeypatch, **sal):
    """Collect the weight that each size got; RetinaNet's negatives have size 0."""
    seen = {}
    size_weight = SAL.size_weight

    def spy(self, size, weight=None):
        result = size_weight(self, size, weight)
        for one, value in zip(size, result, strict=True):
            if one > 0:
                seen.setdefault(round(one.item()), set()).add(round(value.item(), 5))
        return result

    monkeypatch.setattr(SAL, 'size_weight', spy)
    losses(name, dict(type='SAL', loss=iou_loss(name), **sal))
    return seen


@pytest.mark.parametrize('name', HEADS)
def test_sizes_are_pixels(name, monkeypatch):
    seen = weights_by_size(name, monkeypatch, normalize=False, reference=16, floor=0.5)
    expected = {8: 0.5 + 0.5 * math.exp(-0.5), 64: 0.5 + 0.5 * math.exp(-4)}
    weights = {size: weight for size, (weight,) in seen.items()}
    assert weights == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize('name', HEADS.keys() - BY_LEVEL)
def test_normalized_weights_keep_their_ratio(name, monkeypatch):
    seen = weights_by_size(name, monkeypatch, normalize=True)
    (small,), (large,) = seen[8], seen[64]
    expected = (1 + math.exp(-0.5)) / (1 + math.exp(-4))
    assert small / large == pytest.approx(expected, rel=1e-4)
