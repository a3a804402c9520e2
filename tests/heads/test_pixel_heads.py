"""Heads that hand their loss boxes in pixels take SAL as it is."""

import pytest
import torch
from mmengine.config import ConfigDict
from mmyolo.registry import MODELS

from sarl.losses import SAL

IOU_LOSS = dict(type='mmdet.IoULoss', mode='square', eps=1e-16, reduction='sum')


def yolox_head(loss_bbox):
    return MODELS.build(
        ConfigDict(
            type='YOLOXHead',
            head_module=dict(
                type='YOLOXHeadModule',
                num_classes=2,
                in_channels=8,
                feat_channels=8,
                featmap_strides=(8, 16, 32),
                act_cfg=dict(type='SiLU'),
            ),
            loss_bbox=loss_bbox,
            train_cfg=dict(
                assigner=dict(
                    type='mmdet.SimOTAAssigner',
                    center_radius=2.5,
                    iou_calculator=dict(type='mmdet.BboxOverlaps2D'),
                )
            ),
        )
    )


def losses(loss_bbox):
    torch.manual_seed(0)
    head = yolox_head(loss_bbox)
    features = tuple(torch.randn(2, 8, 128 // s, 128 // s) for s in (8, 16, 32))
    # image index, label, x1, y1, x2, y2; the second image is empty
    truth = torch.tensor([[0, 0, 10.0, 10, 18, 18], [0, 1, 40, 40, 104, 104]])
    metas = [dict(img_shape=(128, 128), batch_input_shape=(128, 128))] * 2
    return head.loss_by_feat(*head(features), truth, metas)


def test_yolox_with_constant_weight_is_yolox():
    ours = losses(dict(type='SAL', loss=IOU_LOSS, form='constant'))
    for name, value in losses(IOU_LOSS).items():
        torch.testing.assert_close(ours[name], value, rtol=0, atol=1e-6)


def test_yolox_gives_sal_sizes_in_pixels(monkeypatch):
    seen = []
    size_weight = SAL.size_weight

    def spy(self, size, *args):
        seen.append(size)
        return size_weight(self, size, *args)

    monkeypatch.setattr(SAL, 'size_weight', spy)
    losses(dict(type='SAL', loss=IOU_LOSS))
    (sizes,) = seen
    assert set(sizes.round().tolist()) == {8, 64}
    assert sizes.min().item() == pytest.approx(8)
