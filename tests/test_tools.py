"""The command line, as a user types it."""

import importlib.util
import json
import re
import runpy
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from conftest import ROOT, write_coco

from sarl.engine import launch

SCENES = ROOT / 'configs/yolov5/yolov5_n-v61_1xb16-25e_scenes.py'


def assert_one_clear_error(result, *mentions):
    assert result.returncode == 1, result.stdout + result.stderr
    assert 'Traceback' not in result.stderr
    errors = [line for line in result.stderr.splitlines() if line.startswith('error:')]
    assert len(errors) == 1
    for mention in mentions:
        assert re.search(mention, result.stderr), result.stderr


def test_train_resume_and_test(config, tool, tmp_path):
    work_dir = tmp_path / 'run'
    trained = tool('train.py', config, '--work-dir', work_dir)
    assert trained.returncode == 0, trained.stderr
    assert 'aitod/AP' in trained.stdout
    options = ['train_cfg.max_epochs=2', 'default_hooks.param_scheduler.max_epochs=2']
    resumed = tool(
        'train.py',
        config,
        '--work-dir',
        work_dir,
        '--resume',
        '--cfg-options',
        *options,
    )
    assert resumed.returncode == 0, resumed.stderr
    assert 'resumed epoch: 1' in resumed.stdout
    checkpoint = work_dir / 'epoch_2.pth'

    prefix = tmp_path / 'found'
    tested = tool(
        'test.py', config, checkpoint, '--work-dir', work_dir, '--json-prefix', prefix
    )
    assert tested.returncode == 0, tested.stderr
    value = re.compile(r'aitod/AP: (\S+)')
    # The test of the saved file repeats the validation of the run.
    assert value.findall(tested.stdout)[-1] == value.findall(resumed.stdout)[-1]
    assert isinstance(json.loads(Path(f'{prefix}.bbox.json').read_text()), list)


def found_by_name(prefix, annotations):
    """Detections in COCO's format, with names in place of the file's category ids."""
    categories = json.loads(annotations.read_text())['categories']
    names = {category['id']: category['name'] for category in categories}
    return [
        row | dict(category_id=names[row['category_id']])
        for row in json.loads(Path(f'{prefix}.bbox.json').read_text())
    ]


def test_classes_of_the_training_hold_in_validation_and_test(
    config, edit, warm_tool, tmp_path
):
    """A file may number and order its categories as it likes."""
    with config.open('a') as file:
        file.write("data.pop('metainfo')\n")
    val, plain = (config.parent / f'annotations/{n}.json' for n in ('val', 'plain'))
    plain.write_text(val.read_text())
    on_plain = config.with_name('plain.py')
    on_plain.write_text(f"""{config.read_text()}
plain = dict(data, ann_file='annotations/plain.json')
test_dataloader = dict(val_dataloader, dataset=plain)
test_evaluator = dict(ann_file=data_root + 'annotations/plain.json')
""")

    def renumber(content):
        for row in content['annotations']:
            row['category_id'] = {1: 5, 2: 3}[row['category_id']]
        content['categories'] = [dict(id=3, name='car'), dict(id=5, name='boat')]

    edit(val, renumber)
    checkpoint = tmp_path / 'run/epoch_1.pth'
    runs = (
        (val, 'val_evaluator', ('train.py', config)),
        (val, 'test_evaluator', ('test.py', config, checkpoint)),
        (plain, 'test_evaluator', ('test.py', on_plain, checkpoint)),
    )
    found = []
    for annotations, evaluator, arguments in runs:
        result = warm_tool(
            *(*arguments, '--work-dir', tmp_path / 'run'),
            *('--cfg-options', f'{evaluator}.outfile_prefix=found'),
        )
        assert result.returncode == 0, result.stderr
        found.append(found_by_name(tmp_path / 'found', annotations))
    assert {row['category_id'] for row in found[0]} == {'boat', 'car'}
    assert found[0] == found[1] == found[2]


@pytest.mark.parametrize(
    ('option', 'mention'),
    [
        (
            'val_dataloader.dataset.metainfo.classes=(car,boat)',
            r"validation data .*\('car', 'boat'\), .*\('boat', 'car'\)",
        ),
        (
            'model.bbox_head.head_module.num_classes=1',
            r"2 classes, \('boat', 'car'\), .*bbox_head\.head_module\.num_classes=1",
        ),
    ],
)
def test_classes_that_differ_stop_a_training(
    config, warm_tool, tmp_path, option, mention
):
    result = warm_tool(
        *('train.py', config, '--work-dir', tmp_path / 'run'),
        *('--cfg-options', option),
    )
    assert_one_clear_error(result, mention)
    assert not list(tmp_path.rglob('*.pth'))


def test_classes_that_differ_stop_a_test(config, warm_tool, tmp_path):
    path = tmp_path / 'other.pth'
    meta = dict(dataset_meta=dict(classes=('car', 'boat')))
    torch.save(dict(state_dict={}, meta=meta), path)
    result = warm_tool('test.py', config, path, '--work-dir', tmp_path / 'run')
    assert_one_clear_error(result, r"test data .*\('boat', 'car'\), .*'car', 'boat'")


def test_adaptive_reference_is_saved_and_resumed(config, warm_tool, tmp_path):
    with config.open('a') as file:
        file.write("""
model['bbox_head']['loss_bbox'] = dict(reference='adaptive')
custom_hooks = [dict(type='SALHook')]
""")
    references = []
    for epochs, resume in ((1, ()), (2, ('--resume',))):
        options = [
            f'train_cfg.max_epochs={epochs}',
            f'default_hooks.param_scheduler.max_epochs={epochs}',
        ]
        result = warm_tool(
            *('train.py', config, '--work-dir', tmp_path / 'run', *resume),
            *('--cfg-options', *options),
        )
        assert result.returncode == 0, result.stderr
        state = torch.load(tmp_path / f'run/epoch_{epochs}.pth')['state_dict']
        references.append(state['bbox_head.loss_bbox.log_reference'].exp().item())
        # Two iterations an epoch.
        assert state['bbox_head.loss_bbox.num_updates'] == 2 * epochs
    first, second = references
    # The objects have sides of 4 to 20 px; a resumed run goes on, and slowly.
    assert 6 < first < 30
    assert first != second == pytest.approx(first, rel=0.1)


def test_visdrones_scores_in_a_training(config, warm_tool, tmp_path):
    with config.open('a') as file:
        file.write("""
val_evaluator = dict(
    _delete_=True, type='VisDroneMetric', ann_file=data_root + 'annotations/val.json'
)
test_evaluator = val_evaluator
""")
    result = warm_tool('train.py', config, '--work-dir', tmp_path / 'run')
    assert result.returncode == 0, result.stderr
    assert re.search(r'visdrone/AP: \S+ .*visdrone/coco_AP_vt: \S+', result.stdout)


def test_options_of_a_training(config, warm_tool, tmp_path):
    """Mixed precision, scaled rate, EMA, early stopping and TensorBoard in one."""
    tensorboard = importlib.util.find_spec('tensorboard') is not None
    options = [
        'optim_wrapper.type=OptimWrapper',
        'auto_scale_lr.base_batch_size=12',
        'default_hooks.param_scheduler.warmup_mim_iter=0',
        'default_hooks.param_scheduler.warmup_epochs=0',
        'train_cfg.max_epochs=9',
        # Of no use in two epochs: the config's own EMA is left out.
        'custom_hooks=[]',
        'default_hooks.ema.type=EMAHook',
        'default_hooks.ema.momentum=0.5',
        'default_hooks.stop.type=EarlyStoppingHook',
        'default_hooks.stop.monitor=aitod/AP',
        'default_hooks.stop.rule=greater',
        'default_hooks.stop.min_delta=1',
        'default_hooks.stop.patience=1',
    ]
    if tensorboard:
        options.append('visualizer.vis_backends.0.type=TensorboardVisBackend')
    result = warm_tool(
        *('train.py', config, '--work-dir', tmp_path / 'run', '--amp'),
        *('--auto-scale-lr', '--cfg-options', *options),
    )
    assert result.returncode == 0, result.stderr
    dumped = (tmp_path / 'run/config.py').read_text()
    kind = 'AmpOptimWrapper' if torch.cuda.is_available() else 'AutocastOptimWrapper'
    assert f"type='{kind}'" in dumped
    # No score is better by 100 AP than the first one's.
    assert 'did not improve' in result.stdout
    assert sorted(tmp_path.glob('run/epoch_*.pth'))[-1].name == 'epoch_2.pth'
    saved = torch.load(tmp_path / 'run/epoch_2.pth')
    # Three images an iteration, where the rate is said to be meant for twelve.
    (rate,) = {group['initial_lr'] for group in saved['optimizer']['param_groups']}
    assert rate == pytest.approx(0.002 * 3 / 12)
    averaged, last = saved['state_dict'], saved['ema_state_dict']
    name = 'backbone.stem.conv.weight'
    assert not torch.equal(averaged[name], last[f'module.{name}'])
    if tensorboard:
        from tensorboard.backend.event_processing.event_accumulator import (
            EventAccumulator,
        )

        (events,) = tmp_path.glob('run/*/vis_data/events*')
        written = EventAccumulator(str(events)).Reload()
        assert {'loss', 'aitod/AP'} <= set(written.Tags()['scalars'])
        assert [event.step for event in written.Scalars('aitod/AP')] == [1, 2]


@pytest.mark.skipif(
    importlib.util.find_spec('tensorboard') is not None, reason='TensorBoard is there'
)
def test_tensorboard_is_missing(config, warm_tool):
    option = 'visualizer.vis_backends.0.type=TensorboardVisBackend'
    result = warm_tool('train.py', config, '--cfg-options', option)
    assert_one_clear_error(result, 'pip install tensorboard')


def test_what_a_training_needs_is_asked_for(config, warm_tool, tmp_path):
    options = ['--work-dir', tmp_path / 'run', '--cfg-options']
    result = warm_tool(
        'train.py', config, '--auto-scale-lr', *options, 'auto_scale_lr=None'
    )
    assert_one_clear_error(result, r'--cfg-options auto_scale_lr\.base_batch_size=')
    result = warm_tool('train.py', config, '--launcher', 'pytorch')
    assert_one_clear_error(result, r'--launcher pytorch.*tools/dist_train\.sh')
    pretrained = ['model.backbone.init_cfg.type=Pretrained']
    pretrained.append('model.backbone.init_cfg.checkpoint=data/resnet50.pth')
    result = warm_tool('train.py', config, *options, *pretrained)
    assert_one_clear_error(
        result, r'data/resnet50\.pth, which model\.backbone\.init_cfg starts from'
    )
    pretrained[1] = 'model.backbone.init_cfg.checkpoint=http://127.0.0.1:9/a_net.pth'
    result = warm_tool('train.py', config, *options, *pretrained)
    assert_one_clear_error(result, r'a_net\.pth, which is not on this machine')
    result = warm_tool('train.py', config, '--download', *options, *pretrained)
    assert_one_clear_error(result, r'a_net\.pth.*cannot be fetched')
    # Nothing was built.
    assert not list(tmp_path.glob('run/*'))


def spoil_json(path):
    path.write_text(path.read_text()[:-40])


def change_annotation(**values):
    def change(path):
        content = json.loads(path.read_text())
        content['annotations'][0].update(values)
        path.write_text(json.dumps(content))

    return change


def remove_annotations(path):
    content = json.loads(path.read_text())
    path.write_text(json.dumps(content | dict(annotations=[])))


def rename_classes(path):
    path.write_text(path.read_text().replace('"car"', '"lorry"'))


def image_beside(path, number=2):
    return path.parents[1] / f'images/{path.stem}_{number}.jpg'


def truncate_image(path):
    image = image_beside(path)
    image.write_bytes(image.read_bytes()[: image.stat().st_size // 2])


BAD_DATA = {
    'missing file': (Path.unlink, [r'{split}\.json does not exist']),
    'malformed file': (spoil_json, [r'{split}\.json is not valid JSON', 'line']),
    'other classes': (rename_classes, [r'{split}\.json', r"\['boat', 'lorry'\]"]),
    'box outside': (
        change_annotation(bbox=[90, 90, 20, 20]),
        [r'{split}\.json', 'annotation 1', 'bad_boxes'],
    ),
    'box of no size': (
        change_annotation(bbox=[9, 9, 0, 4]),
        [r'{split}\.json', 'annotation 1', 'no area'],
    ),
    'no annotations': (remove_annotations, [r'{split}\.json has no annotations']),
    'missing image': (
        lambda path: image_beside(path).unlink(),
        [r'{split}_2\.jpg', '1 of [46] images', 'data_prefix'],
    ),
    'truncated image': (truncate_image, [r'{split}_2\.jpg: the image is truncated']),
}


@pytest.mark.parametrize('split', ['train', 'val'])
@pytest.mark.parametrize('case', BAD_DATA)
def test_bad_data_gives_one_clear_error(config, warm_tool, tmp_path, case, split):
    spoil, mentions = BAD_DATA[case]
    spoil(config.parent / f'annotations/{split}.json')
    result = warm_tool('train.py', config, '--work-dir', tmp_path / 'run')
    assert_one_clear_error(result, *(m.format(split=split) for m in mentions))
    assert not list(tmp_path.rglob('*.pth'))


def test_unwritable_work_directory(config, warm_tool, tmp_path):
    (tmp_path / 'file').touch()
    result = warm_tool('train.py', config, '--work-dir', tmp_path / 'file/run')
    assert_one_clear_error(
        result, 'cannot write in .*file/run.*--work-dir', '--work-dir'
    )


BROKEN_CONFIGS = {
    '_base_ = "./none.py"': r'cannot be read: .*none\.py.*relative to the config',
    '': 'has no model',
    'model = (': 'cannot be read: .*never closed',
    '_base_ = "mmyolo::none.py"': 'cannot be read',
    'custom_imports = dict(imports=["nowhere"])': r'needs a .* nowhere\. Install it',
}


def test_missing_config_and_checkpoints(config, warm_tool, tmp_path):
    assert_one_clear_error(
        warm_tool('train.py', 'none.py'), 'config none.py does not exist'
    )
    broken = tmp_path / 'broken.py'
    for text, mention in BROKEN_CONFIGS.items():
        broken.write_text(text)
        result = warm_tool('train.py', broken, '--work-dir', tmp_path / 'none')
        assert_one_clear_error(result, rf'config .*broken\.py {mention}')
    result = warm_tool('test.py', config, 'none.pth', '--work-dir', tmp_path)
    assert_one_clear_error(result, 'checkpoint none.pth does not exist')
    torch.save(dict(state_dict={}, meta=Path('a pickled object')), tmp_path / 'bad.pth')
    result = warm_tool('test.py', config, tmp_path / 'bad.pth', '--work-dir', tmp_path)
    assert_one_clear_error(result, r'bad\.pth is refused', 'Path')
    result = warm_tool(
        'train.py', config, '--resume', 'none.pth', '--work-dir', tmp_path
    )
    assert_one_clear_error(result, 'checkpoint none.pth does not exist')
    # With nothing to resume, a training starts from what its config says.
    load_from = ('--cfg-options', 'load_from=none.pth')
    result = warm_tool(
        'train.py', config, '--resume', '--work-dir', tmp_path / 'new', *load_from
    )
    assert_one_clear_error(result, 'checkpoint none.pth does not exist')


@pytest.mark.parametrize('others', [None, [], [dict(type='CocoMetric')]])
def test_one_of_several_evaluators_keeps_the_detections(
    config, tmp_path, monkeypatch, others
):
    seen = []
    monkeypatch.setattr(launch, 'test', lambda cfg, checkpoint: seen.append(cfg))
    if others is not None:
        with config.open('a') as file:
            file.write(f'test_evaluator = [val_evaluator, *{others}]')
    prefix = str(tmp_path / 'found')
    arguments = [str(config), 'none.pth', '--json-prefix', prefix]
    monkeypatch.setattr(sys, 'argv', ['test.py', *arguments])
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(ROOT / 'tools/test.py'))['main']()
    evaluators = seen[0].test_evaluator
    first, *rest = [evaluators] if others is None else evaluators
    assert first.outfile_prefix == prefix
    assert rest == (others or [])


def test_detections_that_cannot_be_kept(config, warm_tool, tmp_path):
    (tmp_path / 'file').touch()
    result = warm_tool(
        *('test.py', config, 'none.pth', '--work-dir', tmp_path),
        *('--json-prefix', tmp_path / 'file/found'),
    )
    assert_one_clear_error(result, 'cannot write in .*file.*--json-prefix')


def test_demo_on_own_data_prints_a_table_and_repeats_it(coco_folder, tool, tmp_path):
    arguments = ['--data', coco_folder, '--epochs', 1, '--device', 'cpu']
    first = tool('demo.py', *arguments)
    assert first.returncode == 0, first.stderr
    rows = [line for line in first.stdout.splitlines() if line.startswith('| YOLOv5-n')]
    assert len(rows) == 2
    assert 'SARL + SAL' in rows[1]
    assert 'ms/image' in first.stdout
    # A progress bar with time left, for both trainings and tests
    assert len(re.findall(r'(?:train|test): 100%', first.stderr)) == 4

    (results,) = (tmp_path / 'work_dirs/demo').iterdir()
    assert len(list((results / 'pictures').glob('*.png'))) == 4
    assert re.fullmatch('my data-[0-9a-f]{8}', results.name)
    saved = json.loads((results / 'results.json').read_text())
    assert saved['rows']['YOLOv5-n']['parameters'] < 1_800_000

    second = tool('demo.py', *arguments)
    assert second.stdout == first.stdout
    assert 'train' not in second.stderr


def test_demo_is_interrupted_and_goes_on(coco_folder, tool, tmp_path):
    arguments = ['--data', coco_folder, '--epochs', 5]
    with (tmp_path / 'stderr').open('w+') as stderr:
        first = subprocess.Popen(
            [sys.executable, ROOT / 'tools/demo.py', *map(str, arguments)],
            cwd=tmp_path,
            stdout=subprocess.DEVNULL,
            stderr=stderr,
        )
        while not list(tmp_path.rglob('epoch_2.pth')):
            assert first.poll() is None
            time.sleep(0.05)
        first.send_signal(signal.SIGINT)
        assert first.wait(timeout=60) == 130
        stderr.seek(0)
        errors = stderr.read()
    assert 'Traceback' not in errors
    assert 'interrupted' in errors.splitlines()
    assert not list(tmp_path.rglob('results.md'))

    again = tool('demo.py', *arguments)
    assert again.returncode == 0, again.stderr
    bars = re.findall(r'YOLOv5-n train: +(\d+)%', again.stderr)
    assert int(bars[0]) > 0
    assert bars[-1] == '100'
    assert list(tmp_path.rglob('results.md'))


@pytest.mark.parametrize(
    ('arguments', 'mention'),
    [
        (['--data', 'nowhere'], r'nowhere/annotations/train\.json does not exist'),
        (['--epochs', '0'], 'at least 1'),
        (['--work-dir', 'file/run'], 'cannot write in .*file/run'),
    ],
)
def test_demo_refuses_bad_arguments(warm_tool, tmp_path, arguments, mention):
    (tmp_path / 'file').touch()
    if '--data' not in arguments:
        arguments = [*arguments, '--data', write_coco(tmp_path / 'data')]
    assert_one_clear_error(warm_tool('demo.py', *arguments), mention)
