"""Trainings side by side, and beside what others have published."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import torch

from ..engine.run_record import device_name
from ..errors import InputError
from ..metrics.report import AITOD_COLUMNS
from ..version import __version__
from .cost import Cost, costs_of_configs
from .published import BENCHMARKS, Benchmark
from .runs import Run, read_run
from .seeds import Statistic

_AITOD = tuple(AITOD_COLUMNS.values())
_COCO = ('AP', 'AP_50', 'AP_75', 'AP_s', 'AP_m', 'AP_l')


def _columns(prefix: str, rows: Sequence[str]) -> dict[str, str]:
    return {row.replace('_', ''): prefix + row for row in rows}


# Of each metric the columns of a table, with the keys of their scores. What is
# published for VisDrone follows COCO's protocol.
METRICS = (
    _columns('aitod/', _AITOD),
    {
        **_columns('visdrone/coco_', (*_AITOD, 'AP_l')),
        **{f'official {row}': f'visdrone/{row}' for row in ('AP', 'AP50', 'AP75')},
    },
    _columns('coco/', _COCO),
    _columns('coco/bbox_m', _COCO),  # MMDetection's CocoMetric
)


@dataclass
class Row:
    """The runs of one config.

    Args:
        name (str): Of the config.
        runs (list[Run]): Their seeds differ.
        cost (Cost): Of its detector.
    """

    name: str
    runs: list[Run]
    cost: Cost | None = None

    def score(self, key: str) -> Statistic | None:
        """Summarise a score; None if there is nothing to score.

        Args:
            key (str): Such as 'aitod/AP'.
        """
        values = [run.score(key) for run in self.runs]
        return None if None in values else Statistic(values)

    def training_seconds(self) -> Statistic | None:
        """Summarise the time that the trainings took; None if it is not known."""
        values = [run.record.get('training_seconds') for run in self.runs]
        return None if None in values else Statistic(values)

    def difference(self, other: 'Row', key: str) -> 'Difference | None':
        """Compare a score with that of another row; None if one of them has none.

        Args:
            other (Row): The baseline.
            key (str): Such as 'aitod/AP'.
        """
        if self.score(key) is None or other.score(key) is None:
            return None
        mine, theirs = (
            {run.seed: run.score(key) for run in row.runs if run.seed is not None}
            for row in (self, other)
        )
        shared = sorted(mine.keys() & theirs.keys())
        if shared:
            return Difference(
                Statistic([mine[seed] - theirs[seed] for seed in shared]), shared
            )
        between_means = self.score(key).mean - other.score(key).mean
        return Difference(Statistic([between_means]), [])


@dataclass
class Difference:
    """How much better a row is than the baseline.

    Args:
        statistic (Statistic): Of the differences seed by seed; or else the difference
            of the means.
        seeds (list[int]): Seeds that both have; without any, nothing is paired.
    """

    statistic: Statistic
    seeds: list[int]


@dataclass
class Comparison:
    """Runs that were scored on the same data by the same protocol.

    Args:
        rows (list[Row]): A config each.
        columns (dict[str, str]): Keys of scores by the names of their columns.
        baseline (Row, optional): The row that the others are compared with.
        size (int, optional): Side of the image that costs are measured on, in px.
        timed (bool): Whether the costs have a time.
    """

    rows: list[Row]
    columns: dict[str, str]
    baseline: Row | None = None
    size: int | None = None
    timed: bool = False

    @property
    def runs(self) -> list[Run]:
        """The runs of all rows."""
        return [run for row in self.rows for run in row.runs]

    @property
    def known_benchmark(self) -> Benchmark | None:
        """What is published for the data set, whatever its split and protocol."""
        return BENCHMARKS.get(self.runs[0].dataset.type.split('.')[-1])

    @property
    def benchmark(self) -> Benchmark | None:
        """What is published for the data and protocol of these runs."""
        run, benchmark = self.runs[0], self.known_benchmark
        if benchmark is None or run.protocol != [dict(type=benchmark.evaluator)]:
            return None
        (file,) = run.scored_data
        words = re.split('[^a-z]+', f'{Path(file).parent.name}/{Path(file).stem}')
        return benchmark if benchmark.split in words else None

    @property
    def setting(self) -> dict:
        """What the costs depend on."""
        return dict(
            sarl=__version__,
            torch=torch.__version__,
            device=device_name(),
            image_size=self.size,
            timed=self.timed,
        )


def compare(
    folders: Sequence[str | Path],
    baseline: str | None = None,
    split: str = 'val',
    size: int = 800,
    timed: bool = True,
) -> Comparison:
    """Read work directories and measure what their detectors cost.

    Args:
        folders (Sequence[str | Path]): The work directories.
        baseline (str, optional): The row to compare the others with.
        split (str): 'val' takes the last evaluation of each training, 'test' its
            latest test.
        size (int): Side of the image that costs are measured on, in px.
        timed (bool): Whether to time the detectors.

    Raises:
        InputError: As in `read_run`; if a folder is named twice, the runs are not
            comparable, two of them have the same config and seed, or there is no row of
            the baseline's name.
    """
    for folder, count in Counter(Path(folder).resolve() for folder in folders).items():
        if count > 1:
            raise InputError(f'{folder} is named {count} times. Name it once.')
    runs = [read_run(folder, split) for folder in folders]
    for one, other in combinations(runs, 2):
        _check_comparable(one, other)
    columns = _metric_of(runs)
    for run in runs:
        for key in columns.values():
            run.score(key)
    rows = _group(runs)
    names = {row.name: row for row in rows}
    if baseline is not None and baseline not in names:
        raise InputError(
            f'there is no row {baseline!r} to compare with. The rows are: '
            f'{", ".join(names)}.'
        )
    costs = costs_of_configs([row.runs[0].cfg for row in rows], size, timed)
    for row, cost in zip(rows, costs, strict=True):
        row.cost = cost
    return Comparison(rows, columns, names.get(baseline), size, timed)


def _check_comparable(run: Run, other: Run) -> None:
    if not _same_data(run.scored_data, other.scored_data):
        raise InputError(
            f'{run.folder} is scored on {describe_data(run.scored_data)} and '
            f'{other.folder} on {describe_data(other.scored_data)}: scores on '
            f'different data do not compare. Make a table of each.'
        )
    if run.protocol != other.protocol:
        raise InputError(
            f'{run.folder} is scored by {run.protocol} and {other.folder} by '
            f'{other.protocol}: scores by different protocols do not compare. Make a '
            f'table of each.'
        )


def _same_data(files: dict, others: dict) -> bool:
    """Compare contents where they are known, and else names."""
    hashes, other_hashes = list(files.values()), list(others.values())
    if None in hashes + other_hashes:
        return list(files) == list(others)
    return hashes == other_hashes


def describe_data(files: dict[str, str | None]) -> str:
    """Name annotation files with the start of their hashes.

    Args:
        files (dict[str, str | None]): SHA-256 by path.
    """
    return ', '.join(
        f'{file} ({digest[:8]})' if digest else file for file, digest in files.items()
    )


def _metric_of(runs: Sequence[Run]) -> dict[str, str]:
    for columns in METRICS:
        if all(next(iter(columns.values())) in run.scores for run in runs):
            return columns
    known = ', '.join(next(iter(columns.values())) for columns in METRICS)
    raise InputError(
        f'{runs[0].scores_file} has none of the scores {known}. Use AITODMetric, '
        f'VisDroneMetric or CocoMetric as evaluator.'
    )


def _group(runs: Sequence[Run]) -> list[Row]:
    groups: dict[str, list[Run]] = {}
    for run in runs:
        group = groups.setdefault(run.setting, [])
        for other in group:
            if run.seed == other.seed and run.seed is not None:
                raise InputError(
                    f'{other.folder} and {run.folder} are of the same config and seed '
                    f'{run.seed}: leave one of them out.'
                )
            if not _same_data(run.train_data, other.train_data):
                raise InputError(
                    f'{other.folder} was trained on {describe_data(other.train_data)} '
                    f'and {run.folder}, of the same config, on '
                    f'{describe_data(run.train_data)}. Leave one of them out.'
                )
        group.append(run)
    counts = Counter(group[0].name for group in groups.values())
    tails = _tails([run.folder for run in runs])
    rows = []
    for group in groups.values():
        name = group[0].name
        if counts[name] > 1:
            # Told apart by their folders, as options on the command line made them.
            name += f' ({", ".join(tails[run.folder] for run in group)})'
        rows.append(Row(name, group))
    return rows


def _tails(folders: Sequence[Path]) -> dict[Path, str]:
    """Name folders by as few of their last parts as tell them apart."""
    paths = [folder.resolve().parts for folder in folders]
    length = 1
    while len({path[-length:] for path in paths}) < len(paths):
        length += 1
    return {
        folder: '/'.join(path[-length:])
        for folder, path in zip(folders, paths, strict=True)
    }
