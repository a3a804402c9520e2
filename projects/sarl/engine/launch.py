"""What the command-line tools do once their arguments are parsed."""

import argparse
import os
import signal
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from mmengine.config import Config, DictAction
from mmengine.device import is_cuda_available
from mmengine.dist import is_main_process
from mmengine.runner import Runner

from ..errors import InputError
from .checkpoint import check_checkpoint


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
        InputError: If the file is missing or the work directory not writable.
    """
    if not Path(path).is_file():
        raise InputError(f'config {path} does not exist.')
    cfg = Config.fromfile(path)
    cfg.launcher = launcher
    cfg.merge_from_dict(cfg_options or {})
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


def check_output_file(path: str | Path, option: str) -> None:
    """Make sure that a file can be written, and make its folder.

    Args:
        path (str | Path): The file.
        option (str): The option that names it.

    Raises:
        InputError: If it is a folder, or its folder cannot be made or written in.
    """
    if Path(path).is_dir():
        raise InputError(f'{option} {path} is a folder. Name a file.')
    check_writable(Path(path).parent, option)


def enable_amp(cfg: Config) -> None:
    """Train in mixed precision: float16 on a GPU, bfloat16 on a CPU.

    Args:
        cfg (Config): Changed in place.

    Raises:
        InputError: If its optimizer wrapper is a special one.
    """
    wrapper = cfg.optim_wrapper
    if wrapper.type in ('AmpOptimWrapper', 'AutocastOptimWrapper'):
        return
    if wrapper.type != 'OptimWrapper':
        raise InputError(
            f'--amp replaces an OptimWrapper, but the config has a {wrapper.type}.'
        )
    if is_cuda_available():
        wrapper.update(type='AmpOptimWrapper', loss_scale='dynamic')
    else:
        wrapper.type = 'AutocastOptimWrapper'


def train(cfg: Config, resume: str | None = None) -> Runner:
    """Train as the config says.

    Args:
        cfg (Config): From `load_config`.
        resume (str, optional): A checkpoint to go on from; 'auto' for the latest one
            in the work directory, or the start if there is none.

    Returns:
        Runner: After the training.
    """
    if resume is not None:
        cfg.resume = True
        cfg.load_from = None if resume == 'auto' else resume
    if cfg.get('load_from') and '://' not in cfg.load_from:
        check_checkpoint(cfg.load_from)
    runner = Runner.from_cfg(cfg)
    runner.train()
    return runner


def test(cfg: Config, checkpoint: str) -> dict[str, float]:
    """Score a checkpoint on the test data of the config.

    Args:
        cfg (Config): From `load_config`.
        checkpoint (str): The file.

    Returns:
        dict[str, float]: The metrics.
    """
    check_checkpoint(checkpoint)
    cfg.load_from = checkpoint
    return Runner.from_cfg(cfg).test()


def run_tool(main: Callable[[], None]) -> None:
    """Run a tool; end with one line where a traceback would tell a user nothing.

    Bad input ends with status 1, Ctrl-C with 130.

    Args:
        main (Callable): The tool.
    """
    interrupted = False

    def interrupt(*_) -> None:
        nonlocal interrupted
        interrupted = True
        raise KeyboardInterrupt

    signal.signal(signal.SIGINT, interrupt)
    try:
        try:
            main()
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        # Who read the output, such as `head`, has had enough; Python flushes once more.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except InputError as error:
        if is_main_process():
            print(f'error: {error}', file=sys.stderr)
        sys.exit(1)
    except BaseException:
        # MMEngine turns an interrupt into another exception in places.
        if not interrupted:
            raise
        print('\ninterrupted', file=sys.stderr)
        sys.exit(130)
