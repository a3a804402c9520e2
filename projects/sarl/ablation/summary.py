"""What a grid came to: scores by seed, and differences of pairs."""

import json
from pathlib import Path

import torch
from mmengine.config import Config

from ..analysis.seeds import Statistic
from ..markdown import markdown_table
from ..metrics.report import AITOD_COLUMNS
from ..version import __version__
from .grid import Grid
from .runs import CURVE, SCORES


def summarise(grid: Grid, folders: dict[str, dict[int, Path]]) -> dict:
    """Gather the scores of all runs.

    Args:
        grid (Grid): The grid.
        folders (dict[str, dict[int, Path]]): From `run_grid`.

    Returns:
        dict: `arms`: for each arm the metrics as lists, a seed each, in percent; where
        there is no ground truth of a size, None. `parameters`, `flops` and `seconds`
        are beside them, and if runs were scored more than once `curve`: the `epoch`s
        and the `AP` at each, for each seed. `baseline`: the name of its arm. `setup`:
        what it depends on; its `start` is the training that arms started from, its
        `commits` are those of sarl's repository that runs were made with, and `dirty`
        tells whether a tracked file was changed then, or None if nothing knows.
    """
    arms, devices, commits, dirty = {}, [], [], []
    for name, by_seed in folders.items():
        runs = [
            json.loads((folder / SCORES).read_text()) for folder in by_seed.values()
        ]
        # The metric's own prefix, as in aitod/AP, is the same in all runs.
        keys = [key for key in runs[0]['scores'] if '/' in key]
        arms[name] = {
            key.split('/', 1)[1]: [_percent(run['scores'][key]) for run in runs]
            for key in keys
        }
        arms[name] |= {key: runs[0][key] for key in ('parameters', 'flops')}
        arms[name]['seconds'] = [run['seconds'] for run in runs]
        curves = [
            json.loads((folder / CURVE).read_text()) for folder in by_seed.values()
        ]
        if len(curves[0]) > 1:
            arms[name]['curve'] = dict(
                epoch=[row['epoch'] for row in curves[0]],
                AP=[[_percent(row['aitod/AP']) for row in curve] for curve in curves],
            )
        devices += [run['device'] for run in runs]
        commits += [run['commit'] for run in runs]
        dirty += [run['dirty'] for run in runs]
    cfg = grid.arms[grid.baseline]
    return dict(
        arms=arms,
        baseline=grid.baseline,
        setup=dict(
            seeds=list(grid.seeds),
            **_training(cfg),
            start=_start(grid.start),
            scored=_tail(cfg.val_dataloader.dataset),
            flops_size=runs[0]['flops_size'],
            device=' and '.join(dict.fromkeys(devices)),
            torch=torch.__version__,
            sarl=__version__,
            # None where sarl does not run from a checkout.
            commits=list(dict.fromkeys(commits)),
            dirty=any(dirty) or (None if None in dirty else False),
        ),
    )


def _percent(score: float) -> float | None:
    return None if score < 0 else round(100 * score, 4)


def _start(grid: Grid | None) -> dict[str, int | str] | None:
    if grid is None:
        return None
    return dict(arm=grid.baseline, **_training(grid.arms[grid.baseline]))


def _training(cfg: Config) -> dict[str, int | str]:
    return dict(
        epochs=cfg.train_cfg.max_epochs,
        batch_size=cfg.train_dataloader.batch_size,
        train=_tail(cfg.train_dataloader.dataset),
    )


def _tail(dataset: dict) -> str:
    """Name an annotation file without saying where on this machine it lies."""
    path = Path(dataset.data_root, dataset.ann_file)
    return '/'.join(path.parts[-3:])


def markdown(summary: dict) -> str:
    """Lay a summary out as two tables.

    Args:
        summary (dict): From `summarise`.

    Returns:
        str: Mean and standard deviation of each score in percent, with the costs; and
        the paired difference of each with its 95 % interval.
    """
    baseline = summary['arms'][summary['baseline']]
    scores = markdown_table(['', *AITOD_COLUMNS, 'parameters', 'GFLOPs'])
    differences = markdown_table([f'- {summary["baseline"]}', *AITOD_COLUMNS])
    for name, arm in summary['arms'].items():
        costs = f'{arm["parameters"]:,}', f'{arm["flops"] / 1e9:.2f}'
        cells = [_score(arm[key]) for key in AITOD_COLUMNS.values()]
        scores.add_row([name, *cells, *costs])
        if arm is not baseline:
            cells = [
                _difference(arm[key], baseline[key]) for key in AITOD_COLUMNS.values()
            ]
            differences.add_row([name, *cells])
    setup = summary['setup']
    start = ''
    if trained := setup['start']:
        start = (
            f' from {trained["arm"]} after {trained["epochs"]} epochs of '
            f'{trained["train"]}'
        )
    seeds = ', '.join(map(str, setup['seeds']))
    if len(setup['seeds']) > 1:
        numbers = (
            f'mean (standard deviation) over seeds {seeds}. The differences are paired '
            f"by seed, with their 95 % interval by Student's t."
        )
    else:
        numbers = f'seed {seeds}.'
    return (
        f'{scores}\n\n{differences}\n\nPercent: {numbers} Scored on '
        f'{setup["scored"]} after {setup["epochs"]} epochs of {setup["train"]}{start}; '
        f'FLOPs at {setup["flops_size"][0]} x {setup["flops_size"][1]} px. '
        f'{setup["device"]}, torch {setup["torch"]}.\n'
    )


def _score(values: list[float | None]) -> str:
    return '-' if None in values else Statistic(values).as_score()


def _difference(values: list[float | None], baseline: list[float | None]) -> str:
    if None in values + baseline:
        return '-'
    pairs = zip(values, baseline, strict=True)
    return Statistic([value - plain for value, plain in pairs]).as_difference()
