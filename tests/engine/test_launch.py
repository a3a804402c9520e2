import pytest
from conftest import ROOT
from mmengine.config import Config
from mmengine.optim import OptimWrapper
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
        ('SALYOLOv6Head', 'SGD', True),
        ('YOLOv6Head', 'AdamW', False),
    ],
)
def test_a_rate_scaled_twice_is_said(capsys, head, optimizer, warned):
    cfg = config(head, optimizer, auto_scale_lr=dict(base_batch_size=16))
    launch.enable_auto_scale_lr(cfg)
    assert cfg.auto_scale_lr.enable
    said = capsys.readouterr().err
    assert ('counts it once more' in said) == warned
    if warned:
        assert ('follow the number of processes' in said) == ('v6' in head)


@pytest.mark.parametrize('cuda', [False, True])
@pytest.mark.parametrize(
    'told', [{}, dict(type='OptimWrapper'), dict(type=OptimWrapper)]
)
def test_mixed_precision(monkeypatch, told, cuda):
    monkeypatch.setattr(launch, 'is_cuda_available', lambda: cuda)
    cfg = config()
    cfg.optim_wrapper.update(told)
    launch.enable_amp(cfg)
    kind = 'AmpOptimWrapper' if cuda else 'AutocastOptimWrapper'
    assert cfg.optim_wrapper.type == kind
    launch.enable_amp(cfg)
    assert cfg.optim_wrapper.type == kind
    cfg.optim_wrapper.type = 'ApexOptimWrapper'
    with pytest.raises(InputError, match='the config has a ApexOptimWrapper'):
        launch.enable_amp(cfg)


@pytest.mark.parametrize('head', ['rpn_head', 'roi_head'])
def test_what_has_no_bfloat16_on_a_cpu(monkeypatch, head):
    cfg = config()
    cfg.model[head] = dict(type='A')
    monkeypatch.setattr(launch, 'is_cuda_available', lambda: False)
    with pytest.raises(InputError, match=rf'--amp .* {head} .*\. Leave --amp out\.$'):
        launch.enable_amp(cfg)
    assert 'type' not in cfg.optim_wrapper
    monkeypatch.setattr(launch, 'is_cuda_available', lambda: True)
    launch.enable_amp(cfg)


@pytest.mark.parametrize('workers', [0, 1])
def test_workers_are_kept_where_there_are_some(tmp_path, workers):
    options = {'train_dataloader.num_workers': workers, 'val_dataloader': None}
    path = ROOT / 'configs/yolov5/yolov5_n-v61_8xb16-100e_aitod.py'
    cfg = launch.load_config(str(path), str(tmp_path), options)
    kept = dict(persistent_workers=cfg.train_dataloader.persistent_workers)
    # torch refuses what does not go together.
    assert DataLoader([0], num_workers=workers, **kept).persistent_workers == workers
    assert cfg.test_dataloader.persistent_workers


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


@pytest.mark.parametrize(
    ('name', 'option'),
    [
        ('yolov5/yolov5_s-v61_8xb16-100e_aitod', 'custom_hooks.0.momentum'),
        ('yolox/yolox_s_8xb8-100e_aitod', 'custom_hooks.2.momentum'),
    ],
)
def test_the_option_that_sets_the_momentum_of_ema(tmp_path, name, option):
    assert f'`{option}' in (ROOT / 'docs/running.md').read_text()
    path = ROOT / f'configs/{name}.py'
    cfg = launch.load_config(path, tmp_path, {option: 0.5})
    (hook,) = [hook for hook in cfg.custom_hooks if hook.type == 'EMAHook']
    assert hook.momentum == 0.5
