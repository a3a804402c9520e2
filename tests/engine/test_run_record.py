"""The record of a training, beside its checkpoints."""

import hashlib
import json
import subprocess
from itertools import count
from pathlib import Path
from types import SimpleNamespace

import mmengine
import pytest
import torch
from conftest import ROOT
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.registry import HOOKS

import sarl
from sarl.engine import launch, run_record
from sarl.engine.run_record import annotation_files, git_state


@HOOKS.register_module()
class Clock(Hook):
    """An iteration takes a second, the evaluation of a batch 100; stop at one."""

    now = 0.0

    def __init__(self, stop_at=None):
        self.stop_at = stop_at

    def before_train_iter(self, runner, *args, **kwargs):
        Clock.now += 1
        if runner.iter == self.stop_at:
            raise KeyboardInterrupt

    def before_val_iter(self, runner, *args, **kwargs):
        Clock.now += 100


@pytest.fixture
def train(config, tmp_path, monkeypatch):
    """Train for three epochs of two iterations, each with an evaluation."""
    monkeypatch.setattr(
        run_record,
        'time',
        SimpleNamespace(
            perf_counter=lambda: Clock.now,
            gmtime=lambda: None,
            strftime=lambda *_: 'a time',
        ),
    )

    runs = count()

    def run(resume=None, stop_at=None, **settings):
        cfg = launch.load_config(config, tmp_path / 'run', settings)
        cfg.train_cfg.max_epochs = cfg.default_hooks.param_scheduler.max_epochs = 3
        cfg.custom_hooks = [
            dict(type='RunRecordHook'),
            dict(type='Clock', stop_at=stop_at),
        ]
        # MMEngine names runs by the second, and these are quicker.
        cfg.experiment_name = f'run {next(runs)}'
        launch.train(cfg, resume)
        return read(tmp_path / 'run')

    return run


def read(work_dir):
    return json.loads((work_dir / 'run.json').read_text())


def test_a_record_tells_what_was_trained_on_what(train, coco_folder):
    record = train()
    assert record['finished'] is True
    assert record['training_seconds'] == 6
    assert record['earlier_sessions'] == []
    assert record['seed'] == 0
    assert record['processes'] == 1
    assert record['batch_size'] == 3
    assert record['versions'].keys() == {*run_record.PACKAGES}
    assert record['versions']['sarl'] == sarl.__version__
    assert record['versions']['torch'] == torch.__version__
    assert record['versions']['mmengine'] == mmengine.__version__
    assert record['device'].endswith('threads') != torch.cuda.is_available()
    for split, name in dict(train='train', val='val', test='val').items():
        path = coco_folder / f'annotations/{name}.json'
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        assert record['data'][split] == {str(path): digest}


def test_a_seed_left_to_chance_is_recorded_and_kept_on_resume(train, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        train(stop_at=3, **{'randomness.seed': None})
    seed = read(tmp_path / 'run')['seed']
    assert isinstance(seed, int)
    assert train(resume='auto', **{'randomness.seed': None})['seed'] == seed


def test_time_survives_resume_and_lost_iterations_do_not_count(train, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        train(stop_at=3)
    stopped = read(tmp_path / 'run')
    assert stopped['finished'] is False
    # Epoch 1 has a checkpoint; the third iteration is lost.
    assert stopped['training_seconds'] == 2
    assert stopped['earlier_sessions'] == []

    with pytest.raises(KeyboardInterrupt):
        train(resume='auto', stop_at=5)
    assert read(tmp_path / 'run')['training_seconds'] == 4

    resumed = train(resume='auto', **{'train_dataloader.batch_size': 2})
    # One iteration more in the last epoch, of a smaller batch.
    assert resumed['training_seconds'] == 7
    assert resumed['finished'] is True
    sessions = [*resumed['earlier_sessions'], resumed]
    assert [session['training_seconds'] for session in sessions] == [2, 4, 7]
    assert [session['batch_size'] for session in sessions] == [3, 3, 2]
    assert all('earlier_sessions' not in session for session in sessions[:-1])

    # The same work directory, from the start again
    with pytest.raises(KeyboardInterrupt):
        train(stop_at=0)
    assert read(tmp_path / 'run')['training_seconds'] == 0
    assert read(tmp_path / 'run')['earlier_sessions'] == []


def git(folder, *arguments):
    identity = ['-c', 'user.name=a', '-c', 'user.email=a@b.c']
    subprocess.run(['git', *identity, *arguments], cwd=folder, check=True)


def test_commit_of_a_checkout_and_none_elsewhere(tmp_path):
    package = tmp_path / 'repository/package'
    package.mkdir(parents=True)
    assert git_state(package) == (None, None)

    git(tmp_path / 'repository', 'init', '-q')
    (package / 'code.py').write_text('1')
    git(package, 'add', '.')
    git(package, 'commit', '-qm', 'first')
    commit, dirty = git_state(package)
    assert len(commit) == 40
    assert dirty is False

    (package / 'code.py').write_text('2')
    assert git_state(package) == (commit, True)

    # As a package in a virtual environment that lies in somebody's repository
    installed = tmp_path / 'repository/.venv/package'
    installed.mkdir(parents=True)
    (installed / 'code.py').write_text('1')
    assert git_state(installed) == (None, None)


def test_the_commit_is_that_of_sarl_wherever_it_is_used(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if not (ROOT / '.git').exists():
        assert git_state(Path(sarl.__file__).parent) == (None, None)
        pytest.skip('not a git checkout')
    head = subprocess.run(
        ['git', 'rev-parse', 'HEAD'], cwd=ROOT, capture_output=True, text=True
    ).stdout.strip()
    assert git_state(Path(sarl.__file__).parent)[0] == head


def test_annotation_files_of_wrapped_data_sets():
    part = dict(type='CocoDataset', data_root='data/a/')
    cfg = Config(
        dict(
            dataset=dict(
                type='ConcatDataset',
                datasets=[
                    dict(type='RepeatDataset', dataset=dict(**part, ann_file='x.json')),
                    dict(**part, ann_file='/elsewhere/y.json'),
                    dict(type='CocoDataset', ann_file=''),
                ],
            )
        )
    )
    assert list(annotation_files(cfg.dataset)) == ['data/a/x.json', '/elsewhere/y.json']
