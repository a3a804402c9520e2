"""The independent reference is MMYOLO's own YOLOv5Head with the plain loss."""

import copy
import math

import pytest
import torch
from mmengine.structures import InstanceData
from mmyolo.registry import MODELS

from sarl.losses import SAL

IMAGE = (160, 224)  # height, width
STRIDES = [8, 16, 32]
CLASSES = 3
IOU_LOSS = dict(
    type='IoULoss',
    iou_mode='ciou',
    bbox_format='xywh',
    reduction='mean',
    loss_weight=0.05,
    return_iou=True,
)


def build(head_type, loss_bbox, classes=CLASSES, **kwargs):
    return MODELS.build(
        dict(
            type=head_type,
            head_module=dict(
                type='YOLOv5HeadModule',
                num_classes=classes,
                in_channels=[8, 8, 8],
                featmap_strides=STRIDES,
                num_base_priors=3,
            ),
            prior_generator=dict(
                type='mmdet.YOLOAnchorGenerator',
                base_sizes=[
                    [(5, 5), (8, 12), (13, 8)],
                    [(14, 14), (20, 28), (32, 18)],
                    [(36, 36), (48, 80), (96, 60)],
                ],
                strides=STRIDES,
            ),
            loss_bbox=loss_bbox,
            **kwargs,
        )
    ).double()


def sal(**kwargs):
    return dict(type='SAL', loss=IOU_LOSS, **kwargs)


def predictions(rng, batch, classes=CLASSES):
    """Cls scores, boxes and objectnesses of every level, as leaves."""
    outputs = []
    for channels in (3 * classes, 3 * 4, 3):
        outputs.append(
            [
                torch.randn(
                    batch,
                    channels,
                    IMAGE[0] // stride,
                    IMAGE[1] // stride,
                    generator=rng,
                    dtype=torch.float64,
                ).requires_grad_()
                for stride in STRIDES
            ]
        )
    return outputs


def boxes(rng, count):
    size = 2 ** (1 + 5 * torch.rand(count, 2, generator=rng, dtype=torch.float64))
    limit = torch.tensor([IMAGE[1], IMAGE[0]])
    corner = torch.rand(count, 2, generator=rng, dtype=torch.float64) * (limit - size)
    return torch.cat([corner, corner + size], dim=1)


def instances(rng, count, classes=CLASSES):
    labels = torch.randint(0, classes, (count,), generator=rng)
    return InstanceData(bboxes=boxes(rng, count), labels=labels)


def run(head, outputs, *ground_truth):
    """Losses, and gradients of their sum, for fresh copies of the inputs."""
    leaves = [[t.detach().clone().requires_grad_() for t in level] for level in outputs]
    losses = head.loss_by_feat(*leaves, *copy.deepcopy(ground_truth))
    sum(losses.values()).sum().backward()
    flat = [t for level in leaves for t in level]
    zero = torch.zeros(())
    grads = [zero.expand_as(t) if t.grad is None else t.grad for t in flat]
    return {name: loss.sum() for name, loss in losses.items()}, grads


def assert_equal(ours, theirs):
    losses, grads = ours
    expected_losses, expected_grads = theirs
    assert losses.keys() == expected_losses.keys()
    for name, loss in losses.items():
        torch.testing.assert_close(
            loss, expected_losses[name], rtol=1e-6, atol=1e-6, check_dtype=False
        )
    for grad, expected in zip(grads, expected_grads, strict=True):
        torch.testing.assert_close(grad, expected, rtol=0, atol=1e-6, check_dtype=False)


@pytest.mark.parametrize('seed', range(6))
@pytest.mark.parametrize('normalize', [False, True])
def test_constant_weight_is_yolov5_head_on_the_fast_path(seed, normalize):
    rng = torch.Generator().manual_seed(seed)
    outputs = predictions(rng, batch=3)
    per_image = [[4, 0, 9], [0, 0, 0], [1, 0, 0], [30, 30, 30], [0, 2, 1], [7, 7, 0]]
    counts = per_image[seed]
    target = torch.cat(
        [
            torch.cat(
                [
                    torch.full((count, 1), index, dtype=torch.float64),
                    torch.randint(0, CLASSES, (count, 1), generator=rng).double(),
                    boxes(rng, count),
                ],
                dim=1,
            )
            for index, count in enumerate(counts)
        ]
    )
    metas = [dict(batch_input_shape=IMAGE)] * 3
    assert_equal(
        run(
            build('SALYOLOv5Head', sal(form='constant', normalize=normalize)),
            outputs,
            target,
            metas,
        ),
        run(build('YOLOv5Head', IOU_LOSS), outputs, target, metas),
    )


@pytest.mark.parametrize('seed', range(6))
@pytest.mark.parametrize('classes', [1, CLASSES])
def test_constant_weight_is_yolov5_head_with_ignored_boxes(seed, classes):
    rng = torch.Generator().manual_seed(seed)
    outputs = predictions(rng, 3, classes)
    truth = [instances(rng, n, classes) for n in ([5, 0, 20], [0, 3, 3])[seed % 2]]
    # Regions of 60 to 100 px, so that some positives are ignored, in one image only:
    # where several have some, YOLOv5Head ignores a prior in one of them.
    ignored = [instances(rng, n, classes) for n in (0, 0, 2)]
    for regions in ignored:
        regions.bboxes[:, 2:] += 60
    metas = [dict(batch_input_shape=IMAGE)] * 3
    settings = dict(classes=classes, ignore_iof_thr=0.5)
    ours = run(
        build('SALYOLOv5Head', sal(form='constant'), **settings),
        outputs,
        truth,
        metas,
        ignored,
    )
    # It sums over the classes where regions are ignored.
    loss_cls = dict(
        type='mmdet.CrossEntropyLoss',
        use_sigmoid=True,
        reduction='mean',
        loss_weight=0.5 / classes,
    )
    theirs = run(
        build('YOLOv5Head', IOU_LOSS, loss_cls=loss_cls, **settings),
        outputs,
        truth,
        metas,
        ignored,
    )
    assert_equal(ours, theirs)
    without = run(
        build('YOLOv5Head', IOU_LOSS, classes=classes), outputs, truth, metas, ignored
    )
    assert without[0]['loss_obj'] != theirs[0]['loss_obj']


def test_regions_are_ignored_in_every_image():
    """In each image what YOLOv5Head ignores in that image alone."""
    rng = torch.Generator().manual_seed(0)
    outputs = predictions(rng, batch=2)
    truth = [instances(rng, 5), instances(rng, 5)]
    region = InstanceData(
        bboxes=torch.tensor([[0, 0, 112, 160.0]]).double(), labels=torch.zeros(1)
    )
    metas = [dict(batch_input_shape=IMAGE)]
    head = build('SALYOLOv5Head', sal(), ignore_iof_thr=0.5)
    _, grads = run(head, outputs, truth, metas * 2, [region, region])
    plain = build('YOLOv5Head', IOU_LOSS, ignore_iof_thr=0.5)
    for image in range(2):
        alone = [[level[image : image + 1] for level in kind] for kind in outputs]
        _, expected = run(plain, alone, [truth[image]], metas, [region])
        for grad, plain_grad in zip(grads[6:], expected[6:], strict=True):
            assert torch.equal(grad[image] != 0, plain_grad[0] != 0)
            assert (plain_grad == 0).any()


def test_a_batch_without_regions_has_the_losses_of_one_that_ignores_none():
    rng = torch.Generator().manual_seed(0)
    outputs = predictions(rng, batch=2)
    truth = [instances(rng, 5), instances(rng, 5)]
    nowhere = [instances(rng, 0)] * 2
    metas = [dict(batch_input_shape=IMAGE)] * 2
    assert_equal(
        run(
            build('SALYOLOv5Head', sal(form='constant'), ignore_iof_thr=0.5),
            outputs,
            truth,
            metas,
            nowhere,
        ),
        run(build('YOLOv5Head', IOU_LOSS), outputs, truth, metas),
    )


def test_all_positives_ignored_gives_no_box_loss():
    rng = torch.Generator().manual_seed(0)
    outputs = predictions(rng, batch=1)
    whole_image = InstanceData(
        bboxes=torch.tensor([[-50.0, -50, 300, 300]]).double(), labels=torch.zeros(1)
    )
    losses, grads = run(
        build('SALYOLOv5Head', sal(), ignore_iof_thr=0.5),
        outputs,
        [instances(rng, 5)],
        [dict(batch_input_shape=IMAGE)],
        [whole_image],
    )
    assert losses['loss_bbox'] == 0
    assert losses['loss_cls'] == 0
    assert all(grad.isfinite().all() for grad in grads)


def test_weight_depends_on_size_and_not_on_level():
    """Each loss box's gradient over that of the constant weight is its weight."""
    head = build('SALYOLOv5Head', sal(normalize=False))
    plain = build('SALYOLOv5Head', sal(form='constant', normalize=False))
    rng = torch.Generator().manual_seed(0)
    outputs = predictions(rng, batch=1)
    metas = [dict(batch_input_shape=IMAGE)]
    expected = {}
    # The anchors of two or three levels take objects of these sizes.
    for side in (8.0, 16.0, 64.0):
        width, height = 0.8 * side, 1.25 * side
        box = [50.3, 60.7, 50.3 + width, 60.7 + height]
        target = torch.tensor([[0, 1, *box]]).double()
        _, grads = run(head, outputs, target, metas)
        _, plain_grads = run(plain, outputs, target, metas)
        levels = 0
        # Objectness has the same gradients in both; boxes come second.
        for grad, plain_grad in zip(grads[3:6], plain_grads[3:6], strict=True):
            hit = plain_grad.abs() > 1e-12
            if hit.any():
                levels += 1
                ratio = grad[hit] / plain_grad[hit]
                # floor + (1 - floor) * exp(-side / reference), worked by hand
                weight = 0.5 + 0.5 * torch.exp(torch.tensor(-side / 16).double())
                torch.testing.assert_close(
                    ratio, weight.expand_as(ratio), rtol=1e-6, atol=0
                )
        assert levels >= 2
        expected[side] = ratio[0]
    assert expected[8.0] > expected[16.0] > expected[64.0]


def test_each_object_of_a_level_has_its_own_weight():
    sides = 8, 12, 20
    target = torch.tensor(
        [[i, 1, 50.3, 60.7, 50.3 + s, 60.7 + s] for i, s in enumerate(sides)]
    ).double()
    outputs = predictions(torch.Generator().manual_seed(0), batch=3)
    metas = [dict(batch_input_shape=IMAGE)] * 3
    _, grads = run(build('SALYOLOv5Head', sal(normalize=False)), outputs, target, metas)
    _, plain_grads = run(build('YOLOv5Head', IOU_LOSS), outputs, target, metas)
    for image, side in enumerate(sides):
        # Of the boxes of the finest level
        grad, plain_grad = grads[3][image], plain_grads[3][image]
        hit = plain_grad.abs() > 1e-12
        assert hit.any()
        weight = 0.5 + 0.5 * math.exp(-side / 16)
        ratio = grad[hit] / plain_grad[hit]
        torch.testing.assert_close(ratio, torch.full_like(ratio, weight))


def test_what_is_ignored_does_not_count_in_the_mean():
    """Objects of one size have weight 1 then, whatever else is ignored."""
    rng = torch.Generator().manual_seed(0)
    outputs = predictions(rng, batch=1)
    small = [[x, 20.0, x + 8, 28.0] for x in (20.0, 45.0, 70.0)]
    truth = InstanceData(
        bboxes=torch.tensor([*small, [120.0, 60, 184, 124]]).double(),
        labels=torch.zeros(4, dtype=torch.long),
    )
    region = InstanceData(
        bboxes=torch.tensor([[100.0, 0, 300, 300]]).double(), labels=torch.zeros(1)
    )
    ground_truth = [truth], [dict(batch_input_shape=IMAGE)], [region]
    ours, same = (
        run(build('SALYOLOv5Head', loss, ignore_iof_thr=0.5), outputs, *ground_truth)
        for loss in (sal(), sal(form='constant'))
    )
    assert same[0]['loss_bbox'] > 0
    assert_equal(ours, same)


def test_normalisation_spans_levels_and_images():
    """Were each level normalised alone, a large object's level would not lose."""
    metas = [dict(batch_input_shape=IMAGE)] * 2
    target = torch.tensor(
        [[0, 0, 20.0, 20, 24, 24], [1, 0, 40.0, 40, 140, 140]], dtype=torch.float64
    )
    outputs = predictions(torch.Generator().manual_seed(0), batch=2)
    _, grads = run(build('SALYOLOv5Head', sal()), outputs, target, metas)
    _, plain = run(build('YOLOv5Head', IOU_LOSS), outputs, target, metas)
    small, large = 3, 5
    small_ratio = grads[small].norm() / plain[small].norm()
    large_ratio = grads[large].norm() / plain[large].norm()
    assert small_ratio > 1 > large_ratio


def test_ground_truth_is_left_as_it_is():
    target = torch.tensor([[0, 1, 10.0, 20, 18, 30]], dtype=torch.float64)
    before = target.clone()
    build('SALYOLOv5Head', sal()).loss_by_feat(
        *predictions(torch.Generator().manual_seed(0), 1),
        target,
        [dict(batch_input_shape=IMAGE)],
    )
    assert torch.equal(target, before)


def test_ignored_regions_that_the_collate_function_drops_are_missed():
    head = build('SALYOLOv5Head', sal(), ignore_iof_thr=0.5)
    target = torch.tensor([[0, 1, 10.0, 20, 18, 30]], dtype=torch.float64)
    with pytest.raises(ValueError, match='yolov5_collate'):
        head.loss_by_feat(
            *predictions(torch.Generator().manual_seed(0), 1),
            target,
            [dict(batch_input_shape=IMAGE)],
        )


@pytest.mark.parametrize(
    ('loss', 'message'),
    [
        (IOU_LOSS, 'needs loss_bbox'),
        (sal() | dict(loss=IOU_LOSS | dict(return_iou=False)), 'return_iou=True'),
    ],
)
def test_other_losses_are_refused(loss, message):
    with pytest.raises(ValueError, match=message):
        build('SALYOLOv5Head', loss)


def test_registered_in_both_frameworks():
    from mmdet.registry import MODELS as MMDET_MODELS

    assert MODELS.get('SAL') is MMDET_MODELS.get('SAL') is SAL
    for name in ('SARL', 'SALYOLOv5Head'):
        assert MODELS.get(name) is MMDET_MODELS.get(name) is not None
