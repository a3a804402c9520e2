"""What a training ran on, in a file beside its checkpoints."""

import hashlib
import importlib
import json
import platform
import subprocess
import time
from collections.abc import Iterator
from functools import cache, partial
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.runner import Runner

from ..files import write_json
from ..registry import register_hook

FILE_NAME = 'run.json'
TEST_FILE_NAME = 'data.json'
PACKAGES = ('sarl', 'torch', 'mmcv', 'mmengine', 'mmdet', 'mmyolo')
_HUB_KEY = 'run_record'


@register_hook
class RunRecordHook(Hook):
    """Write `run.json` into the work directory.

    It holds

    - `versions` of sarl and of what it runs on;
    - `commit` of sarl's repository and whether a tracked file was changed (`dirty`);
      both None where sarl does not run from a checkout;
    - `seed`, also where the config leaves it to chance;
    - `started`, in UTC;
    - `device`, its name; `processes`; `batch_size` of each process;
    - `data`: for train, val and test the annotation files as the config names them,
      with their SHA-256, or None for what is no file;
    - `training_seconds`: time of the training loop that the weights have been through,
      with loading of data, without evaluation. It is kept in the checkpoints: a
      resumed run goes on from its checkpoint's, and what an interrupted one did after
      its last checkpoint does not count;
    - `finished`: whether the training came to its end;
    - `earlier_sessions`: the same of each session that was resumed from, up to the
      checkpoint that it left.

    The main process writes it when training starts, with each checkpoint and at the
    end. Of a test it writes `data.json` beside the scores: the annotation files with
    their SHA-256.
    """

    # Before checkpoints are saved.
    priority = 'NORMAL'

    def __init__(self) -> None:
        self.record: dict | None = None

    def before_train(self, runner: Runner) -> None:
        """Describe the session, after one that the checkpoint may tell of."""
        if is_main_process():
            # Restored from the checkpoint that is resumed from.
            earlier = runner.message_hub.get_info(_HUB_KEY)
            self.record = dict(
                **describe(runner),
                training_seconds=0.0,
                finished=False,
                earlier_sessions=[],
            )
            if earlier:
                # A copy: a config may have the hook twice, as its base has it.
                earlier = dict(earlier)
                sessions = [*earlier.pop('earlier_sessions'), earlier]
                self.record.update(
                    training_seconds=earlier['training_seconds'],
                    earlier_sessions=sessions,
                )
            self._write(runner)
        self.since = time.perf_counter()

    def after_train_iter(self, runner: Runner, *args, **kwargs) -> None:
        """Count the time of an iteration, for the checkpoint that may follow."""
        now = time.perf_counter()
        if self.record is not None:
            self.record['training_seconds'] += now - self.since
            runner.message_hub.update_info(_HUB_KEY, self.record)
        self.since = now

    def after_val(self, runner: Runner) -> None:
        """Leave out the time of an evaluation."""
        self.since = time.perf_counter()

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Write what the checkpoint holds."""
        self._write(runner)

    def after_train(self, runner: Runner) -> None:
        """Write the record of a finished training."""
        if self.record is not None:
            self.record['finished'] = True
        self._write(runner)

    def before_test(self, runner: Runner) -> None:
        """Write what is scored, which may have changed since the training."""
        if is_main_process():
            data = _hashes(runner.cfg, 'test')
            write_json(Path(runner.log_dir, TEST_FILE_NAME), data, indent=2)

    def _write(self, runner: Runner) -> None:
        if self.record is not None:
            write_json(Path(runner.work_dir, FILE_NAME), self.record, indent=2)


def describe(runner: Runner) -> dict:
    """Describe what a training runs on, see `RunRecordHook`.

    Args:
        runner (Runner): When its training starts.
    """
    commit, dirty = git_state(Path(__file__).parents[1])
    return dict(
        started=time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime()),
        versions=versions(),
        commit=commit,
        dirty=dirty,
        seed=runner.seed,
        device=device_name(),
        processes=runner.world_size,
        batch_size=runner.train_dataloader.batch_sampler.batch_size,
        data={split: _hashes(runner.cfg, split) for split in ('train', 'val', 'test')},
    )


def _hashes(cfg: Config, split: str) -> dict[str, str | None]:
    files = annotation_files(cfg.get(f'{split}_dataloader') or {})
    return {path: sha256(path) for path in files}


def versions() -> dict[str, str]:
    """Tell the version of each of `PACKAGES`."""
    # torch's is of a type that safe loading of checkpoints refuses.
    return {name: str(importlib.import_module(name).__version__) for name in PACKAGES}


@cache
def code_version() -> str:
    """Hash all code that a score may depend on: sarl's files, and what they run on."""
    digest = hashlib.sha256(json.dumps(versions()).encode())
    for path in sorted(Path(__file__).parents[1].rglob('*.py')):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def git_state(folder: Path) -> tuple[str | None, bool | None]:
    """Tell the commit that a folder's files are of, and whether one was changed.

    Args:
        folder (Path): A folder.

    Returns:
        tuple[str | None, bool | None]: None and None if git does not track the files
        there, as in a virtual environment that lies inside another repository.
    """

    def git(*arguments: str) -> str:
        # A laboratory's checkout is another user's, whose code runs here anyhow.
        command = ['git', '-c', 'safe.directory=*', *arguments]
        return subprocess.run(
            command, cwd=folder, capture_output=True, text=True, check=True
        ).stdout.strip()

    try:
        if not git('ls-files'):
            return None, None
        return git('rev-parse', 'HEAD'), bool(git('status', '--porcelain', '-uno'))
    except (OSError, subprocess.CalledProcessError):
        return None, None


def device_name() -> str:
    """Name the GPU, or else the processor and the number of threads."""
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    name = platform.processor() or platform.machine()
    cpuinfo = Path('/proc/cpuinfo')
    if cpuinfo.is_file():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith('model name'):
                name = line.split(':', 1)[1].strip()
                break
    threads = torch.get_num_threads()
    return f'{name}, {threads} thread{"s" * (threads > 1)}'


def annotation_files(cfg: dict) -> Iterator[str]:
    """Find the annotation files of a data loader's config, also in wrapped data sets.

    Args:
        cfg (dict): A part of a config.
    """
    if isinstance(cfg, dict):
        if cfg.get('ann_file'):
            yield str(Path(cfg.get('data_root') or '', cfg['ann_file']))
        cfg = list(cfg.values())
    if isinstance(cfg, list | tuple):
        for item in cfg:
            yield from annotation_files(item)


def sha256(path: str) -> str | None:
    """Hash a file; None if it is none.

    Args:
        path (str): The file.
    """
    if not Path(path).is_file():
        return None
    digest = hashlib.sha256()
    with open(path, 'rb') as file:
        for block in iter(partial(file.read, 1 << 20), b''):
            digest.update(block)
    return digest.hexdigest()
