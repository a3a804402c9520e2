import math

import pytest
import torch
from mmyolo.registry import MODELS

from sarl.losses.sal import FORMS, SAL

pytestmark = pytest.mark.usefixtures('mmyolo_scope')
LOSSES = {
    'mmyolo ciou': dict(type='IoULoss', iou_mode='ciou', bbox_format='xyxy'),
    'mmyolo giou': dict(type='IoULoss', iou_mode='giou', bbox_format='xywh'),
    'mmyolo siou': dict(type='IoULoss', iou_mode='siou', bbox_format='xyxy'),
    'mmdet iou': dict(type='mmdet.IoULoss'),
    'mmdet giou': dict(type='mmdet.GIoULoss', loss_weight=2.0),
    'mmdet diou': dict(type='mmdet.DIoULoss', reduction='sum'),
    'mmdet ciou': dict(type='mmdet.CIoULoss'),
    'mmdet eiou': dict(type='mmdet.EIoULoss'),
    'mmdet siou': dict(type='mmdet.SIoULoss'),
    # One value for each coordinate, not for each box.
    'mmdet bounded iou': dict(type='mmdet.BoundedIoULoss'),
}


def xyxy(count, seed=0):
    rng = torch.Generator().manual_seed(seed)
    size = 2 ** (1 + 6 * torch.rand(count, 2, generator=rng, dtype=torch.float64))
    corner = 500 * torch.rand(count, 2, generator=rng, dtype=torch.float64)
    target = torch.cat([corner, corner + size], dim=1)
    shift = torch.randn(count, 4, generator=rng, dtype=torch.float64)
    return target + 0.1 * size.repeat(1, 2) * shift, target


def to_format(loss, boxes):
    if loss.get('bbox_format') != 'xywh':
        return boxes
    centre = (boxes[:, :2] + boxes[:, 2:]) / 2
    return torch.cat([centre, boxes[:, 2:] - boxes[:, :2]], dim=1)


def first(result):
    return result[0] if isinstance(result, tuple) else result


@pytest.mark.parametrize('name', LOSSES)
@pytest.mark.parametrize('reduction', [None, 'none', 'sum', 'mean'])
@pytest.mark.parametrize('count', [4, 50])
def test_constant_is_the_wrapped_loss(name, reduction, count):
    wrapped = MODELS.build(LOSSES[name])
    pred, target = (to_format(LOSSES[name], boxes) for boxes in xyxy(count))
    ours = SAL(LOSSES[name], form='constant')(
        pred, target, reduction_override=reduction
    )
    theirs = wrapped(pred, target, reduction_override=reduction)
    assert isinstance(ours, tuple) == isinstance(theirs, tuple)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12)


@pytest.mark.parametrize('name', LOSSES)
def test_gradient_is_weight_times_gradient(name):
    pred, target = (to_format(LOSSES[name], boxes) for boxes in xyxy(30))
    loss = SAL(LOSSES[name], normalize=False, reference=10.0, floor=0.25)
    wrapped = MODELS.build(LOSSES[name])
    ours = pred.clone().requires_grad_()
    first(loss(ours, target, reduction_override='sum')).backward()
    theirs = pred.clone().requires_grad_()
    first(wrapped(theirs, target, reduction_override='sum')).backward()
    if LOSSES[name].get('bbox_format') == 'xywh':
        width, height = target[:, 2:].T
    else:
        width, height = (target[:, 2:] - target[:, :2]).T
    weight = 0.25 + 0.75 * torch.exp(-torch.sqrt(width * height) / 10)
    torch.testing.assert_close(
        ours.grad, weight[:, None] * theirs.grad, rtol=1e-6, atol=1e-9
    )


def test_gradcheck():
    pred, target = xyxy(4)
    loss = SAL(dict(type='mmdet.GIoULoss'))
    assert torch.autograd.gradcheck(
        lambda p: loss(p, target), pred.clone().requires_grad_()
    )


@pytest.mark.parametrize('form', FORMS)
@pytest.mark.parametrize('floor', [0.0, 0.5, 1.0])
def test_weight_never_rises_with_size(form, floor):
    loss = SAL(LOSSES['mmdet iou'], form=form, floor=floor, normalize=False)
    weight = loss.size_weight(torch.linspace(0, 4000, 40_001))
    assert (weight.diff() <= 0).all()
    assert weight[0] == 1
    assert weight[-1] >= floor - 1e-6
    assert (form == 'constant' or floor == 1) == bool(weight[-1] == 1)


@pytest.mark.parametrize(
    ('form', 'size', 'expected'),
    [
        ('exponential', 32, math.exp(-2)),
        ('power', 16, 1 / 2),
        ('logarithmic', 16 * (math.e - 1), 1 / 2),
        ('step', 15.9, 1),
        ('step', 16, 2 / 3),
        ('step', 32, 1 / 3),
        ('constant', 99, 1),
    ],
)
def test_weight_worked_by_hand(form, size, expected):
    loss = SAL(LOSSES['mmdet iou'], form=form, floor=0, normalize=False)
    weight = loss.size_weight(torch.tensor([float(size)]))
    torch.testing.assert_close(
        weight, torch.tensor([float(expected)]), rtol=1e-6, atol=0
    )


def test_measured_by_area():
    loss = SAL(LOSSES['mmdet iou'], 'power', floor=0, normalize=False, measure='area')
    sizes = torch.tensor([8.0, 16, 32])
    # 1 / (1 + (s / 16)^2)
    assert loss.size_weight(sizes).tolist() == pytest.approx([0.8, 0.5, 0.2])


def test_normalised_weights_have_mean_one_over_what_counts():
    loss = SAL(LOSSES['mmdet iou'])
    size = torch.tensor([4.0, 8, 16, 64, 500])
    assert loss.size_weight(size).mean() == pytest.approx(1)
    counts = torch.tensor([1.0, 1, 0, 1, 0])
    weight = loss.size_weight(size, counts)
    assert (weight * counts).sum() / counts.sum() == pytest.approx(1)


def test_head_weights_multiply_in_and_may_be_per_coordinate():
    pred, target = xyxy(6)
    loss = SAL(dict(type='mmdet.IoULoss'))
    weight = torch.tensor([1.0, 0, 0.5, 1, 0, 2]).double()
    one = loss(pred, target, weight=weight, avg_factor=3.0)
    four = loss(pred, target, weight=weight[:, None].expand(-1, 4), avg_factor=3.0)
    unreduced = loss(pred, target, weight=weight, reduction_override='none')
    torch.testing.assert_close(one, four)
    torch.testing.assert_close(one, unreduced.sum() / 3)
    assert (unreduced[[1, 4]] == 0).all()


def test_rotated_boxes_are_refused():
    """(x, y, w, h, angle), of which the differences are no sides."""
    boxes = torch.rand(3, 5)
    with pytest.raises(ValueError, match='boxes of 4 numbers, not 5.*use_hbbox_loss'):
        SAL(LOSSES['mmdet iou'])(boxes, boxes)


def test_the_mean_is_over_what_the_head_counts():
    """The size of an ignored object is nothing to the others."""
    pred, target = xyxy(3)
    weight = torch.tensor([1.0, 0.5, 0]).double()
    other = target.clone()
    other[2, 2:] += 400
    loss = SAL(LOSSES['mmdet iou'])
    torch.testing.assert_close(
        loss(pred, target, weight=weight), loss(pred, other, weight=weight)
    )


@pytest.mark.parametrize('name', LOSSES)
@pytest.mark.parametrize('count', [0, 3])
def test_no_positives_give_zero_and_keep_the_contract(name, count):
    pred, target = (to_format(LOSSES[name], boxes) for boxes in xyxy(count))
    pred.requires_grad_()
    result = SAL(LOSSES[name])(pred, target, weight=torch.zeros(count).double())
    returns_iou = name.startswith('mmyolo')
    assert isinstance(result, tuple) == returns_iou
    if returns_iou:
        assert result[1].shape == (count,)
    assert first(result) == 0
    first(result).backward()
    assert (pred.grad == 0).all()


def test_extreme_boxes_and_half_precision_stay_finite():
    target = torch.tensor([[5.0, 5, 5, 5], [0, 0, 60_000, 60_000], [3, 3, 5, 5]])
    loss = SAL(dict(type='mmdet.GIoULoss'))
    assert loss(target + 0.5, target).isfinite()
    small = target[2:].half()
    assert loss(small + 0.5, small).isfinite()


def test_half_precision_weighs_alike():
    loss = SAL(dict(type='mmdet.GIoULoss'))
    # Their width is more than float16 holds, and their corners are not.
    target = torch.tensor([[-40_000.0, 0, 40_000, 80], [3, 3, 5, 5], [0, 0, 32, 32]])
    torch.testing.assert_close(
        loss.size_weight(loss._size(target.half())),
        loss.size_weight(loss._size(target.half().double())),
        check_dtype=False,
    )


@pytest.mark.parametrize('form', FORMS)
@pytest.mark.parametrize('measure', ['side', 'area'])
@pytest.mark.parametrize('size', [100.0, 1e3, 1e5])
def test_large_objects_alone_keep_the_mean(form, measure, size):
    """Even where the weight of each is 0 in float32."""
    target = torch.tensor([[0.0, 0, size, size], [5, 5, 5 + 1.1 * size, 5 + size]])
    pred = target + size / 10
    loss = SAL(dict(type='mmdet.GIoULoss'), form, floor=0.0, measure=measure)
    weight = loss.size_weight(loss._size(target))
    assert weight.mean() == pytest.approx(1, rel=1e-5)
    unweighted = MODELS.build(dict(type='mmdet.GIoULoss'))(pred, target)
    assert loss(pred, target) == pytest.approx(unweighted.item(), rel=0.1)


@pytest.mark.parametrize(
    ('kwargs', 'message'),
    [
        (dict(form='cubic'), 'cubic'),
        (dict(reference=0), 'reference'),
        (dict(reference=float('nan')), 'reference'),
        (dict(reference='typical'), 'reference'),
        (dict(reference=None), 'reference'),
        (dict(reference=True), 'reference'),
        (dict(reference=math.inf), 'reference'),
        (dict(floor=1.5), 'floor'),
        (dict(measure='width'), 'measure'),
        (dict(momentum=0), 'momentum'),
    ],
)
def test_bad_arguments(kwargs, message):
    with pytest.raises(ValueError, match=message):
        SAL(LOSSES['mmdet iou'], **kwargs)
