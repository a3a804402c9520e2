from contextlib import nullcontext

import pytest
import torch
from conftest import ROOT
from mmengine.config import Config, ConfigDict
from mmengine.registry import MODELS, init_default_scope
from torch.utils.data import DataLoader

from sarl.engine import launch
from sarl.errors import InputError


def config(head='FCOSHead', optimizer='SGD', **kwargs):
    return Config(
        dict(
            model=dict(bbox_head=dict(type=head)),
            optim_wrapper=dict(optimizer=dict(type=optimizer)),
            **kwargs,
        )
    )


@pytest.mark.parametrize('told', [{}, dict(auto_scale_lr=dict(enable=False))])
def test_scaled_rate_needs_a_base(told):
    with pytest.raises(InputError, match=r'auto_scale_lr\.base_batch_size'):
        launch.enable_auto_scale_lr(config(**told))


@pytest.mark.parametrize(
    ('head', 'optimizer', 'warned'),
    [
        ('FCOSHead', 'SGD', False),
        ('YOLOXHead', 'SGD', False),
        ('YOLOv5Head', 'SGD', True),
        ('SALYOLOv7Head', 'SGD', True),
        ('YOLOv5Head', 'AdamW', False),
    ],
)
def test_a_rate_scaled_twice_is_said(capsys, head, optimizer, warned):
    cfg = config(head, optimizer, auto_scale_lr=dict(base_batch_size=16))
    launch.enable_auto_scale_lr(cfg)
    assert cfg.auto_scale_lr.enable
    assert ('counts it once more' in capsys.readouterr().err) == warned


CLASSES, CHANNELS = 2, 8
DENSE = dict(num_classes=CLASSES, in_channels=CHANNELS, feat_channels=CHANNELS)
YOLO = dict(num_classes=CLASSES, in_channels=[CHANNELS] * 3, num_base_priors=3)
YOLO = dict(head_module=dict(type='YOLOv5HeadModule', **YOLO))
GN = dict(norm_cfg=dict(type='GN', num_groups=2))
ROI = dict(num_classes=CLASSES, in_channels=CHANNELS, fc_out_channels=CHANNELS)
# A head, its settings, and how it is refused.
REFUSED = [
    ('YOLOv5Head', YOLO, "divides boxes by the stride.*type='SALYOLOv5Head'"),
    ('YOLOv5InsHead', YOLO, 'divides boxes by the stride.*another head'),
    ('mmdet.FCOSHead', DENSE | GN | dict(norm_on_bbox=True), 'divides.*norm_on_bbox=F'),
    ('mmdet.TOODHead', DENSE | GN | dict(num_dcn=0), 'divides.*another head'),
    ('mmdet.CenterNetUpdateHead', DENSE | GN, 'divides.*another head'),
    ('mmdet.RetinaHead', DENSE, 'encodes boxes.*reg_decoded_bbox=True'),
    ('mmdet.RPNHead', DENSE | dict(num_classes=1), 'encodes.*reg_decoded_bbox=True'),
    ('mmdet.Shared2FCBBoxHead', ROI, 'encodes.*reg_decoded_bbox=True'),
]
TAKEN = [
    ('mmdet.FCOSHead', DENSE | GN),
    ('mmdet.ATSSHead', DENSE | GN),
    ('mmdet.RetinaHead', DENSE | dict(reg_decoded_bbox=True)),
    ('mmdet.Shared2FCBBoxHead', ROI | dict(reg_decoded_bbox=True)),
]


def with_sal(kind, settings):
    """A detector with one head."""
    init_default_scope('mmdet' if kind.startswith('mmdet.') else 'mmyolo')
    loss = dict(type='SAL', loss=dict(type='mmdet.GIoULoss'))
    head = MODELS.build(ConfigDict(type=kind, loss_bbox=loss, **settings))
    return torch.nn.ModuleDict(dict(backbone=torch.nn.Identity(), head=head))


@pytest.mark.parametrize(('kind', 'settings', 'said'), REFUSED)
def test_sal_in_a_head_that_hides_sizes(kind, settings, said):
    detector = with_sal(kind, settings)
    with pytest.raises(InputError, match=f'^{kind.removeprefix("mmdet.")} {said}'):
        launch.check_sal(detector)
    # A child has the same loss.
    detector.head.__class__ = type('Mine', (type(detector.head),), {})
    with pytest.raises(InputError, match=f'^Mine {said}'):
        launch.check_sal(detector)
    detector.head.loss_bbox = torch.nn.Identity()
    launch.check_sal(detector)


@pytest.mark.parametrize(('kind', 'settings'), TAKEN)
def test_sal_in_a_head_that_shows_sizes(kind, settings):
    launch.check_sal(with_sal(kind, settings))


SIZED = [
    (dict(type='Mosaic', img_scale=(100, 64)), r'100 x 64 px.*img_scale=\(128, 64\)'),
    (dict(type='mmdet.Pad', size=(64, 80)), r'64 x 80 px.*img_scale=\(64, 96\)'),
    (dict(type='Mosaic', img_scale=(64, 96)), None),
    (dict(type='mmdet.Pad', size_divisor=32), None),
]


@pytest.mark.parametrize(('step', 'said'), SIZED)
def test_images_that_do_not_fit_the_strides(step, said):
    pipeline = [dict(type='LoadImageFromFile'), step]
    cfg = config(train_dataloader=dict(dataset=dict(pipeline=pipeline)))
    launch.check_input_size(cfg)
    cfg.model.type = 'YOLODetector'
    with pytest.raises(InputError, match=said) if said else nullcontext():
        launch.check_input_size(cfg)


@pytest.mark.parametrize('workers', [0, 1])
def test_workers_are_kept_where_there_are_some(tmp_path, workers):
    options = {'train_dataloader.num_workers': workers, 'val_dataloader': None}
    path = ROOT / 'configs/yolov5/yolov5_n-v61_8xb16-100e_aitod.py'
    cfg = launch.load_config(str(path), str(tmp_path), options)
    kept = dict(persistent_workers=cfg.train_dataloader.persistent_workers)
    # torch refuses what does not go together.
    assert DataLoader([0], num_workers=workers, **kept).persistent_workers == workers
    assert cfg.test_dataloader.persistent_workers


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
    cfg = config(
        default_hooks=dict(checkpoint=checkpoint),
        val_evaluator=[dict(type=evaluator), dict(type='CocoMetric')],
    )
    launch.set_rule_of_best(cfg)
    assert cfg.default_hooks.checkpoint.get('rule') == rule


def test_a_rule_of_ones_own_is_kept():
    checkpoint = dict(save_best='auto', rule='less')
    cfg = config(
        default_hooks=dict(checkpoint=checkpoint),
        val_evaluator=dict(type='AITODMetric'),
    )
    launch.set_rule_of_best(cfg)
    assert cfg.default_hooks.checkpoint.rule == 'less'


def test_an_error_is_said_once_and_not_by_all(monkeypatch, capsys):
    def fail():
        raise InputError('no such data')

    waited = []
    monkeypatch.setattr(launch.time, 'sleep', waited.append)
    for number, said in ((0, 'error: no such data'), (3, 'error: process 3: no such')):
        monkeypatch.setenv('RANK', str(number))
        with pytest.raises(SystemExit) as end:
            launch.run_tool(fail)
        assert end.value.code == 1
        assert said in capsys.readouterr().err
    # The first one's error is there before others say anything.
    assert len(waited) == 1
