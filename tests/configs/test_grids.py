"""The shipped grids of ablations: every arm trains, beside what it shares."""

import functools
from types import SimpleNamespace

import pytest
import torch
from conftest import runner_of
from mmengine.optim import build_optim_wrapper
from mmyolo.registry import HOOKS
from steps import build, collate, sample
from zoo import ROOT

from sarl.ablation import Grid, read_grid
from sarl.datasets import AITODDataset
from sarl.engine import CUDAGraphHook

FOLDER = ROOT / 'ablation'


@functools.cache
def grid(name: str) -> Grid:
    return read_grid(FOLDER / f'{name}.py')


ARMS = [
    (name, arm)
    for name in ('yolov5_n_scenes', 'yolox_n_scenes')
    for arm in grid(name).arms
]
# The grids that inherit their arms: from which, and their epochs.
INHERITED = {
    'yolov5_n_scenes_100e': ('yolov5_n_scenes', 100),
    'yolov5_s_scenes_70e': ('yolov5_n_scenes', 70),
    'yolov5_n_hituav': ('yolov5_n_scenes', 40),
    'yolox_n_scenes_100e': ('yolox_n_scenes', 100),
    'yolov5_n_scenes_finetune': ('yolov5_n_scenes', 25),
    'yolox_n_scenes_finetune': ('yolox_n_scenes', 25),
}
# What an arm has of its own; all else starts from the baseline's weights.
OWN = {
    'SARL': ('neck.before.', 'neck.after.'),
    'deeper': ('backbone.',),
    'SPD-Conv': ('backbone.',),
    'BFP': ('neck.',),
    'adaptive': ('bbox_head.loss_bbox.',),
}


@functools.cache
def baseline(name: str) -> dict:
    return build(grid(name).arms[grid(name).baseline]).state_dict()


@pytest.mark.parametrize(('name', 'arm'), ARMS)
def test_every_arm_trains(name, arm, replays):
    cfg = grid(name).arms[arm]
    model = build(cfg).train()
    if 'P2' not in arm:  # other shapes in neck and head
        missing, unexpected = model.load_state_dict(baseline(name), strict=False)
        own = tuple(prefix for part in OWN if part in arm for prefix in OWN[part])
        assert all(key.startswith(own) for key in missing), missing
        assert all(key.startswith(own) for key in unexpected), unexpected
        assert bool(missing) == bool(own)
    samples = [sample(labels=(0, 1)) for _ in range(2)]
    inputs = model.data_preprocessor(collate(cfg, samples), training=True)
    hooks = [hook for hook in cfg.custom_hooks if hook['type'] == 'CUDAGraphHook']
    loader = cfg.train_dataloader
    CUDAGraphHook().before_train(
        runner_of(model, workers=loader.num_workers, pin_memory=loader.pin_memory)
    )
    loss, log = model.parse_losses(model(**inputs, mode='loss'))
    loss.backward()
    # Backbone, neck and head; a list of necks is one module.
    assert (len(hooks), len(replays)) == (1, 3)
    assert torch.isfinite(loss)
    assert all(value > 0 for key, value in log.items() if 'bbox' in key), log
    # A parameter without a gradient would stop several processes.
    unused = [key for key, value in model.named_parameters() if value.grad is None]
    assert not unused
    # Nor has the optimizer left one out: MMYOLO's YOLOv5 takes weights and biases.
    groups = build_optim_wrapper(model, cfg.optim_wrapper).param_groups
    trained = {id(value) for group in groups for value in group['params']}
    named = model.named_parameters()
    assert not [key for key, value in named if id(value) not in trained]


def test_no_rate_is_above_that_of_the_optimizer_in_warm_up():
    """A step of AdamW is as long as its rate, whatever the gradient."""
    cfg = grid('yolov5_n_scenes').arms['YOLOv5-n']
    wrapper = build_optim_wrapper(build(cfg), cfg.optim_wrapper)
    runner = SimpleNamespace(
        optim_wrapper=wrapper, train_dataloader=range(50), iter=0, epoch=0
    )
    hook = HOOKS.build(cfg.default_hooks.param_scheduler)
    hook.before_train(runner)
    for runner.iter in range(150):
        runner.epoch = runner.iter // 50
        hook.before_train_iter(runner, runner.iter % 50)
        rates = [group['lr'] for group in wrapper.param_groups]
        assert max(rates) <= cfg.optim_wrapper.optimizer.lr
    assert min(rates) > 0.9 * cfg.optim_wrapper.optimizer.lr


def scheduled_epochs(cfg) -> int:
    if schedulers := cfg.get('param_scheduler'):
        return schedulers[-1].end
    return cfg.default_hooks.param_scheduler.max_epochs


@pytest.mark.parametrize(
    ('name', 'base', 'epochs'), [(name, *of) for name, of in INHERITED.items()]
)
def test_inherited_arms(name, base, epochs):
    arms = [arm.replace('YOLOv5-s', 'YOLOv5-n') for arm in grid(name).arms]
    assert arms == list(grid(base).arms)
    for cfg in grid(name).arms.values():
        assert cfg.train_cfg.max_epochs == scheduled_epochs(cfg) == epochs
        metainfo = cfg.train_dataloader.dataset.get('metainfo', AITODDataset.METAINFO)
        assert cfg.model.bbox_head.head_module.num_classes == len(metainfo['classes'])


@pytest.mark.parametrize('algorithm', ['yolov5', 'yolox'])
def test_fine_tuning_starts_from_the_long_training(algorithm):
    start = grid(f'{algorithm}_n_scenes_finetune').start
    long = grid(f'{algorithm}_n_scenes_100e')
    (cfg,) = start.arms.values()
    assert cfg.to_dict() == long.arms[long.baseline].to_dict()


def differences(one: dict, other: dict) -> list[tuple]:
    found = []
    for key in one.keys() | other.keys():
        values = one.get(key), other.get(key)
        if all(isinstance(value, dict) for value in values):
            found += differences(*values)
        elif values[0] != values[1]:
            found.append((key, *values))
    return found


def test_twice_as_wide():
    narrow, wide = grid('yolov5_n_scenes').arms, grid('yolov5_s_scenes_70e').arms
    for one, other in zip(narrow.values(), wide.values(), strict=True):
        found = differences(one.model.to_dict(), other.model.to_dict())
        # In backbone, neck and head; SARL has the factor and so has the neck in it.
        assert len(found) == (4 if other.model.neck.type == 'SARL' else 3)
        assert set(found) == {('widen_factor', 0.25, 0.5)}


def test_all_are_tested():
    names = {name for name, _ in ARMS} | set(INHERITED)
    assert {path.stem for path in FOLDER.glob('*.py')} == names
