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
from mmengine.evaluator import BaseMetric
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.registry import DATASETS, HOOKS, METRICS, MODELS
from torch.utils.data import Dataset

import sarl
from sarl.engine import launch, run_record
from sarl.engine.run_record import annotation_files, git_state

RUNS = count()


class Numbers(Dataset):
    """Six numbers, with the arguments of a data set of images."""

    def __init__(self, data_root, ann_file):
        assert Path(data_root, ann_file).is_file()

    def __len__(self):
        return 6

    def __getitem__(self, index):
        return dict(inputs=torch.tensor([float(index)]))


class Line(BaseModel):
    """A model that is quick to train."""

    def __init__(self):
        super().__init__()
        self.slope = torch.nn.Linear(1, 1)

    def forward(self, inputs, mode='tensor'):
        return dict(loss=self.slope(torch.stack(inputs)).square().mean())

    def val_step(self, data):
        return [None]


class NoMetric(BaseMetric):
    def process(self, data_batch, data_samples):
        self.results.append(0)

    def compute_metrics(self, results):
        return {}


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
def train(tmp_path, monkeypatch):
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
    parts = {DATASETS: Numbers, MODELS: Line, METRICS: NoMetric, HOOKS: Clock}
    for registry, part in parts.items():
        monkeypatch.setitem(registry.module_dict, part.__name__, part)
    for split in ('train', 'val'):
        (tmp_path / f'{split}.json').write_text(split)

    def run(resume=None, stop_at=None, seed=0, batch_size=3):
        def loader(split):
            dataset = dict(type='Numbers', data_root=f'{tmp_path}/')
            return dict(
                dataset=dataset | dict(ann_file=f'{split}.json'),
                batch_size=batch_size,
                sampler=dict(type='DefaultSampler', shuffle=False),
                collate_fn=dict(type='pseudo_collate'),
            )

        cfg = Config(
            dict(
                model=dict(type='Line'),
                train_dataloader=loader('train'),
                train_cfg=dict(by_epoch=True, max_epochs=3, val_interval=1),
                optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1)),
                val_dataloader=loader('val'),
                val_cfg=dict(),
                val_evaluator=dict(type='NoMetric'),
                custom_hooks=[
                    # A config and its base may both have it.
                    dict(type='mmdet.RunRecordHook'),
                    dict(type='mmdet.RunRecordHook'),
                    dict(type='Clock', stop_at=stop_at),
                ],
                randomness=dict(seed=seed),
                work_dir=str(tmp_path / 'run'),
                # MMEngine tells runs apart by the second, and these are quicker.
                experiment_name=f'run {next(RUNS)}',
            )
        )
        launch.train(cfg, resume)
        return read(tmp_path / 'run')

    return run


def read(work_dir):
    return json.loads((work_dir / 'run.json').read_text())


def test_a_record_tells_what_was_trained_on_what(train, tmp_path):
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
    assert ('thread' in record['device']) != torch.cuda.is_available()
    for split in ('train', 'val'):
        path = f'{tmp_path}/{split}.json'
        digest = hashlib.sha256(split.encode()).hexdigest()
        assert record['data'][split] == {path: digest}
    assert record['data']['test'] == {}


def test_time_survives_resume_and_lost_iterations_do_not_count(train, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        train(stop_at=3, seed=None)
    stopped = read(tmp_path / 'run')
    assert stopped['finished'] is False
    # Epoch 1 has a checkpoint; the third iteration is lost.
    assert stopped['training_seconds'] == 2
    assert stopped['earlier_sessions'] == []

    with pytest.raises(KeyboardInterrupt):
        train(resume='auto', stop_at=5, seed=None)
    assert read(tmp_path / 'run')['training_seconds'] == 4

    resumed = train(resume='auto', seed=None, batch_size=2)
    # The last epoch has three iterations, of a smaller batch.
    assert resumed['training_seconds'] == 7
    assert resumed['finished'] is True
    sessions = [*resumed['earlier_sessions'], resumed]
    assert [session['training_seconds'] for session in sessions] == [2, 4, 7]
    assert [session['batch_size'] for session in sessions] == [3, 3, 2]
    assert all('earlier_sessions' not in session for session in sessions[:-1])
    # Drawn at the start, and kept
    assert {session['seed'] for session in sessions} == {stopped['seed']}
    assert isinstance(stopped['seed'], int)

    # The same work directory, from the start again
    with pytest.raises(KeyboardInterrupt):
        train(stop_at=0)
    again = read(tmp_path / 'run')
    assert (again['training_seconds'], again['earlier_sessions']) == (0, [])


def test_the_other_processes_write_nothing(train, tmp_path, monkeypatch):
    monkeypatch.setattr(run_record, 'is_main_process', lambda: False)
    with pytest.raises(FileNotFoundError, match=run_record.FILE_NAME):
        train()
    assert (tmp_path / 'run/epoch_3.pth').is_file()


def git(folder, *arguments):
    identity = ['-c', 'user.name=a', '-c', 'user.email=a@b.c']
    subprocess.run(['git', *identity, *arguments], cwd=folder, check=True)


def test_commit_of_a_checkout_and_none_elsewhere(tmp_path, monkeypatch):
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
    # As git takes the checkout of another user.
    monkeypatch.setenv('GIT_TEST_ASSUME_DIFFERENT_OWNER', '1')
    assert git_state(package) == (commit, True)

    # As a package in a virtual environment that lies in somebody's repository
    installed = tmp_path / 'repository/.venv/package'
    installed.mkdir(parents=True)
    (installed / 'code.py').write_text('1')
    assert git_state(installed) == (None, None)


def test_the_code_is_what_it_was_at_the_start(monkeypatch):
    """It may be changed while a grid runs, which trains with what it has imported."""
    before = run_record.code_version()
    monkeypatch.setattr(run_record, 'versions', dict)
    assert run_record.code_version() == before


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
