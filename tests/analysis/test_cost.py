"""What SARL may cost, and the benchmark that tells."""

import re
import runpy
from pathlib import Path

import pytest
import torch
from conftest import ROOT
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.registry import init_default_scope
from torch import nn

from sarl.analysis import (
    cost_of_detector,
    costs_of_configs,
    count_parameters,
    flops,
    forward_ms,
)

BENCHMARK = Path(__file__).parents[2] / 'tools/benchmarks/cost.py'


def test_flops_of_a_convolution_by_hand():
    model = nn.Conv2d(3, 8, 3, padding=1, bias=False).eval()
    assert count_parameters(model) == 3 * 8 * 9
    assert flops(model, torch.rand(1, 3, 10, 20)) == 3 * 8 * 9 * 10 * 20


@pytest.mark.parametrize(
    'name',
    [
        'faster_rcnn/faster-rcnn_r50_fpn_8xb2-12e_aitod.py',
        'dino/dino-4scale_r50_8xb2-12e_aitod.py',
    ],
)
def test_detectors_that_need_to_know_the_size_of_an_image(name):
    cfg = Config.fromfile(ROOT / 'configs' / name)
    init_default_scope('mmdet')
    detector = MODELS.build(cfg.model).eval()
    small, large = (cost_of_detector(detector, 384, width) for width in (384, 448))
    assert small.parameters == count_parameters(detector)
    assert small.flops < large.flops


def test_every_model_is_timed():
    models = [nn.Conv2d(3, 8, 3).eval(), nn.Conv2d(3, 8, 5).eval()]
    times = forward_ms(models, torch.rand(1, 3, 20, 20), repeats=3)
    assert len(times) == 2
    assert min(times) > 0


@pytest.mark.parametrize('name', ['YOLOv5-s', 'YOLOX-s'])
def test_the_light_setting_is_light(name):
    """At most 5 % more parameters and 8 % more FLOPs at 640 px."""
    benchmark = runpy.run_path(str(BENCHMARK))
    settings = ('plain', 'sarl_from_stride_8', 'sarl_from_stride_4')
    cfgs = [benchmark['config'](name, benchmark[setting]) for setting in settings]
    plain, *light = costs_of_configs(cfgs, 640, timed=False)
    for cost in light:
        assert 1 < cost.parameters / plain.parameters <= 1.05
        assert 1 < cost.flops / plain.flops <= 1.08


def test_benchmark(tool):
    result = tool(
        *('benchmarks/cost.py', '--models', 'YOLOv5-n', 'YOLOX-tiny'),
        *('--size', 64, '--repeats', 1),
    )
    assert result.returncode == 0, result.stderr
    for row in (
        'YOLOv5-n + P2 head + SARL',
        'YOLOX-tiny + P2 head',
        'YOLOX-tiny + BFP',
    ):
        assert row in result.stdout
    # By hand, at a width of 32: to 128 and 256 channels from half as many, projections
    # of 4 * 64 * 32 + 128 * 32 + 32 * 128 + 128 and twice that; each with two BNs of
    # 2 * 32 and gates of 4 * 49 + 1, 64 * 8 + 8 and 8 * 32 + 32.
    added = 16_512 + 33_024 + 2 * (128 + 197 + 520 + 288)
    plain = int(re.search(r'YOLOv5-n +\| +([\d,]+)', result.stdout)[1].replace(',', ''))
    assert f'{plain + added:,} (+2.8 %)' in result.stdout
