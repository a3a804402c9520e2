"""The command line, as a user types it."""

import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from conftest import ROOT, write_coco

# It lets torch load MMEngine's checkpoints.
import sarl  # noqa: F401

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


def test_adaptive_reference_is_saved_and_resumed(config, tool, tmp_path):
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
        result = tool(
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


def test_visdrones_scores_in_a_training(config, tool, tmp_path):
    with config.open('a') as file:
        file.write("""
val_evaluator = dict(
    _delete_=True, type='VisDroneMetric', ann_file=data_root + 'annotations/val.json'
)
test_evaluator = val_evaluator
""")
    result = tool('train.py', config, '--work-dir', tmp_path / 'run')
    assert result.returncode == 0, result.stderr
    assert re.search(r'visdrone/AP: \S+ .*visdrone/coco_AP_vt: \S+', result.stdout)


def test_amp_trains_an_optim_wrapper_in_bfloat16_on_a_cpu(config, tool, tmp_path):
    options = ['optim_wrapper.type=OptimWrapper', 'train_cfg.val_begin=2']
    result = tool(
        'train.py', config, '--work-dir', tmp_path, '--amp', '--cfg-options', *options
    )
    assert result.returncode == 0, result.stderr
    dumped = (tmp_path / 'config.py').read_text()
    kind = 'AmpOptimWrapper' if torch.cuda.is_available() else 'AutocastOptimWrapper'
    assert f"type='{kind}'" in dumped


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
def test_bad_data_gives_one_clear_error(config, tool, tmp_path, case, split):
    spoil, mentions = BAD_DATA[case]
    spoil(config.parent / f'annotations/{split}.json')
    result = tool('train.py', config, '--work-dir', tmp_path / 'run')
    assert_one_clear_error(result, *(m.format(split=split) for m in mentions))
    assert not list(tmp_path.rglob('*.pth'))


def test_unwritable_work_directory(config, tool, tmp_path):
    (tmp_path / 'file').touch()
    result = tool('train.py', config, '--work-dir', tmp_path / 'file/run')
    assert_one_clear_error(
        result, 'cannot write in .*file/run.*--work-dir', '--work-dir'
    )


def test_missing_config_and_checkpoints(config, tool, tmp_path):
    assert_one_clear_error(tool('train.py', 'none.py'), 'config none.py does not exist')
    result = tool('test.py', config, 'none.pth', '--work-dir', tmp_path)
    assert_one_clear_error(result, 'checkpoint none.pth does not exist')
    torch.save(dict(state_dict={}, meta=Path('a pickled object')), tmp_path / 'bad.pth')
    result = tool('test.py', config, tmp_path / 'bad.pth', '--work-dir', tmp_path)
    assert_one_clear_error(result, r'bad\.pth is refused', 'Path')
    result = tool('train.py', config, '--resume', 'none.pth', '--work-dir', tmp_path)
    assert_one_clear_error(result, 'checkpoint none.pth does not exist')


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
def test_demo_refuses_bad_arguments(tool, tmp_path, arguments, mention):
    (tmp_path / 'file').touch()
    if '--data' not in arguments:
        arguments = [*arguments, '--data', write_coco(tmp_path / 'data')]
    assert_one_clear_error(tool('demo.py', *arguments), mention)
