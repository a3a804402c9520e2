"""Runs of several processes, on machines with and without a GPU."""

import ctypes
import datetime
import os
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from copy import deepcopy
from pathlib import Path

import torch
from mmengine.device import get_device, is_cuda_available
from mmengine.dist import (
    all_gather_object,
    all_reduce_params,
    barrier,
    broadcast_object_list,
    get_backend,
    get_rank,
    is_distributed,
    master_only,
)
from mmengine.evaluator import Evaluator
from mmengine.hooks import Hook, LoggerHook
from mmengine.model import is_model_wrapper, revert_sync_batchnorm
from mmengine.optim import _ParamScheduler
from mmengine.runner import EpochBasedTrainLoop, Runner
from mmyolo.engine.hooks import YOLOXModeSwitchHook
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from ..errors import InputError

# Seconds in which a file that one machine has written appears on the others.
PATIENCE = 30
# What launchers call a process's number, their count, and its number on its machine.
VARIABLES = {
    'pytorch': ('RANK', 'WORLD_SIZE', 'LOCAL_RANK'),
    'slurm': ('SLURM_PROCID', 'SLURM_NTASKS', 'SLURM_LOCALID'),
    'mpi': (
        'OMPI_COMM_WORLD_RANK',
        'OMPI_COMM_WORLD_SIZE',
        'OMPI_COMM_WORLD_LOCAL_RANK',
    ),
}
STARTED_BY = {
    'pytorch': 'torchrun, as by tools/dist_train.sh',
    'slurm': 'srun',
    'mpi': "Open MPI's mpirun",
}


def process_number() -> int:
    """Tell which process of its run this one is, also before they have met."""
    names = (names[0] for names in VARIABLES.values())
    return int(next((os.environ[name] for name in names if name in os.environ), 0))


def leave(wait: bool) -> None:
    """Leave the group of processes, if there is one.

    A process that ends as a member may abort, or take away what others still use.

    Args:
        wait (bool): For the others, who have to call this too. Without, after an
            error, only gloo is left: NCCL's end may wait for processes that are gone.
    """
    if not is_distributed():
        return
    if wait:
        barrier()
    if wait or get_backend() == 'gloo':
        torch.distributed.destroy_process_group()


def is_lost_connection(error: BaseException) -> bool:
    """Tell whether an error only says that another process of the run has gone."""
    # torch 2.0 does not have it yet.
    if isinstance(error, getattr(torch.distributed, 'DistError', ())):
        return True
    return isinstance(error, RuntimeError) and 'gloo/transport' in str(error)


def _check_launcher(launcher: str) -> None:
    missing = [name for name in VARIABLES[launcher] if name not in os.environ]
    if missing:
        raise InputError(
            f'--launcher {launcher} is for processes started by {STARTED_BY[launcher]}:'
            f' the variable {missing[0]} is not set. Leave --launcher out to run one '
            f'process.'
        )
    if is_cuda_available():
        local, gpus = int(os.environ[VARIABLES[launcher][2]]), torch.cuda.device_count()
        if local >= gpus:
            mend = f'Start at most {gpus} here'
            if launcher == 'slurm':
                # What binds a task to a GPU hides the others from it.
                mend = (
                    'Give each task all GPUs of its node: --gres=gpu:N for N tasks a '
                    'node, without --gpus-per-task and --gpu-bind'
                )
            raise InputError(
                f'this machine shows {gpus} GPU(s), too few for process {local + 1}. '
                f'{mend}, or hide them (CUDA_VISIBLE_DEVICES=-1) to run on the CPU.'
            )


def _end_with_parent() -> None:
    """Ask Linux to end this process when torchrun is killed, which ends nothing."""
    if sys.platform == 'linux':
        set_parent_death_signal = 1
        ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGTERM)


def _join_on_cpu(launcher: str, dist_cfg: dict) -> None:
    """Join the processes where MMEngine's `init_dist` asks for a GPU."""
    names = zip(VARIABLES['pytorch'], VARIABLES[launcher], strict=True)
    os.environ.update({name: os.environ[source] for name, source in names})
    if launcher == 'slurm' and 'MASTER_ADDR' not in os.environ:
        nodes = ['scontrol', 'show', 'hostnames', os.environ['SLURM_NODELIST']]
        hosts = subprocess.run(nodes, capture_output=True, text=True, check=True)
        os.environ['MASTER_ADDR'] = hosts.stdout.split()[0]
    os.environ.setdefault('MASTER_PORT', str(dist_cfg.get('port', 29500)))
    settings = {}
    if dist_cfg.get('timeout') is not None:
        settings['timeout'] = datetime.timedelta(seconds=dist_cfg['timeout'])
    backend = dist_cfg.get('backend', 'nccl')
    torch.distributed.init_process_group(
        'gloo' if backend == 'nccl' else backend, **settings
    )


def _check_shared(work_dir: str) -> None:
    """Make sure that all processes see the files that the first one writes.

    Raises:
        InputError: If one does not, in all of them.
    """
    with tempfile.NamedTemporaryFile(dir=work_dir, prefix='.shared-') as file:
        name = [Path(file.name).name if get_rank() == 0 else None]
        broadcast_object_list(name)
        path = Path(work_dir, name[0])
        until = time.monotonic() + PATIENCE
        while not path.exists() and time.monotonic() < until:
            time.sleep(0.1)
        sees = all_gather_object(path.exists())
    if not all(sees):
        raise InputError(
            f'the work directory of process {sees.index(False)} is not that of the '
            f'first one. Name a folder that all machines share with --work-dir, by its '
            f'whole path.'
        )


class BatchNormHook(Hook):
    """Keep the statistics of BatchNorm equal on all processes, at their mean."""

    # Before EMAHook takes them over.
    priority = 'ABOVE_NORMAL'

    def after_train_iter(self, runner: Runner, *args, **kwargs) -> None:
        """Average them."""
        statistics = [
            buffer
            for module in runner.model.modules()
            if isinstance(module, _BatchNorm) and module.track_running_stats
            for buffer in (module.running_mean, module.running_var)
        ]
        all_reduce_params(statistics, op='mean')


class PortableRunner(Runner):
    """MMEngine's runner, for any number of processes on any machine.

    - Without a GPU, processes meet by gloo. SyncBatchNorm, which runs on GPUs only,
      becomes BatchNorm there, with statistics that are averaged over the processes.
    - A training may be resumed on another number of processes, or with another batch
      size: the count of iterations and schedules that were converted to iterations
      follow the new length of an epoch.
    - A YOLOX that is resumed after its switch to whole images switches again.
    - Processes hand each other their detections in the work directory, which all
      machines of a run have to share, and not in the current folder.
    - The scores of a test are written by one process.
    """

    def setup_env(self, env_cfg: dict) -> None:
        """Join the other processes."""
        if self.distributed:
            _check_launcher(self.launcher)
            if self.launcher == 'pytorch':
                _end_with_parent()
            if get_device() == 'cpu' and not is_distributed():
                _join_on_cpu(self.launcher, env_cfg.get('dist_cfg', {}))
        super().setup_env(env_cfg)
        if self.distributed:
            _check_shared(self.work_dir)

    def wrap_model(self, model_wrapper_cfg: dict | None, model: nn.Module) -> nn.Module:
        """Wrap the model as MMEngine does, but without the number of a GPU on a CPU."""
        self.lacks_sync_bn = False
        if not self.distributed or get_device() != 'cpu' or is_model_wrapper(model):
            return super().wrap_model(model_wrapper_cfg, model)
        self.lacks_sync_bn = bool(self.cfg.pop('sync_bn', None)) or any(
            type(module).__name__ == 'SyncBatchNorm' for module in model.modules()
        )
        if self.lacks_sync_bn:
            self.logger.warning(
                'SyncBatchNorm runs on GPUs only. On this CPU it is BatchNorm: each '
                'process normalises its own images, and the running statistics are '
                'averaged over the processes.'
            )
            model = revert_sync_batchnorm(model)
        settings = dict(
            type='MMDistributedDataParallel',
            broadcast_buffers=False,
            find_unused_parameters=self.cfg.get('find_unused_parameters', False),
        )
        if model_wrapper_cfg is not None:
            settings = dict(type='MMDistributedDataParallel') | model_wrapper_cfg
        return super().wrap_model(settings | dict(device_ids=None), model)

    def register_hooks(self, *args, **kwargs) -> None:
        """Register the config's hooks, fit for several processes.

        One stands in for SyncBatchNorm where that does not run.
        """
        super().register_hooks(*args, **kwargs)
        for hook in self.hooks:
            if isinstance(hook, LoggerHook):
                # All processes would write the scores of a test to one file at once.
                hook.after_test_epoch = master_only(hook.after_test_epoch)
        if self.lacks_sync_bn:
            self.register_hook(BatchNormHook())

    def build_evaluator(self, evaluator: dict | list | Evaluator) -> Evaluator:
        """Build an evaluator that gathers in folders of its own, in the work directory.

        They are made when there is something to gather and go when it is read.
        """
        evaluator = super().build_evaluator(evaluator)
        # Other runs may be at work in the same directory.
        name = [f'.gathered-{uuid.uuid4().hex}']
        broadcast_object_list(name)
        for number, metric in enumerate(evaluator.metrics):
            if metric.collect_device == 'cpu' and metric.collect_dir is None:
                metric.collect_dir = str(Path(self.work_dir, f'{name[0]}-{number}'))
        return evaluator

    def resume(self, filename: str, *args, **kwargs) -> None:
        """Resume, also where an epoch has another number of iterations now."""
        built = self.param_schedulers
        schedulers = built if isinstance(built, list) else []
        fresh = deepcopy([scheduler.state_dict() for scheduler in schedulers])
        super().resume(filename, *args, **kwargs)
        self._keep_the_best_of_others()
        loop = self.train_loop
        if not isinstance(loop, EpochBasedTrainLoop) or not self.epoch:
            return
        for hook in self.hooks:
            if isinstance(hook, YOLOXModeSwitchHook):
                # It switches in one epoch only: in the first one, where that is past.
                left = loop.max_epochs - self.epoch
                hook.num_last_epochs = min(hook.num_last_epochs, left - 1)
        before, now = self.iter / self.epoch, len(loop.dataloader)
        # A checkpoint from within an epoch does not tell how long its epochs were.
        if before == now or not before.is_integer():
            return
        self.logger.info(
            f'An epoch has {now} iterations here and had {before:.0f} in the '
            f'checkpoint: going on at iteration {self.epoch * now}.'
        )
        loop._iter = self.epoch * now
        configs = self.cfg.get('param_scheduler') or []
        configs = configs if isinstance(configs, list) else [configs]
        for config, scheduler, state in zip(configs, schedulers, fresh, strict=False):
            if config.get('convert_to_iter_based'):
                _go_on(scheduler, state, now / before)

    def _keep_the_best_of_others(self) -> None:
        """Look for the best checkpoint so far in this work directory only.

        MMEngine deletes it once there is a better one.
        """
        for name, path in list(self.message_hub.runtime_info.items()):
            if name.startswith('best_ckpt') and path:
                here = str(Path(self.work_dir, Path(path).name))
                self.message_hub.update_info(name, here)


def _go_on(scheduler: _ParamScheduler, fresh: dict, ratio: float) -> None:
    """Put a resumed schedule where it stands when epochs have changed their length.

    Args:
        scheduler (_ParamScheduler): With the checkpoint's state.
        fresh (dict): Its state at the start of a training with the new length.
        ratio (float): New over old length.
    """
    resumed = scheduler.state_dict()
    steps = {
        # -1 stands for a schedule that has not begun.
        name: max(-1, round(resumed[name] * ratio))
        for name in ('last_step', '_global_step')
    }
    values = {name: resumed[name] for name in ('base_values', '_last_value')}
    scheduler.load_state_dict(fresh | values | steps)
