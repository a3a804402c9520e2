"""What the command-line tools do once their arguments are parsed."""

import argparse
import copy
import os
import re
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from mmengine.config import Config, DictAction
from mmengine.device import is_cuda_available
from mmengine.runner import Runner

from ..errors import InputError
from ..registry import type_name
from . import classes, distributed
from .checkpoint import check_checkpoint, check_start, latest_checkpoint
from .config_checks import (
    check_input_size,
    check_sal,
    check_visualizer,
    set_rule_of_best,
)
from .config_file import read_config
from .pretrained import check_pretrained

# Seconds that the first process of a run has to report what the others also found.
PATIENCE = 5
# Heads of MMYOLO, and ours made from them, whose losses grow with the images of all
# processes, or with the number of processes.
LOSS_BY_IMAGES = re.compile(r'YOLOv[578]\w*Head$')
LOSS_BY_PROCESSES = re.compile(r'YOLOv6\w*Head$')


def parse_args(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """Add the arguments that all tools share, and parse the command line.

    Args:
        parser (argparse.ArgumentParser): With the tool's own arguments.
    """
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        help='settings that replace those of the config, as key.subkey=value',
    )
    parser.add_argument(
        '--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none'
    )
    # torch.distributed.launch passes it; torchrun sets the variable instead.
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0)
    args = parser.parse_args()
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    return args


def load_config(
    path: str,
    work_dir: str | None = None,
    cfg_options: dict | None = None,
    launcher: str = 'none',
) -> Config:
    """Read a config and apply the command line's settings to it.

    Args:
        path (str): The config file.
        work_dir (str, optional): Where logs and checkpoints go. Without it, the
            config's, or else `work_dirs/{name of the config}`.
        cfg_options (dict, optional): Settings that replace those of the file.
        launcher (str): 'none', 'pytorch', 'slurm' or 'mpi'.

    Raises:
        InputError: If the file cannot be read, see `read_config`, has no model, or the
            work directory is not writable.
    """
    cfg = read_config(path)
    if 'model' not in cfg:
        raise InputError(
            f'config {path} has no model: it is no config of a detector, or lacks its '
            f'_base_.'
        )
    cfg.launcher = launcher
    cfg.merge_from_dict(cfg_options or {})
    for split in ('train', 'val', 'test'):
        loader = cfg.get(f'{split}_dataloader') or {}
        if loader.get('num_workers') == 0:
            # torch refuses to keep workers that are none.
            loader.persistent_workers = False
    cfg.work_dir = str(
        work_dir or cfg.get('work_dir') or Path('work_dirs', Path(path).stem)
    )
    check_writable(cfg.work_dir)
    return cfg


def check_writable(folder: str | Path, option: str = '--work-dir') -> None:
    """Make a folder and make sure that files can be written in it.

    Args:
        folder (str | Path): The folder.
        option (str): The option that names it.

    Raises:
        InputError: If it cannot be made or written in.
    """
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise InputError(
            f'cannot write in {folder}: {error.strerror}. Choose another folder with '
            f'{option}.'
        ) from None


def check_output_file(
    path: str | Path, option: str, inputs: Iterable[str | Path] = ()
) -> None:
    """Make sure that a file can be written, and make its folder.

    Args:
        path (str | Path): The file.
        option (str): The option that names it.
        inputs (Iterable[str | Path]): Files that are not to be lost.

    Raises:
        InputError: If it is one of those or a folder, or its folder cannot be made or
            written in.
    """
    if Path(path).resolve() in (Path(other).resolve() for other in inputs):
        raise InputError(
            f'{option} {path} would replace a file that is needed. Name another.'
        )
    if Path(path).is_dir():
        raise InputError(f'{option} {path} is a folder. Name a file.')
    check_writable(Path(path).parent, option)


def enable_amp(cfg: Config) -> None:
    """Train in mixed precision: float16 on a GPU, bfloat16 on a CPU.

    Args:
        cfg (Config): Changed in place.

    Raises:
        InputError: If its optimizer wrapper is a special one, or the detector has no
            bfloat16 on a CPU.
    """
    if not is_cuda_available():
        for head in ('rpn_head', 'roi_head'):
            if cfg.model.get(head):
                raise InputError(
                    f'--amp is bfloat16 on a CPU, which the ops of mmcv in the '
                    f'{head} of the model do not take there. Leave --amp out.'
                )
    wrapper = cfg.optim_wrapper
    # MMEngine's, where none is named.
    kind = type_name(wrapper) or 'OptimWrapper'
    if kind in ('AmpOptimWrapper', 'AutocastOptimWrapper'):
        return
    if kind != 'OptimWrapper':
        raise InputError(
            f'--amp replaces an OptimWrapper, but the config has a {kind}.'
        )
    if is_cuda_available():
        wrapper.update(type='AmpOptimWrapper', loss_scale='dynamic')
    else:
        wrapper.type = 'AutocastOptimWrapper'


def enable_auto_scale_lr(cfg: Config) -> None:
    """Scale the learning rate by the batch size over that which it is meant for.

    Args:
        cfg (Config): Changed in place.

    Raises:
        InputError: If it does not tell which batch size its learning rate is for.
    """
    base = (cfg.get('auto_scale_lr') or {}).get('base_batch_size')
    if not isinstance(base, int) or base < 1:
        raise InputError(
            '--auto-scale-lr needs the batch size, over all processes, that the '
            "config's learning rate is meant for, and the config does not tell: "
            '--cfg-options auto_scale_lr.base_batch_size=64'
        )
    cfg.auto_scale_lr.enable = True
    head, optimizer = (
        type_name(part)
        for part in (cfg.model.get('bbox_head'), cfg.optim_wrapper.get('optimizer'))
    )
    if optimizer != 'SGD' or distributed.process_number():
        return
    if LOSS_BY_IMAGES.search(head):
        factor, followed, mend = 'images of all processes', 'batch size', ''
    elif LOSS_BY_PROCESSES.search(head):
        factor = followed = 'number of processes'
        mend = ' and scale the learning rate by the images of each process alone'
    else:
        return
    print(
        f'warning: {head} multiplies its losses by the {factor}, so that steps of SGD '
        f'follow the {followed} already. --auto-scale-lr counts it once more: leave it '
        f'out here{mend} (docs/running.md).',
        file=sys.stderr,
    )


def train(cfg: Config, resume: str | None = None, download: bool = False) -> Runner:
    """Train as the config says.

    Args:
        cfg (Config): From `load_config`.
        resume (str, optional): A checkpoint to go on from; 'auto' for the latest one
            in the work directory, or the start if there is none.
        download (bool): Fetch weights that the config names by URL.

    Returns:
        Runner: After the training.

    Raises:
        InputError: If weights that the training starts from cannot be had, if a
            checkpoint holds no training to go on with, if the images do not fit the
            detector's strides, if the head does not let SAL know the sizes of objects,
            or if the classes of detector, training and validation data differ.
    """
    if resume == 'auto':
        resume = latest_checkpoint(cfg.work_dir)
    check_pretrained(cfg, download, resume)
    check_input_size(cfg)
    check_visualizer(cfg)
    set_rule_of_best(cfg)
    runner = _build_runner(
        cfg,
        load_from=resume or cfg.get('load_from'),
        resume=bool(resume) or cfg.get('resume', False),
    )
    check_sal(runner.model)
    classes.follow_training(runner)
    runner.train()
    distributed.leave(wait=True)
    return runner


def test(cfg: Config, checkpoint: str) -> dict[str, float]:
    """Score a checkpoint on the test data of the config.

    Args:
        cfg (Config): From `load_config`.
        checkpoint (str): The file.

    Returns:
        dict[str, float]: The metrics.

    Raises:
        InputError: If the checkpoint cannot be had, or if the classes of checkpoint,
            detector and test data differ.
    """
    content = check_checkpoint(checkpoint)
    check_start(cfg, checkpoint, content)
    check_visualizer(cfg)
    set_rule_of_best(cfg)
    runner = _build_runner(cfg, load_from=checkpoint, resume=False)
    classes.follow_checkpoint(runner, content)
    metrics = runner.test()
    distributed.leave(wait=True)
    return metrics


def _build_runner(
    cfg: Config, load_from: str | None, resume: bool
) -> distributed.PortableRunner:
    """Build a runner that starts from a checkpoint.

    The config among its logs says so. That in the work directory does not: it is there
    for tests and other trainings.
    """
    started = copy.copy(cfg)
    started.load_from, started.resume = load_from, resume
    runner = distributed.PortableRunner.from_cfg(started)
    runner.cfg = copy.deepcopy(cfg)
    runner.dump_config()
    return runner


def run_tool(main: Callable[[], None]) -> None:
    """Run a tool; end with one line where a traceback would tell a user nothing.

    Bad input ends with status 1, Ctrl-C with 130. What all processes of a run find is
    said once.

    Args:
        main (Callable): The tool.
    """
    interrupted = False

    def interrupt(*_) -> None:
        nonlocal interrupted
        interrupted = True
        raise KeyboardInterrupt

    signal.signal(signal.SIGINT, interrupt)
    if hasattr(sys.stdout, 'reconfigure'):
        # A file's name may hold bytes that are no text.
        sys.stdout.reconfigure(errors='backslashreplace')
    try:
        try:
            main()
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        # Who read the output, such as `head`, has had enough; Python flushes once more.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except InputError as error:
        _fail(str(error))
    except BaseException as error:
        # MMEngine turns an interrupt into another exception in places.
        if interrupted:
            if distributed.process_number() == 0:
                print('\ninterrupted', file=sys.stderr)
            sys.exit(130)
        if distributed.is_lost_connection(error):
            reason = str(error).splitlines()[0].split('. ')[0]
            _fail(f'lost another process of the run, see what it said ({reason})')
        raise
    finally:
        distributed.leave(wait=False)


def _fail(message: str) -> None:
    """End with status 1, and with a line unless the run's first process says the same.

    When that one fails, the launcher ends the others.
    """
    number = distributed.process_number()
    if number:
        time.sleep(PATIENCE)
        message = f'process {number}: {message}'
    print(f'error: {message}', file=sys.stderr)
    sys.exit(1)
