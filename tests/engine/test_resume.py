"""Trainings that go on from a checkpoint, in one process."""

import shutil

import pytest
import torch
from conftest import CLASSES, ROOT
from mmengine.config import Config

from sarl.engine import launch
from sarl.errors import InputError


@pytest.fixture
def yolox(coco_folder, tmp_path):
    """A config of five epochs, the last four of them on whole images."""
    path = tmp_path / 'yolox.py'
    path.write_text(
        f"""
_base_ = {str(ROOT / 'configs/yolox/yolox_tiny_8xb8-100e_aitod.py')!r}

data_root = {f'{coco_folder}/'!r}
def data(split, **settings):
    return dict(
        type='TinyCocoDataset',
        data_root=data_root,
        ann_file=f'annotations/{{split}}.json',
        data_prefix=dict(img='images/'),
        metainfo=dict(classes={CLASSES!r}),
        **settings,
    )

model = dict(
    data_preprocessor=dict(batch_augments=None, mean=[0.0] * 3, std=[1.0] * 3),
    backbone=dict(widen_factor=0.125),
    neck=dict(widen_factor=0.125),
    bbox_head=dict(head_module=dict(num_classes=2, widen_factor=0.125)),
)
load = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations', with_bbox=True)]
finish = [
    dict(type='Resize', scale=(96, 96)),
    dict(type='mmdet.PackDetInputs', meta_keys=('img_id', 'img_path')),
]
mosaic = dict(type='Mosaic', img_scale=(96, 96), pre_transform=load)
train_dataloader = dict(
    batch_size=3,
    num_workers=0,
    persistent_workers=False,
    dataset=data('train', pipeline=[*load, mosaic, *finish]),
)
val_dataloader = dict(num_workers=0, persistent_workers=False, dataset=data('val'))
test_dataloader = val_dataloader
del data
val_evaluator = dict(ann_file=data_root + 'annotations/val.json')
test_evaluator = val_evaluator
custom_hooks = _base_.custom_hooks
custom_hooks[0].update(num_last_epochs=3, new_train_pipeline=[*load, *finish])
default_hooks = dict(checkpoint=dict(interval=1, save_best='aitod/AP'))
train_cfg = dict(max_epochs=5, val_interval=1)
"""
    )

    return path


@pytest.fixture
def train(yolox, tmp_path):
    """Train in a folder, by a config."""

    def run(work_dir, resume=None, config=yolox, **options):
        # MMEngine gives visualizers of one name, in one process, the first's folder.
        options['visualizer.name'] = f'{tmp_path / work_dir} {resume}'
        cfg = launch.load_config(config, tmp_path / work_dir, options)
        return launch.train(cfg, resume)

    return run


def is_switched(runner):
    steps = runner.train_dataloader.dataset.pipeline.transforms
    mosaic = any(type(step).__name__ == 'Mosaic' for step in steps)
    assert mosaic != runner.model.bbox_head.use_bbox_aux
    return not mosaic


def test_yolox_ends_on_whole_images_wherever_it_is_resumed(train, tmp_path):
    short = {'train_cfg.max_epochs': 2, 'custom_hooks.0.num_last_epochs': -1}
    assert not is_switched(train('run', **short))
    # Its switch is due before the second epoch: here, after it is past.
    assert is_switched(train('run', resume='auto'))


def test_the_best_checkpoint_of_another_folder_is_kept(train, tmp_path):
    once = {'train_cfg.max_epochs': 1}
    train('old', **once)
    (best,) = (tmp_path / 'old').glob('best_*.pth')
    # The next one will be better.
    path = tmp_path / 'old/epoch_1.pth'
    checkpoint = torch.load(path, weights_only=True)
    checkpoint['message_hub']['runtime_info']['best_score'] = -1.0
    torch.save(checkpoint, path)
    shutil.copytree(tmp_path / 'old', tmp_path / 'copy')

    twice = {'train_cfg.max_epochs': 2}
    train('new', resume=str(path), **twice)
    assert best.is_file()
    assert len(list((tmp_path / 'new').glob('best_*.pth'))) == 1
    # In its own folder, a copied one too, there is one best.
    train('copy', resume='auto', **twice)
    assert best.is_file()
    (newer,) = (tmp_path / 'copy').glob('best_*.pth')
    assert newer.name != best.name


ONCE = {'train_cfg.max_epochs': 1}


def test_the_config_of_a_resumed_training_starts_afresh(train, yolox, tmp_path):
    train('run', **ONCE)
    train('run', resume='auto', **{'train_cfg.max_epochs': 2})
    run = tmp_path / 'run'
    # As its logs say, for compare.py
    first, resumed = map(Config.fromfile, sorted(run.glob('*/vis_data/config.py')))
    assert [first.resume, first.load_from] == [False, None]
    assert [resumed.resume, resumed.load_from] == [True, str(run / 'epoch_1.pth')]

    config, checkpoint = run / 'yolox.py', str(run / 'epoch_2.pth')
    launch.test(launch.load_config(config, run), checkpoint)
    assert Config.fromfile(config).load_from is None
    # A test does not resume, whatever the config says.
    cfg = launch.load_config(config, tmp_path / 'tested', dict(resume=True))
    launch.test(cfg, checkpoint)
    train('fresh', config=config, **ONCE)
    (trained,) = (tmp_path / 'fresh').glob('epoch_*.pth')
    assert torch.load(trained, weights_only=True)['meta']['epoch'] == 1


def test_a_config_that_keeps_the_best_can_be_tested(yolox, tmp_path):
    checkpoint = tmp_path / 'checkpoint.pth'
    torch.save(dict(state_dict={}), checkpoint)
    cfg = launch.load_config(yolox, tmp_path / 'tested')
    assert cfg.default_hooks.checkpoint.save_best == 'aitod/AP'
    assert 'aitod/AP' in launch.test(cfg, str(checkpoint))


def test_checkpoints_without_a_training(train, yolox, tmp_path):
    """As published, and weights alone: EMAHook, of this config, cannot read them."""
    published, plain = (
        str(tmp_path / f'{name}.pth') for name in ('published', 'plain')
    )
    torch.save(dict(meta={}, state_dict={}), published)
    torch.save(dict(weight=torch.ones(2)), plain)
    for path in (published, plain):
        with pytest.raises(InputError, match=f'lacks .*message_hub.*load_from={path}'):
            train('resumed', resume=path)

    def test(path, **options):
        return launch.test(launch.load_config(yolox, tmp_path / 'new', options), path)

    for attempt in (lambda: train('new', load_from=plain), lambda: test(plain)):
        with pytest.raises(InputError, match=r'plain\.pth holds weights alone'):
            attempt()
    test(published)
    # Where no EMAHook reads them
    test(plain, custom_hooks=[])
