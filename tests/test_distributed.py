"""Runs of several processes, through the scripts that users start them with.

On CPUs, by gloo: the scripts and the code are those of a run on GPUs.
"""

import json
import math
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from conftest import CLASSES, ROOT, write_coco
from mmengine.evaluator import DumpResults, Evaluator
from mmengine.hooks import LoggerHook

# It lets torch load MMEngine's checkpoints, too.
from sarl.engine import distributed
from sarl.engine.distributed import PortableRunner
from sarl.errors import InputError

TOOLS = ROOT / 'tools'
# Far above what anything here takes, so that a hanging run is a failure.
PATIENCE = 300

CONFIG = f"""
_base_ = {str(ROOT / 'configs/yolov5/{base}.py')!r}
data_root = 'my data/'
data = dict(
    type='TinyCocoDataset', data_root=data_root, metainfo=dict(classes={CLASSES!r})
)
train_dataloader = dict(
    batch_size=1,
    num_workers=0,
    persistent_workers=False,
    sampler=dict(shuffle=False),
    dataset=dict(
        pipeline=[
            *_base_.pre_transform,
            dict(type='mmdet.PackDetInputs', meta_keys=('img_id', 'img_path')),
        ],
        **data,
    ),
)
val_dataloader = dict(
    batch_size=2, num_workers=0, persistent_workers=False, dataset=data
)
test_dataloader = val_dataloader
val_evaluator = dict(ann_file=data_root + 'annotations/val.json')
test_evaluator = val_evaluator
custom_imports = dict(imports=['sarl', 'witness'], allow_failed_imports=False)
train_cfg = dict(max_epochs=1, val_interval=1)
"""

# A process's own results do not depend on what it shares a batch with: GroupNorm, no
# augmentation, and as many positives in each image.
EVEN = """
norm = dict(_delete_=True, type='GN', num_groups=4)
model = dict(
    backbone=dict(norm_cfg=norm),
    neck=dict(norm_cfg=norm),
    bbox_head=dict(
        type='SALYOLOv5Head',
        head_module=dict(num_classes=2),
        loss_bbox=dict(
            _delete_=True, type='SAL', loss=_base_.model.bbox_head.loss_bbox
        ),
    ),
)
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(_delete_=True, type='SGD', lr=0.01, momentum=0.9),
)
default_hooks = dict(param_scheduler=dict(_delete_=True, type='ParamSchedulerHook'))
custom_hooks = []
train_cfg = dict(max_epochs=2, val_interval=2)
"""

# As users train: BatchNorm, which the detector makes SyncBatchNorm, and EMA.
USUAL = """
model = dict(
    bbox_head=dict(
        head_module=dict(num_classes=2), loss_bbox=dict(reference='adaptive')
    )
)
custom_hooks = [*_base_.custom_hooks, dict(type='SALHook'), dict(type='Witness')]
# Four epochs in all, of which the first runs train one each.
param_scheduler = [
    dict(
        type='CosineAnnealingLR',
        T_max=4,
        end=4,
        eta_min=0,
        by_epoch=True,
        convert_to_iter_based=True,
    )
]
optim_wrapper = dict(type='OptimWrapper')
model_wrapper_cfg = dict(type='MMDistributedDataParallel', broadcast_buffers=False)
default_hooks = dict(param_scheduler=dict(_delete_=True, type='ParamSchedulerHook'))
"""

WITNESS = """
import torch
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.registry import HOOKS

@HOOKS.register_module()
class Witness(Hook):
    'Keeps what each process has at the end.'
    def after_train(self, runner):
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        (ema,) = [h.ema_model for h in runner.hooks if type(h).__name__ == 'EMAHook']
        states = dict(model=model.state_dict(), ema=ema.module.state_dict())
        torch.save(states, f'{runner.work_dir}/process_{runner.rank}.pth')

@HOOKS.register_module()
class Mishap(Hook):
    def after_train_iter(self, runner, *args, **kwargs):
        if runner.rank == 1 and runner.iter == 1:
            raise RuntimeError('a mishap')
"""

# What Slurm does: as many tasks as asked for, and the end of all if one fails.
SRUN = f"""#!{sys.executable}
import json, os, subprocess, sys, time
options, command = [], sys.argv[1:]
while command[0].startswith('-'):
    options.append(command.pop(0))
json.dump([options, command], open('srun.json', 'w'))
asked = dict(option.lstrip('-').split('=', 1) for option in options)
tasks, nodes = int(asked['ntasks']), int(asked['nodes'])
common = dict(
    os.environ, SLURM_JOB_ID=str(os.getpid()), SLURM_STEP_ID='0',
    SLURM_STEP_NUM_NODES=str(nodes), SLURM_NTASKS=str(tasks),
    SLURM_STEP_NODELIST='node[1-2]', SLURM_NODELIST='node[1-2]',
)
runs = []
for task in range(tasks):
    node, local = divmod(task, tasks // nodes)
    place = dict(SLURM_PROCID=task, SLURM_NODEID=node, SLURM_LOCALID=local)
    place = {{name: str(number) for name, number in place.items()}}
    runs.append(subprocess.Popen(command, env=common | place))
while any(run.poll() is None for run in runs):
    failed = [run.returncode for run in runs if run.returncode]
    if failed:
        for run in runs:
            run.terminate()
    time.sleep(0.1)
sys.exit(max(abs(run.returncode) for run in runs))
"""
SCONTROL = """#!/bin/sh
[ "$*" = 'show hostnames node[1-2]' ] && printf '127.0.0.1\\nnode2\\n'
"""


def write_program(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """A folder with data, configs, and a cluster of one's own."""
    folder = tmp_path_factory.mktemp('a folder')
    data = write_coco(folder / 'my data', train=4, val=5, size=64)
    # The same boxes in every image, whatever the pixels show.
    path = data / 'annotations/train.json'
    content = json.loads(path.read_text())
    for index, annotation in enumerate(content['annotations']):
        first = content['annotations'][index % 5]
        annotation.update({k: first[k] for k in ('bbox', 'area', 'category_id')})
    path.write_text(json.dumps(content))
    plain, both = (f'yolov5_n-v61_{name}1xb16-25e_scenes' for name in ('', 'sarl-sal_'))
    (folder / 'even.py').write_text(CONFIG.replace('{base}', plain) + EVEN)
    (folder / 'my usual.py').write_text(CONFIG.replace('{base}', both) + USUAL)
    (folder / 'witness.py').write_text(WITNESS)
    write_program(folder / 'cluster/srun', SRUN)
    write_program(folder / 'cluster/scontrol', SCONTROL)
    (folder / 'tmp').mkdir()
    return folder


def environment(folder, **variables):
    path = [str(folder / 'cluster'), str(Path(sys.executable).parent)]
    return dict(
        os.environ,
        PATH=os.pathsep.join([*path, os.environ['PATH']]),
        PYTHONPATH=os.pathsep.join(
            filter(None, [str(folder), os.environ.get('PYTHONPATH')])
        ),
        TMPDIR=str(folder / 'tmp'),
        OMP_NUM_THREADS='1',
        **variables,
    )


@pytest.fixture(scope='module')
def run(folder):
    """Run a command to its end, and return what it printed."""

    def run_command(*command, **variables):
        done = subprocess.run(
            list(map(str, command)),
            cwd=folder,
            env=environment(folder, **variables),
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        return done.stdout + done.stderr

    return run_command


def dist_train(*arguments):
    return ['bash', TOOLS / 'dist_train.sh', *arguments]


def train(*arguments):
    return [sys.executable, TOOLS / 'train.py', *arguments]


def scores(work_dir, pattern='*/vis_data/scalars.json'):
    """The last scores that a run in a work directory has logged."""
    (*_, path) = sorted(work_dir.glob(pattern))
    lines = path.read_text().splitlines()
    rows = [row for row in map(json.loads, lines) if 'aitod/AP' in row]
    return {name: value for name, value in rows[-1].items() if 'aitod/' in name}


def load(path):
    return torch.load(path, weights_only=True)


def test_one_step_is_that_of_the_whole_batch(folder, run):
    batch, half = (f'train_dataloader.batch_size={size}' for size in (4, 2))
    run(*train('even.py', '--work-dir', 'one', '--cfg-options', batch))
    run(*dist_train('even.py', 2, '--work-dir', 'two', '--cfg-options', half))
    # YOLOv5Head multiplies its losses by the images of a batch on all processes.
    accumulate = [
        'optim_wrapper.accumulative_counts=2',
        'optim_wrapper.optimizer.lr=.02',
    ]
    run(*train('even.py', '--work-dir', 'acc', '--cfg-options', half, *accumulate))
    one, two, accumulated = (
        load(folder / name / 'epoch_2.pth') for name in ('one', 'two', 'acc')
    )
    for name, value in one['state_dict'].items():
        torch.testing.assert_close(two['state_dict'][name], value, rtol=1e-3, atol=1e-6)
        torch.testing.assert_close(
            accumulated['state_dict'][name], value, rtol=1e-3, atol=1e-6
        )
    momenta = one['optimizer']['state'].values()
    assert max(state['momentum_buffer'].abs().max() for state in momenta) > 1e-2
    for mine, whole in zip(two['optimizer']['state'].values(), momenta, strict=True):
        torch.testing.assert_close(
            mine['momentum_buffer'], whole['momentum_buffer'], rtol=1e-3, atol=1e-4
        )
    whole, shared = (scores(folder / name) for name in ('one', 'two'))
    assert shared == pytest.approx(whole, abs=1e-3)
    assert whole['aitod/AR_1500'] > 0
    assert [two['meta'][key] for key in ('epoch', 'iter')] == [2, 2]


@pytest.fixture(scope='module')
def usual_run(folder, run):
    """A training on two processes."""
    return run(*dist_train('my usual.py', 2, '--work-dir', 'my run'))


def test_processes_end_with_the_same_state(folder, usual_run):
    one, other = (load(folder / f'my run/process_{rank}.pth') for rank in range(2))
    for kind in ('model', 'ema'):
        assert one[kind].keys() == other[kind].keys()
        for name, value in one[kind].items():
            # Weights, statistics of BatchNorm, and SAL's reference
            assert torch.equal(other[kind][name], value), name
    # BatchNorm's statistics are not those of a model that has seen nothing.
    mean = one['model']['backbone.stem.bn.running_mean']
    assert mean.abs().max() > 0
    assert usual_run.count('SyncBatchNorm runs on GPUs only') == 1
    reference, updates = sal_state(load(folder / 'my run/epoch_1.pth'))
    assert reference == one['model']['bbox_head.loss_bbox.log_reference'].exp()
    # The objects have sides of 4 to 20 px.
    assert 4 < reference < 20
    assert updates == 2


def sal_state(checkpoint):
    """SAL's reference and its updates; EMAHook saves its own weights as the model's."""
    state, prefix = checkpoint['ema_state_dict'], 'module.bbox_head.loss_bbox.'
    return state[f'{prefix}log_reference'].exp().item(), state[f'{prefix}num_updates']


def learning_rate(checkpoint):
    (rate,) = {group['lr'] for group in checkpoint['optimizer']['param_groups']}
    return rate


def test_resumed_on_another_number_of_processes(folder, run, usual_run):
    first = load(folder / 'my run/epoch_1.pth')
    options = ['--work-dir', 'resumed', '--resume']
    one = ['my run/epoch_1.pth', '--cfg-options', 'train_cfg.max_epochs=2']
    alone = run(*train('my usual.py', *options, *one))
    assert 'resumed epoch: 1' in alone
    assert 'An epoch has 4 iterations here and had 2 in the checkpoint' in alone
    second = load(folder / 'resumed/epoch_2.pth')
    # The latest in the work directory
    latest = ['--cfg-options', 'train_cfg.max_epochs=3']
    again = run(*dist_train('my usual.py', 2, *options, *latest))
    assert 'resumed epoch: 2' in again
    third = load(folder / 'resumed/epoch_3.pth')

    # Two images a process and epoch, or all four; iterations are counted anew.
    for epoch, state, iterations, steps in (
        (1, first, 2, 2),
        (2, second, 8, 2 + 4),
        (3, third, 6, 2 + 4 + 2),
    ):
        assert state['meta']['epoch'] == epoch
        assert state['meta']['iter'] == iterations
        assert state['optimizer']['state'][0]['step'] == steps
        assert sal_state(state)[1] == steps
        # The schedule is where it would be without the changes.
        expected = 0.002 * (1 + math.cos(math.pi * epoch / 4)) / 2
        assert learning_rate(state) == pytest.approx(expected)
    references = [sal_state(state)[0] for state in (first, second, third)]
    # It goes on slowly from the first run's, not from its start.
    assert references == pytest.approx([references[0]] * 3, rel=0.1)


def test_scored_by_any_number_of_processes(folder, run, usual_run):
    tested = ['my usual.py', 'my run/epoch_1.pth']
    into = '--work-dir'
    run(sys.executable, TOOLS / 'test.py', *tested, into, 'alone')
    run('bash', TOOLS / 'dist_test.sh', *tested, 2, into, 'shared')
    slurm = ['bash', TOOLS / 'slurm_test.sh', 'short', 'a job']
    run(*slurm, *tested, into, 'nodes', GPUS='2', GPUS_PER_NODE='1')
    run(
        *('srun', '--nodes=1', '--ntasks=2', sys.executable, TOOLS / 'test.py'),
        *(*tested, '--launcher', 'slurm', into, 'tasks'),
        # It is on MMEngine to choose a port, which is always the same.
        MASTER_PORT=str(free_port()),
    )
    expected = scores(folder / 'my run')
    assert expected['aitod/oLRP'] < 1
    for name in ('alone', 'shared', 'nodes', 'tasks'):
        found = scores(folder / name, '*/2*.json')
        assert found == pytest.approx(expected, abs=1e-9), name
    # What they have handed each other, neither here nor there
    assert not list(folder.glob('.dist_test'))
    assert not list(folder.glob('*/.gathered*'))


def test_runs_in_one_folder_gather_apart(tmp_path):
    """Such as a test while a training validates."""
    runner = object.__new__(PortableRunner)
    runner._work_dir = str(tmp_path)
    folders = set()
    for _ in range(2):
        metrics = [DumpResults(f'{name}.pkl') for name in 'ab']
        runner.build_evaluator(Evaluator(metrics))
        folders |= {metric.collect_dir for metric in metrics}
    assert len(folders) == 4
    assert {Path(folder).parent for folder in folders} == {tmp_path}
    # They are made when they are needed, and a single process needs none.
    assert not list(tmp_path.iterdir())


def test_one_process_writes_the_scores_of_a_test(monkeypatch):
    runner = object.__new__(PortableRunner)
    runner._hooks, runner.lacks_sync_bn = [], False
    runner.register_hooks(dict(logger=dict(type='LoggerHook')))
    (hook,) = (hook for hook in runner.hooks if isinstance(hook, LoggerHook))
    with pytest.raises(AttributeError):  # there is nothing to write yet
        hook.after_test_epoch(None)
    monkeypatch.setattr('mmengine.dist.utils.get_rank', lambda group=None: 1)
    hook.after_test_epoch(None)


@pytest.mark.parametrize(
    ('launcher', 'mend'),
    [
        ('pytorch', 'Start at most 1 here'),
        ('mpi', 'Start at most 1 here'),
        # As by --gpus-per-task=1
        ('slurm', '--gres=gpu:N for N tasks a node, without --gpus-per-task'),
    ],
)
def test_a_process_without_a_gpu_of_its_own(monkeypatch, launcher, mend):
    monkeypatch.setattr(distributed, 'is_cuda_available', lambda: True)
    monkeypatch.setattr(torch.cuda, 'device_count', lambda: 1)
    for name in distributed.VARIABLES[launcher]:
        monkeypatch.setenv(name, '1')
    runner = object.__new__(PortableRunner)
    runner._launcher, runner._distributed = launcher, True
    with pytest.raises(InputError, match=rf'too few for process 2\. .*{mend}'):
        runner.setup_env({})


# The end of one process


def free_port():
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        return free.getsockname()[1]


def children(pid):
    """The processes that a process has started, and theirs."""
    parents = {}
    for path in Path('/proc').glob('[0-9]*/stat'):
        try:
            # pid (name) state parent ...
            state, parent = path.read_text().rpartition(')')[2].split()[:2]
        except OSError:
            continue
        if state != 'Z':
            parents[int(path.parent.name)] = int(parent)
    found = [pid]
    for one in found:
        found += [child for child, parent in parents.items() if parent == one]
    return found[1:]


def is_running(pid):
    try:
        state = Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()[0]
    except OSError:
        return False
    return state != 'Z'


def wait_for(condition, what):
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, f'waited in vain for {what}'
        time.sleep(0.1)


@pytest.fixture
def start(folder):
    """Start a command in the background."""
    runs = []

    def start_command(log, *command, **variables):
        with (folder / log).open('w') as output:
            runs.append(
                subprocess.Popen(
                    list(map(str, command)),
                    cwd=folder,
                    env=environment(folder, **variables),
                    stdout=output,
                    stderr=output,
                )
            )
        return runs[-1]

    yield start_command
    for process in runs:
        for pid in [process.pid, *children(process.pid)]:
            if is_running(pid):
                os.kill(pid, signal.SIGKILL)
        process.wait()


needs_proc = pytest.mark.skipif(
    not Path('/proc/self/stat').is_file(), reason='finds processes in /proc'
)
LONG = ['--cfg-options', 'train_cfg.max_epochs=10000', 'train_cfg.val_interval=10000']
# No checkpoint in it, so that the runs do nothing but train.
LONG += ['default_hooks.checkpoint.interval=10000', 'default_hooks.logger.interval=1']


def has_trained(log):
    return lambda: re.search(r'Epoch\(train\) +\[3\]', log.read_text())


def start_nodes(start, log, work_dirs):
    """Start a process on each of several machines, as by hand."""
    port = str(free_port())
    return [
        start(
            f'{log} {rank}.log',
            *dist_train('my usual.py', 1, '--work-dir', work_dir, *LONG),
            **dict(NNODES=str(len(work_dirs)), NODE_RANK=str(rank), PORT=port),
        )
        for rank, work_dir in enumerate(work_dirs)
    ]


@needs_proc
def test_a_killed_process_ends_all(folder, start):
    # Loaders that outlive an epoch, or there are none between two.
    loaders = [
        'train_dataloader.num_workers=1',
        'train_dataloader.persistent_workers=True',
    ]
    script = start(
        'killed.log',
        *dist_train('my usual.py', 2, '--work-dir', 'killed', *LONG, *loaders),
    )
    wait_for(has_trained(folder / 'killed.log'), 'the training')
    # The script has become torchrun; the processes have their loaders.
    everyone = children(script.pid)
    assert len(everyone) >= 4
    workers = [pid for pid in everyone if children(pid)]
    os.kill(workers[-1], signal.SIGKILL)
    assert script.wait(PATIENCE) == 1
    wait_for(lambda: not any(map(is_running, everyone)), 'the end of all')


@needs_proc
def test_the_end_of_a_node_ends_all(folder, start):
    nodes = start_nodes(start, 'node', ['nodes', 'nodes'])
    wait_for(has_trained(folder / 'node 0.log'), 'the training')
    everyone = [pid for node in nodes for pid in children(node.pid)]
    assert len(everyone) == 2
    # torchrun itself, which cannot end what it has started any more
    nodes[1].kill()
    assert nodes[1].wait(PATIENCE) == -signal.SIGKILL
    assert nodes[0].wait(PATIENCE) == 1
    wait_for(lambda: not any(map(is_running, everyone)), 'the end of all')
    errors = (folder / 'node 0.log').read_text().splitlines()
    lost = [line for line in errors if line.startswith('error: ')]
    assert len(lost) <= 1
    assert all('lost another process of the run' in line for line in lost)


def test_machines_share_the_work_directory(folder, start):
    """Or one would go on from a checkpoint that the others have not."""
    nodes = start_nodes(start, 'apart', ['apart 0', 'apart 1'])
    assert [node.wait(PATIENCE) for node in nodes] == [1, 1]
    message = r'^error: .*the work directory of process 1 is not .*--work-dir'
    for rank in range(2):
        log = (folder / f'apart {rank}.log').read_text()
        assert re.search(message, log, re.MULTILINE)
    assert not list(folder.glob('apart */.shared-*'))


@needs_proc
def test_an_error_in_one_process_ends_all(folder, start):
    hook = ['default_hooks.mishap.type=Mishap']
    job = start(
        'mishap.log',
        *('bash', TOOLS / 'slurm_train.sh', 'short', 'a job', 'my usual.py'),
        *('mishap', *LONG, *hook),
        **dict(GPUS='2', GPUS_PER_NODE='1'),
    )
    assert job.wait(PATIENCE) == 1
    log = (folder / 'mishap.log').read_text()
    assert 'RuntimeError: a mishap' in log
    assert not [pid for pid in children(1) if names(pid, 'mishap')]


def names(pid, argument):
    try:
        arguments = Path(f'/proc/{pid}/cmdline').read_text().split('\0')
    except OSError:
        return False
    return argument in arguments


# What the scripts start


@pytest.fixture
def started(tmp_path):
    """Run a script with programs that only tell how they were called."""
    tell = f'#!{sys.executable}\nimport sys, json\n'
    tell += 'json.dump(sys.argv, open("called.json", "w"))\n'
    for name in ('python', 'srun'):
        write_program(tmp_path / 'bin' / name, tell)

    def run_script(name, *arguments, status=0, **variables):
        path = os.pathsep.join([str(tmp_path / 'bin'), os.environ['PATH']])
        unset = ('NNODES', 'NODE_RANK', 'MASTER_ADDR', 'PORT', 'GPUS', 'GPUS_PER_NODE')
        kept = {k: v for k, v in os.environ.items() if k not in unset}
        done = subprocess.run(
            ['bash', str(TOOLS / name), *arguments],
            cwd=tmp_path,
            env=dict(kept, PATH=path, **variables),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == status, done.stderr
        if status:
            return done.stderr
        program, *called = json.loads((tmp_path / 'called.json').read_text())
        return [Path(program).name, *called]

    return run_script


TORCHRUN = ['python', '-m', 'torch.distributed.run']


def test_dist_scripts_hand_everything_on(started):
    options = ['--cfg-options', 'a=b c', "d='*'"]
    assert started('dist_train.sh', 'my config.py', '2', *options) == [
        *TORCHRUN,
        *('--standalone', '--nproc_per_node=2', str(TOOLS / 'train.py')),
        *('my config.py', *options, '--launcher', 'pytorch'),
    ]
    nodes = dict(NNODES='3', NODE_RANK='1', MASTER_ADDR='host', PORT='1234')
    assert started('dist_test.sh', 'c.py', 'my best.pth', '8', **nodes) == [
        *TORCHRUN,
        *('--nnodes=3', '--node_rank=1', '--master_addr=host', '--master_port=1234'),
        *('--nproc_per_node=8', str(TOOLS / 'test.py'), 'c.py', 'my best.pth'),
        *('--launcher', 'pytorch'),
    ]


def test_slurm_scripts_ask_for_what_is_named(started):
    task = ['bash', str(TOOLS / 'slurm_run.sh'), '--node']
    assert started(
        *('slurm_train.sh', 'my partition', 'a job', 'c.py', 'my work', '--amp'),
        **dict(GPUS='16', CPUS_PER_TASK='3', SRUN_ARGS='--comment="a b" --time=5'),
    ) == [
        *('srun', '--partition=my partition', '--job-name=a job', '--nodes=2'),
        *('--ntasks=2', '--ntasks-per-node=1', '--gres=gpu:8', '--cpus-per-task=24'),
        *('--kill-on-bad-exit=1', '--comment=a b', '--time=5', *task, '8'),
        *(str(TOOLS / 'train.py'), 'c.py', '--work-dir', 'my work', '--amp'),
    ]
    # Without a work directory, and fewer GPUs than a node has
    called = started('slurm_train.sh', 'p', 'j', 'c.py', '--amp', GPUS='4')
    assert '--gres=gpu:4' in called
    assert called[-4:] == ['4', str(TOOLS / 'train.py'), 'c.py', '--amp']
    called = started('slurm_test.sh', 'p', 'j', 'c.py', 'my best.pth', '--amp')
    assert called[-5:] == ['8', str(TOOLS / 'test.py'), 'c.py', 'my best.pth', '--amp']


def test_batch_script_of_the_docs(started, tmp_path):
    """Slurm runs a copy of it, in the folder where it was submitted."""
    text = (ROOT / 'docs/running.md').read_text()
    (script,) = re.findall(r'```sh\n(#!.*?)```', text, re.DOTALL)
    copy = tmp_path / 'spool/slurm_script'
    write_program(copy, script)
    (tmp_path / 'tools').symlink_to(TOOLS)
    write_program(tmp_path / '.venv/bin/activate', '')
    called = started(copy)
    assert called[-5:] == [
        'tools/train.py',
        'CONFIG',
        '--work-dir',
        'WORK_DIR',
        '--resume',
    ]
    # What the script asks srun for is what it has asked sbatch for.
    asked = ' '.join(re.findall('#SBATCH (.*)', script)).split()
    for option in ('nodes', 'ntasks-per-node', 'gres', 'cpus-per-task', 'partition'):
        (value,) = (one for one in asked if one.startswith(f'--{option}='))
        assert value in called


@pytest.mark.parametrize('name', ['slurm_train.sh', 'slurm_test.sh'])
def test_sbatch_is_not_given_a_script_of_ours(started, tmp_path, name):
    shutil.copy(TOOLS / name, tmp_path / 'slurm_script')
    arguments = ('p', 'j', 'c.py', 'best.pth')
    error = started(tmp_path / 'slurm_script', *arguments, status=2)
    assert error.startswith('error: call this by its path in a batch script for sbatch')


@pytest.mark.parametrize(
    ('arguments', 'variables', 'mention'),
    [
        (['dist_train.sh', 'c.py'], {}, 'usage: .*dist_train.sh CONFIG GPUS'),
        (['dist_train.sh', 'c.py', '--amp'], {}, "'--amp' is no number of processes"),
        (['dist_test.sh', 'c.py', '8'], {}, 'usage: .*dist_test.sh CONFIG CHECKPOINT'),
        (['slurm_train.sh', 'p', 'j'], {}, 'usage: .*slurm_train.sh PARTITION'),
        (['slurm_test.sh', 'p', 'j', 'c.py'], {}, 'usage: .*slurm_test.sh PARTITION'),
        (['slurm_train.sh', 'p', 'j', 'c'], dict(GPUS='12'), 'GPUS=12 is no multiple'),
        (['slurm_train.sh', 'p', 'j', 'c'], dict(GPUS='08'), 'GPUS=08 is no number'),
        (
            ['slurm_train.sh', 'p', 'j', 'c'],
            dict(GPUS_PER_NODE='0'),
            'GPUS_PER_NODE=0 is no number above 0',
        ),
        (
            ['slurm_train.sh', 'p', 'j', 'c'],
            dict(SRUN_ARGS='--comment="a b'),
            'SRUN_ARGS=--comment="a b cannot be split',
        ),
    ],
)
def test_scripts_refuse(started, arguments, variables, mention):
    assert re.search(mention, started(*arguments, status=2, **variables))
