import math

import pytest
import torch

from sarl.rivals import NWDLoss


def test_worked_by_hand():
    # Centres 3 and 4 px apart, half sides 2 and 1 px: W2 = sqrt(9 + 16 + 4 + 1).
    pred = torch.tensor([[0.0, 0, 10, 10]])
    target = torch.tensor([[3.0, 4, 14, 12]])
    loss, iou = NWDLoss(12.0, 'xywh', return_iou=True)(pred, target)
    assert loss.item() == pytest.approx(1 - math.exp(-math.sqrt(30) / 12), rel=1e-6)
    # 9 x 7 px of overlap: x from -4 to 5, y from -2 to 5.
    assert iou.item() == pytest.approx(63 / (100 + 168 - 63))


def test_formats_and_reductions():
    corners = torch.tensor([[0.0, 0, 8, 4], [10, 10, 20, 30], [5, 5, 9, 9]])
    target = corners + torch.tensor([1.0, 0, 3, -1])
    centres = [
        torch.cat([(b[:, :2] + b[:, 2:]) / 2, b[:, 2:] - b[:, :2]], 1)
        for b in (corners, target)
    ]
    each = NWDLoss(8.0, 'xywh', reduction='none')(*centres)
    assert each.shape == (3,)
    weight = torch.tensor([1.0, 0, 2])
    loss = NWDLoss(8.0, loss_weight=3.0)(
        corners, target, weight[:, None].expand(3, 4), avg_factor=5
    )
    assert loss.item() == pytest.approx(3 * (each * weight).sum().item() / 5)


def test_gradient_at_the_target_is_finite():
    boxes = torch.tensor([[0.0, 0, 8, 4]], requires_grad=True)
    NWDLoss(8.0)(boxes, boxes.detach()).backward()
    assert boxes.grad.isfinite().all()
