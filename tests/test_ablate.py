"""`tools/ablate.py`, as a user runs it."""

import json
import os
import re
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from conftest import ROOT, write_coco
from matplotlib.figure import Figure
from mmengine.config import Config

from sarl.ablation import Grid, ablate, curves, markdown, read_grid, runs, summarise
from sarl.ablation.grid import use_held_out
from sarl.errors import InputError

PLAIN = ROOT / 'configs/yolov5/yolov5_n-v61_1xb16-25e_scenes.py'
GRID = """
_base_ = {base!r}

custom_imports = dict(imports=['sarl', 'sarl.rivals', 'witness'])
custom_hooks = [*_base_.custom_hooks, dict(type='Witness')]
data_root = {root!r}
data = dict(
    type='TinyCocoDataset', data_root=data_root, metainfo=dict(classes=('boat', 'car'))
)
workers = dict(num_workers=0, persistent_workers=False)
model = dict(bbox_head=dict(head_module=dict(num_classes=2)))
train_dataloader = dict(batch_size=2, dataset=data, **workers)
val_dataloader = dict(dataset=data, **workers)
test_dataloader = val_dataloader
val_evaluator = dict(ann_file=data_root + 'annotations/val.json')
test_evaluator = val_evaluator
crop_size = (64, 64)
train_cfg = dict(max_epochs=2)
default_hooks = dict(param_scheduler=dict(max_epochs=2), logger=dict(interval=1))
neck = dict(
    _delete_=True,
    type='SARL',
    in_channels=[256, 512, 1024],
    widen_factor=0.25,
    neck=_base_.model.neck,
)
nwd = dict(
    _delete_=True, type='NWDLoss', constant=1.6, bbox_format='xywh', return_iou=True
)
sal = dict(_delete_=True, type='SAL', loss=_base_.model.bbox_head.loss_bbox)
grid = dict(
    baseline='plain',
    seeds=[3, 4],
    held_out=dict(scene=['b']),
    arms={{
        'plain + SARL': dict(model=dict(neck=neck)),
        'NWD': dict(model=dict(bbox_head=dict(loss_bbox=nwd))),
        'broken': dict(model=dict(backbone=dict(type='NoBackbone'))),
        'SAL in a plain head': dict(model=dict(bbox_head=dict(loss_bbox=sal))),
    }},
)
"""


# Writes down what each step trains on.
WITNESS = """
import hashlib
from pathlib import Path
from mmengine.hooks import Hook
from mmengine.registry import HOOKS

@HOOKS.register_module()
class Witness(Hook):
    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        crops = data_batch['inputs'].numpy().tobytes()
        with Path(runner.work_dir, 'crops.txt').open('a') as file:
            print(hashlib.sha256(crops).hexdigest(), file=file)
"""


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """Data of eight images, two of them of scene b, and a grid of two arms."""
    folder = write_coco(tmp_path_factory.mktemp('ablation') / 'my data', train=8)
    path = folder / 'annotations/train.json'
    content = json.loads(path.read_text())
    for image in content['images']:
        image['scene'] = 'b' if image['id'] in (3, 6) else 'a'
    path.write_text(json.dumps(content))
    (folder / 'grid.py').write_text(GRID.format(base=str(PLAIN), root=f'{folder}/'))
    (folder / 'witness.py').write_text(WITNESS)
    paths = [str(folder), os.environ.get('PYTHONPATH', '')]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('PYTHONPATH', os.pathsep.join(filter(None, paths)))
        patch.syspath_prepend(folder)
        yield folder


def losses(work_dir, arm):
    (log,) = work_dir.glob(f'{arm}-*/seed3/*/vis_data/scalars.json')
    rows = [json.loads(line) for line in log.read_text().splitlines()]
    return [row['loss'] for row in rows if 'loss' in row]


def test_choose_then_score(folder, tool, tmp_path):
    arguments = [folder / 'grid.py', '--arms', 'plain + SARL', '--work-dir', 'runs']
    chosen = tool(
        'ablate.py',
        *arguments,
        *('--held-out', '--jobs', 2, '--evaluations', 2, '--out', 'chosen'),
    )
    assert chosen.returncode == 0, chosen.stderr
    assert chosen.stdout == (tmp_path / 'chosen/table.md').read_text() + '\n'
    assert (tmp_path / 'chosen/curves.png').stat().st_size > 0
    summary = json.loads((tmp_path / 'chosen/summary.json').read_text())
    assert summary['baseline'] == 'plain'
    assert list(summary['arms']) == ['plain', 'plain + SARL']
    assert summary['setup']['seeds'] == [3, 4]
    for arm in summary['arms'].values():
        assert len(arm['AP']) == len(arm['AP_vt']) == len(arm['seconds']) == 2
        assert arm['curve']['epoch'] == [1, 2]
        assert [curve[-1] for curve in arm['curve']['AP']] == arm['AP']
    assert (
        summary['arms']['plain']['parameters']
        < summary['arms']['plain + SARL']['parameters']
    )
    assert str(tmp_path) not in json.dumps(summary)
    record = json.loads(next(tmp_path.glob('runs/plain-*/seed3/run.json')).read_text())
    assert summary['setup']['device'] == record['device']
    assert summary['setup']['commits'] == [record['commit']]
    assert summary['setup']['dirty'] == bool(record['dirty'])

    # Split by scene, with nothing lost.
    parts = {
        name: json.loads(next(tmp_path.glob(f'runs/parts-*/{name}.json')).read_text())
        for name in ('kept', 'held_out')
    }
    assert [image['id'] for image in parts['held_out']['images']] == [3, 6]
    assert [image['id'] for image in parts['kept']['images']] == [1, 2, 4, 5, 7, 8]
    assert [len(part['annotations']) for part in parts.values()] == [30, 10]

    # The same crops to the end, other ones for another seed.
    crops = {
        (arm, seed): next(tmp_path.glob(f'runs/{arm}-*/{seed}/crops.txt')).read_text()
        for arm in ('plain', 'plain___SARL')
        for seed in ('seed3', 'seed4')
    }
    assert len(crops['plain', 'seed3'].splitlines()) == 2 * 3
    assert crops['plain', 'seed3'] == crops['plain___SARL', 'seed3']
    assert crops['plain', 'seed4'] == crops['plain___SARL', 'seed4']
    assert crops['plain', 'seed3'] != crops['plain', 'seed4']

    # The same weights: before any step, both lose the same.
    plain, sarl = (losses(tmp_path / 'runs', arm) for arm in ('plain', 'plain___SARL'))
    assert len(plain) == len(sarl) == 2 * 3
    assert plain[0] == sarl[0]
    assert plain[2] != sarl[2]

    # What is there is not run again; what was broken off gives what it gave.
    (done,) = tmp_path.glob('runs/plain-*/seed3/scores.json')
    (lost,) = tmp_path.glob('runs/plain-*/seed4/scores.json')
    before, time = lost.read_text(), done.stat().st_mtime_ns
    lost.unlink()
    again = tool(
        'ablate.py',
        *arguments,
        *('--held-out', '--jobs', 2, '--evaluations', 2, '--out', 'again'),
    )
    assert again.returncode == 0, again.stderr
    assert json.loads(lost.read_text())['scores'] == json.loads(before)['scores']
    assert done.stat().st_mtime_ns == time
    assert len(list(tmp_path.glob('runs/*/seed*/scores.json'))) == 4


def test_what_a_run_counts_for(folder, tmp_path):
    """For its code, config and data, wherever that lies; not for another split."""

    def digest(work_dir, path=folder / 'grid.py'):
        grid = read_grid(path)
        use_held_out(grid, tmp_path / work_dir)
        return runs._digest(grid.arms['plain'], '')

    def held_out(work_dir):
        return len(list(tmp_path.glob(f'{work_dir}/parts-*/held_out.json')))

    assert digest('one') == digest('one') == digest('two')
    assert held_out('one') == 1
    other = tmp_path / 'grid.py'
    other.write_text(
        (folder / 'grid.py').read_text().replace("scene=['b']", "scene=['a']")
    )
    assert digest('one', path=other) != digest('one')
    assert held_out('one') == 2


@pytest.mark.parametrize('changed', ['weights.pth', 'module_of_a_user.py'])
def test_other_weights_or_code_under_the_same_name(
    folder, tmp_path, monkeypatch, changed
):
    (tmp_path / 'weights.pth').write_bytes(b'one')
    (tmp_path / 'module_of_a_user.py').write_text('one = 1')
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, 'module_of_a_user', raising=False)
    path = tmp_path / 'grid.py'
    weights = dict(type='Pretrained', checkpoint=str(tmp_path / 'weights.pth'))
    path.write_text(
        (folder / 'grid.py').read_text()
        + f'model = dict(backbone=dict(init_cfg={weights}))\n'
        "custom_imports = dict(imports=['sarl', 'module_of_a_user'])\n"
    )

    def digest():
        return runs._digest(read_grid(path).arms['plain'], '')

    before = digest()
    assert digest() == before
    (tmp_path / changed).write_text('two = 2')
    assert digest() != before


def test_an_arm_with_a_module_of_its_own(folder, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, 'module_of_an_arm', raising=False)
    path, module = tmp_path / 'grid.py', tmp_path / 'module_of_an_arm.py'
    imports = "dict(custom_imports=dict(imports=['module_of_an_arm'])),"
    content = (folder / 'grid.py').read_text()
    path.write_text(content.replace('    arms={', f"    arms={{'own': {imports}"))
    digests = set()
    for text in 'one = 1', 'two = 2':
        module.write_text(text)
        digests.add(runs._digest(read_grid(path).arms['own'], ''))
        # The process that runs imports it before it compares.
        assert 'module_of_an_arm' in sys.modules
    assert len(digests) == 2


FINE_TUNE = """
_base_ = './grid.py'
optim_wrapper = dict(optimizer=dict(lr=0.0))
train_cfg = dict(max_epochs=1)
grid = dict(
    _delete_=True,
    baseline='on',
    start='grid.py',
    seeds=[3],
    held_out=dict(scene=['b']),
    arms={'SARL': dict(model=dict(neck=_base_.neck))},
)
"""


def test_arms_start_from_a_trained_baseline(folder, tool, tmp_path):
    path = folder / 'fine_tune.py'
    path.write_text(FINE_TUNE)
    arguments = [path, '--held-out', '--work-dir', 'runs', '--out', 'out']
    result = tool('ablate.py', *arguments)
    assert result.returncode == 0, result.stderr
    summary = json.loads((tmp_path / 'out/summary.json').read_text())
    assert list(summary['arms']) == ['on', 'SARL']
    assert (summary['setup']['epochs'], summary['setup']['seeds']) == (1, [3])
    assert summary['setup']['start']['epochs'] == 2
    assert 'from plain after 2 epochs of' in result.stdout

    # What a learning rate of 0 keeps: the trained weights, not those of the start.
    def kernels(pattern):
        (file,) = tmp_path.glob(f'runs/{pattern}')
        state = torch.load(file, weights_only=True)['state_dict']
        return {key: value for key, value in state.items() if value.ndim == 4}

    trained = kernels('plain-*/seed3/epoch_2.pth')
    initial = kernels('start-*-3.pth')
    assert not any(torch.equal(trained[key], initial[key]) for key in trained)
    tuned = kernels('on-*/seed3/epoch_1.pth')
    assert all(torch.equal(trained[key], tuned[key]) for key in trained)
    tuned = kernels('SARL-*/seed3/epoch_1.pth')
    relayed = {key.replace('neck.neck.', 'neck.'): key for key in tuned}
    assert all(torch.equal(trained[key], tuned[relayed[key]]) for key in trained)

    # It has not seen what is held out.
    (log,) = tmp_path.glob('runs/plain-*/seed3/console.log')
    assert 'kept.json' in log.read_text()

    (weights,) = tmp_path.glob('runs/plain-*/seed3/epoch_2.pth')
    weights.unlink()
    result = tool('ablate.py', *arguments)
    assert result.returncode == 1
    assert 'Traceback' not in result.stderr
    assert 'epoch_2.pth, which the arms start from, is gone' in result.stderr


def test_arms_paired_with_other_baselines_are_other_runs(folder, tmp_path, monkeypatch):
    """What an arm starts from is its baseline's, whose name it does not bear."""
    monkeypatch.setattr(runs, '_run_all', lambda waiting, jobs: {})
    wider = tmp_path / 'wider.py'
    start = "grid = dict(\n    baseline='plain',"
    wide = "model['backbone'] = dict(widen_factor=0.375)\n"
    content = (folder / 'grid.py').read_text()
    arm = "'NWD': dict(model=dict(bbox_head"
    assert start in content
    assert arm in content
    named = arm.replace('model=dict(', 'model=dict(backbone=dict(widen_factor=0.25), ')
    wider.write_text(content.replace(start, wide + start).replace(arm, named))
    plain, wide = (
        runs.run_grid(read_grid(path, [3]), tmp_path / 'runs')['NWD'][3]
        for path in (folder / 'grid.py', wider)
    )
    assert plain != wide


def test_weights_are_downloaded_on_request_only(folder, tool, tmp_path):
    url = 'https://nowhere.invalid/plain-0123abcd.pth'
    path = tmp_path / 'grid.py'
    init = f"model = dict(init_cfg=dict(type='Pretrained', checkpoint='{url}'),"
    path.write_text((folder / 'grid.py').read_text().replace('model = dict(', init))
    for option, reason in ((), 'is not on this machine'), (['--download'], 'cannot be'):
        result = tool('ablate.py', path, '--arms', 'NWD', *option)
        assert result.returncode == 1
        assert 'Traceback' not in result.stderr
        assert reason in result.stderr
    assert not list(tmp_path.rglob('*.pth'))


def test_a_broken_arm_does_not_stop_the_others(folder, tool, tmp_path):
    result = tool(
        'ablate.py',
        *(folder / 'grid.py', '--arms', 'broken', 'SAL in a plain head', 'NWD'),
        *('--seeds', 3, '--work-dir', 'runs'),
    )
    assert result.returncode == 1
    assert 'Traceback' not in result.stderr
    assert '2 of 4 runs failed, first broken, seed 3: KeyError' in result.stderr
    (log,) = tmp_path.glob('runs/broken-*/seed3/console.log')
    assert 'NoBackbone' in log.read_text()
    # As `tools/train.py` refuses it, before any step.
    (log,) = tmp_path.glob('runs/SAL_*/seed3/console.log')
    assert 'YOLOv5Head divides boxes by the stride' in log.read_text()
    assert not log.with_name('crops.txt').exists()
    # What a config imports is there in the processes that run.
    assert list(tmp_path.glob('runs/NWD-*/seed3/scores.json'))
    # Without --held-out the whole training set trains.
    (scores,) = tmp_path.glob('runs/plain-*/seed3/scores.json')
    log = (scores.parent / 'console.log').read_text()
    assert "ann_file='annotations/train.json'" in log
    assert "my data/annotations/val.json'" in log
    assert not list(tmp_path.glob('docs/ablation/*.json'))


def test_two_share_a_work_folder(folder, tool, tmp_path):
    arguments = [folder / 'grid.py', '--arms', 'NWD', '--seeds', 3, '--held-out']
    with ThreadPoolExecutor() as pool:
        both = [
            pool.submit(
                tool, 'ablate.py', *arguments, '--work-dir', 'runs', '--out', out
            )
            for out in ('one', 'two')
        ]
    for result in both:
        assert result.result().returncode == 0, result.result().stderr
    one, two = ((tmp_path / out / 'summary.json').read_text() for out in ('one', 'two'))
    assert one == two
    assert len(list(tmp_path.glob('runs/*/seed3/*/vis_data'))) == 2


def test_a_run_that_another_has_comes_last(folder, tool, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(runs, '_run_all', lambda waiting, jobs: {})
        grid = read_grid(folder / 'grid.py', [3])
        arms = {name: grid.arms[name] for name in ('plain', 'NWD')}
        folders = runs.run_grid(grid._replace(arms=arms), tmp_path / 'runs')
    plain, nwd = (folders[name][3] / 'scores.json' for name in arms)
    arguments = ('--arms', 'NWD', '--seeds', 3, '--work-dir', 'runs')
    with ThreadPoolExecutor() as pool:
        with runs._lock(plain.parent):
            result = pool.submit(tool, 'ablate.py', folder / 'grid.py', *arguments)
            while not nwd.is_file():
                assert not result.done(), result.result().stderr
                time.sleep(0.1)
            assert not plain.is_file()
        assert result.result().returncode == 0, result.result().stderr
    assert plain.is_file()


def test_a_run_of_changed_code_is_refused(folder, tmp_path):
    """Its folder is named for the code that was there when the grid began."""
    cfg = runs._prepare(read_grid(folder / 'grid.py').arms['plain'], 3, Path('w'), 1)
    with pytest.raises(InputError, match='were changed while the grid ran'):
        runs._train_and_score(cfg, tmp_path / 'plain-0123abcd/seed3', 'start')
    assert not list(tmp_path.rglob('crops.txt'))


def test_settings_of_randomness_are_kept_beside_the_seed(folder):
    cfg = read_grid(folder / 'grid.py').arms['plain']
    digests = set()
    for settings in dict(seed=9), dict(deterministic=True):
        cfg.randomness = settings
        prepared = runs._prepare(cfg, 3, Path('w'), 1)
        assert prepared.randomness == {**settings, 'seed': 3}
        digests.add(runs._digest(prepared, ''))
    assert len(digests) == 2


@pytest.mark.parametrize(
    ('old', 'new', 'message'),
    [
        ("baseline='plain',", '', 'needs grid=dict'),
        ('seeds=[3, 4]', 'seeds=[3, 3]', r'seeds are different numbers, not \[3, 3\]'),
        ("'broken': dict", "'plain': dict", "baseline 'plain' is an arm too"),
        ("type='NoBackbone'", '', "'broken' does not differ from another arm"),
        ("scene=['b']", "scene=['c']", 'leaves a part empty. Values .*: a, b'),
        ("scene=['b']", "place=['b']", "train_1.jpg has no field 'place'"),
        ("held_out=dict(scene=['b']),", '', 'needs one field'),
        ('train_cfg = ', "load_from = 'a.pth'\ntrain_cfg = ", "checkpoint='a.pth'"),
        (
            "model=dict(backbone=dict(type='NoBackbone'))",
            "load_from='a.pth'",
            "load_from, of 'broken', .*checkpoint='a.pth'",
        ),
        ('held_out=dict', "start='no.py', held_out=dict", r'no\.py does not exist'),
        ('held_out=dict', "start='grid.py', held_out=dict", 'starts from itself'),
        (
            'val_evaluator = dict(',
            "val_evaluator = dict(_delete_=True, type='VisDroneMetric', ",
            'AITODMetric.*not by VisDroneMetric',
        ),
    ],
)
def test_bad_grids(folder, tmp_path, old, new, message):
    path = tmp_path / 'grid.py'
    content = (folder / 'grid.py').read_text()
    assert old in content
    path.write_text(content.replace(old, new))
    with pytest.raises(InputError, match=message):
        ablate(path, tmp_path, tmp_path, held_out=True)
    assert not list(tmp_path.glob('*.json'))


def test_unknown_arm_and_missing_grid(folder, tool, tmp_path):
    result = tool('ablate.py', folder / 'grid.py', '--arms', 'SPD')
    assert result.returncode == 1
    assert 'Traceback' not in result.stderr
    assert "has no arms ['SPD'], only ['plain', 'plain + SARL'" in result.stderr
    with pytest.raises(InputError, match=r'config nowhere\.py does not exist'):
        ablate(Path('nowhere.py'), tmp_path, tmp_path)


def test_arms_can_be_told_apart_in_the_curves(tmp_path, monkeypatch):
    figures = []

    class Kept(Figure):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            figures.append(self)

    monkeypatch.setattr(curves, 'Figure', Kept)
    curve = dict(epoch=[1, 2], AP=[[1.0, 3.0], [2.0, 4.0]])
    summary = dict(arms={f'arm {index}': dict(curve=curve) for index in range(25)})
    curves.draw_curves(summary, tmp_path / 'curves.png')
    lines = figures[0].axes[0].lines
    assert len({(line.get_color(), line.get_linestyle()) for line in lines}) == 25
    assert list(lines[24].get_ydata()) == [1.5, 3.5]


@pytest.mark.parametrize(
    ('states', 'commits', 'dirty'),
    [
        ([('a', False), ('a', False)], ['a'], False),
        # A file was changed, or the documentation committed, between two runs.
        ([('a', False), ('a', True)], ['a'], True),
        ([('a', False), ('b', False)], ['a', 'b'], False),
        ([(None, None), (None, None)], [None], None),
    ],
)
def test_a_summary_names_the_commits_of_its_runs(tmp_path, states, commits, dirty):
    folders = {}
    for seed, (commit, changed) in enumerate(states):
        folders[seed] = tmp_path / str(seed)
        folders[seed].mkdir()
        run = dict(scores={'aitod/AP': 0.5}, seconds=1, flops_size=[64, 64])
        run.update(parameters=1, flops=1, device='cpu', commit=commit, dirty=changed)
        (folders[seed] / 'scores.json').write_text(json.dumps(run))
        (folders[seed] / 'curve.json').write_text('[{}]')
    data = dict(dataset=dict(data_root='data', ann_file='a.json'))
    cfg = Config(
        dict(
            train_cfg=dict(max_epochs=1),
            train_dataloader=dict(batch_size=1, **data),
            val_dataloader=data,
        )
    )
    grid = Grid('plain', dict(plain=cfg), [0, 1], {})
    setup = summarise(grid, dict(plain=folders))['setup']
    assert (setup['commits'], setup['dirty']) == (commits, dirty)


def test_table():
    keys = ('AP', 'AP_50', 'AP_75', 'AP_vt', 'AP_t', 'AP_s', 'AP_m')
    arms = {
        'plain': dict.fromkeys(keys, [1.0, 3.0]),
        'ours': dict.fromkeys(keys, [4.0, 7.0]),
    }
    arms['ours'] = {**arms['ours'], 'AP_m': [None, None]}
    for arm in arms.values():
        arm.update(parameters=1000, flops=2e9)
    setup = dict(seeds=[0, 1], scored='val', train='train', epochs=3, device='cpu')
    setup.update(flops_size=[64, 64], torch='2', start=None)
    rows = markdown(dict(arms=arms, baseline='plain', setup=setup)).splitlines()
    assert re.split(r' *\| *', rows[2])[1:3] == ['plain', '2.0 (1.4)']
    cells = re.split(r' *\| *', rows[3])
    assert cells[1:3] == ['ours', '5.5 (2.1)']
    assert cells[8:11] == ['-', '1,000', '2.00']
    assert '- plain' in rows[5]
    # Differences 3 and 4, t of one degree 12.706.
    cells = re.split(r' *\| *', rows[7])
    assert cells[1:3] == ['ours', '+3.5 ± 6.4']
    assert cells[8] == '-'
    assert 'mean (standard deviation) over seeds 0, 1. The diff' in rows[-1]
    for arm in arms.values():
        arm.update({key: arm[key][:1] for key in keys})
    setup['seeds'] = [1]
    rows = markdown(dict(arms=arms, baseline='plain', setup=setup)).splitlines()
    assert 'Percent: seed 1. Scored on val' in rows[-1]


def test_tables_of_the_docs_are_those_of_their_summaries():
    """And the rows that are quoted are in them, as long as they are whole."""
    arms, rows = set(), set()
    for path in (ROOT / 'docs/ablation').rglob('summary.json'):
        summary = json.loads(path.read_text())
        table = markdown(summary)
        assert (path.parent / 'table.md').read_text() == table
        arms |= set(summary['arms'])
        rows |= {tuple(re.split(r' *\| *', row)) for row in table.splitlines()}
    lengths = {len(row) for row in rows if row[1:2] and row[1] in arms}
    quoted = 0
    for page in ('experiments.md', 'variants.md'):
        for line in (ROOT / 'docs' / page).read_text().splitlines():
            row = tuple(re.split(r' *\| *', line))
            if row[1:2] and row[1] in arms and len(row) in lengths:
                assert row in rows
                quoted += 1
    assert quoted > 50
