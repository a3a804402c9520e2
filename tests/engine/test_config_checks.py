from contextlib import nullcontext

import pytest
import torch
from mmengine.config import Config, ConfigDict
from mmengine.registry import MODELS, init_default_scope
from mmyolo.models import YOLODetector

from sarl.engine import config_checks
from sarl.errors import InputError

CLASSES, CHANNELS = 2, 8
DENSE = dict(num_classes=CLASSES, in_channels=CHANNELS, feat_channels=CHANNELS)
YOLO = dict(num_classes=CLASSES, in_channels=[CHANNELS] * 3, num_base_priors=3)
YOLO = dict(head_module=dict(type='YOLOv5HeadModule', **YOLO))
GN = dict(norm_cfg=dict(type='GN', num_groups=2))
ROI = dict(num_classes=CLASSES, in_channels=CHANNELS, fc_out_channels=CHANNELS)
DECODED = dict(reg_decoded_bbox=True)
POINTS = dict(point_feat_channels=CHANNELS, norm_cfg=GN['norm_cfg'])
DINO = dict(num_classes=CLASSES, num_pred_layer=2, sync_cls_avg_factor=True)
# A head, its settings, and how it is refused.
REFUSED = [
    ('YOLOv5Head', YOLO, "divides boxes by the stride.*type='SALYOLOv5Head'"),
    ('YOLOv5InsHead', YOLO, 'divides boxes by the stride.*another head'),
    ('mmdet.FCOSHead', DENSE | GN | dict(norm_on_bbox=True), 'divides.*norm_on_bbox=F'),
    ('mmdet.TOODHead', DENSE | GN | dict(num_dcn=0), 'divides.*another head'),
    ('mmdet.CenterNetUpdateHead', DENSE | GN, 'divides.*another head'),
    ('mmdet.RepPointsHead', DENSE | POINTS, 'divides.*another head'),
    ('mmdet.FoveaHead', DENSE, 'encodes boxes.*another head'),
    ('mmdet.FreeAnchorRetinaHead', DENSE | DECODED, 'encodes boxes.*another head'),
    ('mmdet.PISARetinaHead', DENSE | DECODED, 'encodes boxes.*another head'),
    ('mmdet.DETRHead', dict(num_classes=CLASSES), "divides .* image's size.*loss_iou"),
    ('mmdet.DINOHead', DINO, "divides .* image's size.*loss_iou"),
    ('mmdet.RetinaHead', DENSE, 'encodes boxes.*reg_decoded_bbox=True'),
    ('mmdet.RPNHead', DENSE | dict(num_classes=1), 'encodes.*reg_decoded_bbox=True'),
    ('mmdet.Shared2FCBBoxHead', ROI, 'encodes.*reg_decoded_bbox=True'),
]
TAKEN = [
    ('mmdet.FCOSHead', DENSE | GN),
    ('mmdet.ATSSHead', DENSE | GN),
    ('mmdet.RetinaHead', DENSE | DECODED),
    ('mmdet.Shared2FCBBoxHead', ROI | DECODED),
]


def with_sal(kind, settings, names=('loss_bbox',)):
    """A detector with one head."""
    init_default_scope('mmdet' if kind.startswith('mmdet.') else 'mmyolo')
    loss = dict(type='SAL', loss=dict(type='mmdet.GIoULoss'))
    if 'RepPoints' in kind:
        names = ('loss_bbox_init', 'loss_bbox_refine')
    losses = dict.fromkeys(names, loss)
    head = MODELS.build(ConfigDict(type=kind, **losses, **settings))
    return torch.nn.ModuleDict(dict(backbone=torch.nn.Identity(), head=head))


@pytest.mark.parametrize(('kind', 'settings', 'said'), REFUSED)
def test_sal_in_a_head_that_hides_sizes(kind, settings, said):
    detector = with_sal(kind, settings)
    with pytest.raises(InputError, match=f'^{kind.removeprefix("mmdet.")} {said}'):
        config_checks.check_sal(detector)
    # A child has the same loss.
    detector.head.__class__ = type('Mine', (type(detector.head),), {})
    with pytest.raises(InputError, match=f'^Mine {said}'):
        config_checks.check_sal(detector)
    for name in config_checks.BOX_LOSSES:
        setattr(detector.head, name, torch.nn.Identity())
    config_checks.check_sal(detector)


def test_transformers_show_sizes_to_another_loss():
    detector = with_sal('mmdet.DINOHead', DINO, ('loss_iou',))
    config_checks.check_sal(detector)


@pytest.mark.parametrize(('kind', 'settings'), TAKEN)
def test_sal_in_a_head_that_shows_sizes(kind, settings):
    config_checks.check_sal(with_sal(kind, settings))


SIZED = [
    (dict(type='Mosaic', img_scale=(100, 64)), r'100 x 64 px.*img_scale=\(128, 64\)'),
    (dict(type='mmdet.Pad', size=(64, 80)), r'64 x 80 px.*img_scale=\(64, 96\)'),
    (dict(type='Mosaic', img_scale=(64, 96)), None),
    (dict(type='mmdet.Pad', size_divisor=32), None),
]


@pytest.mark.parametrize(('step', 'said'), SIZED)
def test_images_that_do_not_fit_the_strides(step, said):
    pipeline = [dict(type='LoadImageFromFile'), step]
    cfg = Config(
        dict(
            model=dict(type='FCOS'),
            train_dataloader=dict(dataset=dict(pipeline=pipeline)),
        )
    )
    config_checks.check_input_size(cfg)
    for kind in ('YOLODetector', 'mmyolo.YOLODetector', YOLODetector):
        cfg.model.type = kind
        with pytest.raises(InputError, match=said) if said else nullcontext():
            config_checks.check_input_size(cfg)


@pytest.mark.parametrize(
    ('evaluator', 'best', 'rule'),
    [
        ('AITODMetric', 'auto', ['greater']),
        ('mmdet.VisDroneMetric', 'visdrone/coco_AP_vt', ['greater']),
        ('AITODMetric', ['mine/AP_50/car', 'mine/oLRP_FP'], ['greater', 'less']),
        # Their names tell MMEngine.
        ('CocoMetric', 'auto', None),
        ('CocoMetric', 'coco/bbox_mAP', None),
        ('AITODMetric', None, None),
    ],
)
def test_which_way_a_score_is_better(evaluator, best, rule):
    checkpoint = dict(save_best=best)
    cfg = Config(
        dict(
            default_hooks=dict(checkpoint=checkpoint),
            val_evaluator=[dict(type=evaluator), dict(type='CocoMetric')],
        )
    )
    config_checks.set_rule_of_best(cfg)
    assert cfg.default_hooks.checkpoint.get('rule') == rule


def test_a_rule_of_ones_own_is_kept():
    checkpoint = dict(save_best='auto', rule='less')
    cfg = Config(
        dict(
            default_hooks=dict(checkpoint=checkpoint),
            val_evaluator=dict(type='AITODMetric'),
        )
    )
    config_checks.set_rule_of_best(cfg)
    assert cfg.default_hooks.checkpoint.rule == 'less'
