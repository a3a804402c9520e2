"""Train and score every arm of a grid with every seed.

For one seed all arms see the same crops in the same order, and what an arm has in
common with the baseline starts from the same weights, random or trained: a difference
between two arms is not that of two draws. A run that was broken off starts anew, since
a resumed one would see other crops than its pair.

Several processes, of one machine or of several that share the work folder, may run
grids in it: a run that another one is at comes last, when there is nothing to do but
wait for it. A run counts for the very code, config, weights and annotations that it was
made with, whichever images and machine those were on.
"""

import copy
import hashlib
import json
import logging
import multiprocessing
import os
import shutil
import sys
import time
from concurrent.futures import (
    FIRST_COMPLETED,
    ProcessPoolExecutor,
    ThreadPoolExecutor,
    wait,
)
from multiprocessing.queues import SimpleQueue
from pathlib import Path

import torch
from filelock import FileLock, Timeout
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.hooks import Hook
from mmengine.registry import init_default_scope
from mmengine.runner import Runner, set_random_seed
from mmengine.utils import import_modules_from_strings
from mmyolo.registry import MODELS

from ..analysis import cost_of_detector
from ..console import console_to
from ..engine import classes
from ..engine.config_checks import check_input_size, check_sal, check_visualizer
from ..engine.pretrained import check_pretrained, find_pretrained
from ..engine.run_record import code_version, device_name, git_state, sha256
from ..errors import InputError
from ..files import write_json
from ..processes import follow_parent
from ..progress import progress_bar
from .grid import Grid

# Kept of a run, beside its log: the rest can be made from these.
SCORES, CURVE = 'scores.json', 'curve.json'


def run_grid(
    grid: Grid,
    work_dir: Path,
    jobs: int = 1,
    evaluations: int = 1,
    download: bool = False,
) -> dict[str, dict[int, Path]]:
    """Run what is not there yet.

    Args:
        grid (Grid): From `read_grid`.
        work_dir (Path): Gets a folder for every arm and seed.
        jobs (int): Runs at once. On a CPU they share its cores, and the number of
            threads changes how sums are rounded; a GPU that a small model does not fill
            serves several.
        evaluations (int): Times that a run is scored at most, evenly spread; the last
            epoch is the result, the others draw the curve.
        download (bool): Fetch weights that a config names by URL.

    Returns:
        dict[str, dict[int, Path]]: The folder of each arm and seed.

    Raises:
        InputError: If weights cannot be had or a config does not fit together; if a run
            failed, when the others are finished first.
    """
    for cfg in grid.arms.values():
        check_pretrained(cfg, download)
        check_input_size(cfg)
        check_visualizer(cfg)
    if grid.start is None:
        weights = {seed: _initial_weights(grid, seed, work_dir) for seed in grid.seeds}
    else:
        weights = _trained_weights(grid.start, work_dir, jobs, evaluations, download)
    folders = {name: {} for name in grid.arms}
    waiting = []
    # Seed by seed, so that a grid that is broken off can be compared as far as it came.
    for seed in grid.seeds:
        for name, cfg in grid.arms.items():
            cfg = _prepare(cfg, seed, weights[seed], evaluations)
            # A run is named after what it starts from: a trained baseline's folder, or
            # the baseline's untrained weights.
            start = weights[seed].parents[1] if grid.start else weights[seed]
            start = start.stem.removesuffix(f'-{seed}')
            folder = work_dir / f'{_plain(name)}-{_digest(cfg, start)}' / f'seed{seed}'
            folders[name][seed] = folder
            if not (folder / SCORES).is_file():
                waiting.append((name, cfg, folder, start))
    failed = _run_all(waiting, jobs) if waiting else {}
    if failed:
        name, reason = next(iter(failed.items()))
        raise InputError(
            f'{len(failed)} of {len(waiting)} runs failed, first {name}: {reason} The '
            f'others are kept; run again once this is mended.'
        )
    return folders


def _initial_weights(grid: Grid, seed: int, work_dir: Path) -> Path:
    """Save what the baseline starts from."""
    cfg = grid.arms[grid.baseline]
    parts = [code_version(), repr(cfg.model), *_files(cfg)]
    name = hashlib.sha256(' '.join(parts).encode()).hexdigest()[:8]
    path = work_dir / f'start-{name}-{seed}.pth'
    work_dir.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_suffix('.lock')):
        if path.is_file():
            return path
        init_default_scope(cfg.get('default_scope', 'mmyolo'))
        set_random_seed(seed)
        # MMDetection's detectors write into the config that they are built from.
        model = MODELS.build(copy.deepcopy(cfg.model))
        logging.disable(logging.INFO)  # it names every weight
        try:
            model.init_weights()
        finally:
            logging.disable(logging.NOTSET)
        part = path.with_suffix('.part')
        torch.save(dict(state_dict=model.state_dict()), part)
        os.replace(part, path)
    return path


def _trained_weights(start: Grid, work_dir: Path, *settings) -> dict[int, Path]:
    """Train what arms start from, as far as it is not there, and find its weights."""
    folders = run_grid(start, work_dir, *settings)[start.baseline]
    epochs = start.arms[start.baseline].train_cfg.max_epochs
    weights = {seed: folder / f'epoch_{epochs}.pth' for seed, folder in folders.items()}
    for path in weights.values():
        if not path.is_file():
            raise InputError(
                f'{path}, which the arms start from, is gone. Delete its folder to '
                f'train it again.'
            )
    return weights


def _prepare(cfg: Config, seed: int, weights: Path, evaluations: int) -> Config:
    cfg = copy.deepcopy(cfg)
    cfg.randomness = dict(cfg.get('randomness') or {}, seed=seed)
    cfg.load_from = str(weights)
    epochs = cfg.train_cfg.max_epochs
    cfg.train_cfg.val_interval = -(-epochs // evaluations)
    # The last epoch is always scored. No evaluation picks a checkpoint.
    cfg.train_cfg.val_begin = 1 if evaluations > 1 else epochs
    cfg.default_hooks.checkpoint.update(
        interval=epochs, save_best=None, save_last=True, max_keep_ckpts=1
    )
    return cfg


def _files(cfg: Config) -> list[str]:
    """Hash the weights and modules that a config names: not what is in sarl itself."""
    modules = cfg.get('custom_imports', {}).get('imports', [])
    modules = [modules] if isinstance(modules, str) else modules
    paths = [checkpoint for _, checkpoint in find_pretrained(cfg.model, 'model')]
    paths += [getattr(sys.modules.get(name), '__file__', None) for name in modules]
    return [digest for path in paths if path and (digest := sha256(path))]


def _digest(cfg: Config, start: str) -> str:
    """Name a setting: software, data, and the config without what is the seed's.

    The data by what is in the annotation files, wherever they lie; images are taken to
    be what those say.
    """
    cfg = copy.deepcopy(cfg)
    cfg.get('randomness', {}).pop('seed', None)
    cfg.pop('load_from')
    parts = [code_version(), get_device(), start, *_files(cfg)]
    digest = hashlib.sha256(' '.join(parts).encode())
    for split in ('train', 'val'):
        dataset = cfg[f'{split}_dataloader'].dataset
        path = Path(dataset.data_root, dataset.ann_file)
        if not path.is_file():
            raise InputError(f'annotation file {path} does not exist.')
        digest.update(path.read_bytes())
    for split in ('train', 'val', 'test'):
        cfg[f'{split}_dataloader'].dataset.pop('ann_file', None)
        cfg.get(f'{split}_evaluator', {}).pop('ann_file', None)
    digest.update(json.dumps(cfg.to_dict(), sort_keys=True, default=str).encode())
    return digest.hexdigest()[:8]


def _plain(name: str) -> str:
    return ''.join(letter if letter.isalnum() else '_' for letter in name)


def _run_all(waiting: list[tuple[str, Config, Path, str]], jobs: int) -> dict[str, str]:
    """Run in processes of their own; tell which failed and why."""
    context = multiprocessing.get_context('spawn')
    os.environ.setdefault('OMP_NUM_THREADS', str(max(1, os.cpu_count() // jobs)))
    finished_epochs = context.SimpleQueue()
    epochs = sum(cfg.train_cfg.max_epochs for _, cfg, *_ in waiting)
    failed = {}

    def run(cfg: Config, folder: Path, start: str) -> None:
        # Each run in a process of its own: what one leaves behind is no other's.
        with ProcessPoolExecutor(1, context, _start, (finished_epochs,)) as process:
            process.submit(_run, cfg, folder, start).result()

    def run_if_free(cfg: Config, folder: Path, start: str) -> None:
        with _lock(folder).acquire(timeout=0):
            pass
        run(cfg, folder, start)

    pool = ThreadPoolExecutor(jobs)
    try:
        runs = {pool.submit(run_if_free, *taken[1:]): taken for taken in waiting}
        with progress_bar(total=epochs, desc='grid', unit='epoch') as bar:
            while runs:
                done, _ = wait(runs, 1, FIRST_COMPLETED)
                while not finished_epochs.empty():
                    bar.update(finished_epochs.get())
                for future in done:
                    name, cfg, *_ = taken = runs.pop(future)
                    error = future.exception()
                    if isinstance(error, Timeout):
                        runs[pool.submit(run, *taken[1:])] = taken
                    elif error:
                        reason = f'{type(error).__name__}: {error}'
                        failed[f'{name}, seed {cfg.randomness.seed}'] = reason
                    bar.set_postfix(left=len(runs), failed=len(failed))
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        for process in multiprocessing.active_children():
            process.terminate()
        raise
    pool.shutdown()
    return failed


class _CountEpochs(Hook):
    """Tell the process that shows the bar about each epoch."""

    def __init__(self, queue: SimpleQueue) -> None:
        self.queue = queue

    def after_train_epoch(self, runner: Runner) -> None:
        self.queue.put(1)


# Set in the processes that run.
_finished_epochs: SimpleQueue | None = None


def _start(queue: SimpleQueue) -> None:
    global _finished_epochs
    _finished_epochs = queue
    follow_parent()


def _lock(folder: Path) -> FileLock:
    folder.parent.mkdir(parents=True, exist_ok=True)
    return FileLock(folder.with_suffix('.lock'))


def _run(cfg: Config, folder: Path, start: str) -> None:
    # The lock goes with the process, however that ends.
    with _lock(folder):
        if (folder / SCORES).is_file():
            _finished_epochs.put(cfg.train_cfg.max_epochs)
        else:
            _train_and_score(cfg, folder, start)


def _train_and_score(cfg: Config, folder: Path, start: str) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    with console_to(folder / 'console.log', errors=True):
        if 'custom_imports' in cfg:
            # The process that read the config has done it, but for itself.
            import_modules_from_strings(**cfg.custom_imports)
        if not folder.parent.name.endswith(f'-{_digest(cfg, start)}'):
            raise InputError(
                'code, weights or annotations were changed while the grid ran, and the '
                'run would count for what was there before. Run the grid again.'
            )
        commit, dirty = git_state(Path(__file__).parents[1])
        began = time.perf_counter()
        cfg.work_dir = str(folder)
        runner = Runner.from_cfg(cfg)
        check_sal(runner.model)
        classes.follow_training(runner)
        # Before the training, which would be lost if it could not be counted.
        width, height = cfg.get('crop_size', (640, 640))
        with torch.random.fork_rng():
            detector = copy.deepcopy(runner.model).eval()
            cost = cost_of_detector(detector, height, width)
        del detector
        runner.register_hook(_CountEpochs(_finished_epochs))
        runner.train()
        seconds = time.perf_counter() - began
        curve = _curve(folder)
    write_json(folder / CURVE, curve, indent=2)
    write_json(
        folder / SCORES,
        dict(
            scores=curve[-1],
            seconds=round(seconds, 1),
            flops_size=[width, height],
            device=device_name(),
            commit=commit,
            dirty=dirty,
            parameters=cost.parameters,
            flops=cost.flops,
        ),
        indent=2,
    )


def _curve(folder: Path) -> list[dict[str, float]]:
    """Read all evaluations of a run from MMEngine's log."""
    (log,) = folder.glob('*/vis_data/scalars.json')
    rows = [json.loads(line) for line in log.read_text().splitlines()]
    return [
        {'epoch': row['step'], **{k: v for k, v in row.items() if '/' in k}}
        for row in rows
        if 'aitod/AP' in row
    ]
