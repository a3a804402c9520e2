"""A comparison of trainings, written out for people and for programs."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path

from ..markdown import markdown_table
from .compare import Comparison, Difference, Row
from .runs import Run
from .seeds import Statistic


def as_markdown(comparison: Comparison) -> str:
    """Write what was measured, the runs it is of, and what others have published.

    Args:
        comparison (Comparison): What to write.
    """
    parts = [
        '## Measured',
        _measured(comparison),
        _notes(comparison),
        '## Runs',
        _runs(comparison),
    ]
    if comparison.benchmark is not None:
        parts += [
            f'## Published by others: {comparison.benchmark.name}',
            _published(comparison),
            'As the sources print them, in percent; none of these was measured here.',
        ]
    elif comparison.known_benchmark is not None:
        known = comparison.known_benchmark
        parts.append(
            f'What others have published is of {known.name}, by {known.evaluator} as '
            f'it is by default: it does not stand beside these scores.'
        )
    return '\n\n'.join(parts) + '\n'


def as_json(comparison: Comparison) -> dict:
    """Write the same as JSON; scores that were measured are fractions.

    Args:
        comparison (Comparison): What to write.
    """
    benchmark = comparison.benchmark
    return dict(
        measured=[_row_as_json(comparison, row) for row in comparison.rows],
        runs=[_run_as_json(run, comparison.columns) for run in comparison.runs],
        published=asdict(benchmark) if benchmark else None,
        baseline=comparison.baseline.name if comparison.baseline else None,
        setting=comparison.setting,
    )


def _measured(comparison: Comparison) -> str:
    baseline = comparison.baseline
    header = ['', *comparison.columns]
    if baseline is not None:
        header.append(f'AP - {baseline.name}')
    header += ['seeds', 'parameters', 'GFLOPs']
    header += ['ms'] if comparison.timed else []
    header.append('training time')
    lines = []
    for row in comparison.rows:
        line = [row.name, *map(_percent, map(row.score, comparison.columns.values()))]
        if baseline is not None:
            difference = row.difference(baseline, comparison.columns['AP'])
            line.append('' if row is baseline else _difference(difference))
        line += [
            ', '.join(_or_dash(run.seed) for run in row.runs),
            f'{row.cost.parameters:,}',
            f'{row.cost.flops / 1e9:.2f}',
        ]
        line += [f'{row.cost.ms:.1f}'] if comparison.timed else []
        line.append(_duration(row.training_seconds()))
        lines.append(line)
    return _table(header, lines)


def _notes(comparison: Comparison) -> str:
    setting = comparison.setting
    notes = [
        'Percent, mean (standard deviation) over the seeds; "-" where there is '
        'nothing to score or nothing is known.'
    ]
    if comparison.baseline is not None:
        notes.append(
            'Differences are paired by seed where both have the seeds, with their 95 % '
            "interval by Student's t, and else between the means."
        )
    if comparison.runs[0].split == 'val':
        notes.append('Scores are of the last evaluation of each training.')
    else:
        notes.append('Scores are of the latest test in each work directory.')
    size = setting['image_size']
    notes.append(
        f'Costs are of one forward pass on {size} x {size} px with random weights; '
        f'FLOPs count a multiplication and addition as one.'
    )
    if comparison.timed:
        notes.append(
            f'ms: median of passes in which the detectors took turns, without NMS of '
            f'one-stage detectors, on {setting["device"]}, torch {setting["torch"]}.'
        )
    return ' '.join(notes)


def _runs(comparison: Comparison) -> str:
    header = [
        *('work directory', 'config', 'seed', 'AP', 'scored', 'training time'),
        *('trained on', 'batch', 'commit', 'training data', 'scored data'),
    ]
    lines = []
    for row in comparison.rows:
        for run in row.runs:
            record = run.record
            ap = run.score(comparison.columns['AP'])
            seconds = record.get('training_seconds')
            lines.append(
                [
                    run.folder,
                    row.name,
                    _or_dash(run.seed),
                    _percent(None if ap is None else Statistic([ap])),
                    run.scored,
                    _duration(None if seconds is None else Statistic([seconds])),
                    *_machine(record),
                    _commits(record),
                    _files(run.train_data),
                    _files(run.scored_data),
                ]
            )
    notes = [
        'Batch: processes x images each. Data: annotation file and start of its '
        'SHA-256. "+" after a commit: files were changed.'
    ]
    commits = {_commits(run.record) for run in comparison.runs if run.record}
    if len(commits) > 1:
        notes.append(
            f'**The runs are of {len(commits)} different states of the code.**'
        )
    return f'{_table(header, lines)}\n\n{" ".join(notes)}'


def _published(comparison: Comparison) -> str:
    rows = comparison.benchmark.rows
    columns = list(dict.fromkeys(name for row in rows for name in row.scores))
    lines = [
        [row.method, *(_number(row.scores.get(name)) for name in columns), row.source]
        for row in rows
    ]
    return _table(['', *columns, 'source'], lines)


def _table(header: Sequence[str], lines: Sequence[Sequence]) -> str:
    table = markdown_table(header)
    table.add_rows(lines)
    return table.get_string()


def _percent(statistic: Statistic | None) -> str:
    return '-' if statistic is None else _in_percent(statistic).as_score()


def _in_percent(statistic: Statistic) -> Statistic:
    return Statistic([100 * value for value in statistic.values])


def _difference(difference: Difference | None) -> str:
    if difference is None:
        return '-'
    pairs = len(difference.seeds)
    how = f'{pairs} pair{"s" * (pairs > 1)}' if pairs else 'not paired'
    return f'{_in_percent(difference.statistic).as_difference()} ({how})'


def _duration(statistic: Statistic | None) -> str:
    """Write seconds as h:mm:ss."""
    if statistic is None:
        return '-'
    return str(timedelta(seconds=round(statistic.mean)))


def _number(value: float | None) -> str:
    return '-' if value is None else f'{value:.1f}'


def _or_dash(value) -> str:
    return '-' if value is None else str(value)


def _sessions(record: dict) -> list[dict]:
    return [*record.get('earlier_sessions', []), record] if record else []


def _machine(record: dict) -> tuple[str, str]:
    """Name all devices and batches of a run, which may differ after a resume."""
    devices = dict.fromkeys(session['device'] for session in _sessions(record))
    batches = dict.fromkeys(
        f'{session["processes"]} x {session["batch_size"]}'
        for session in _sessions(record)
    )
    return ', then '.join(devices) or '-', ', then '.join(batches) or '-'


def _commits(record: dict) -> str:
    """Name the code of a run: commits, or releases where it was of no checkout."""
    commits = dict.fromkeys(
        session['commit'][:10] + ('+' if session['dirty'] else '')
        if session['commit']
        else f'sarl {session["versions"]["sarl"]}'
        for session in _sessions(record)
    )
    return ', then '.join(commits) or '-'


def _files(files: dict[str, str | None]) -> str:
    return ', '.join(
        f'{Path(file).name} {digest[:8] if digest else "-"}'
        for file, digest in files.items()
    )


def _row_as_json(comparison: Comparison, row: Row) -> dict:
    content = dict(
        name=row.name,
        seeds=[run.seed for run in row.runs],
        scores={
            name: _as_json(row.score(key)) for name, key in comparison.columns.items()
        },
        **asdict(row.cost),
        training_seconds=_as_json(row.training_seconds()),
    )
    if comparison.baseline is not None:
        content['difference'] = {}
        for name, key in comparison.columns.items():
            difference = row.difference(comparison.baseline, key)
            content['difference'][name] = difference and dict(
                **_as_json(difference.statistic),
                half_interval=difference.statistic.half_interval,
                paired_seeds=difference.seeds,
            )
    return content


def _as_json(statistic: Statistic | None) -> dict | None:
    if statistic is None:
        return None
    return dict(mean=statistic.mean, std=statistic.std, values=statistic.values)


def _run_as_json(run: Run, columns: dict[str, str]) -> dict:
    return dict(
        work_dir=str(run.folder),
        config=run.name,
        seed=run.seed,
        scored=run.scored,
        scores_file=str(run.scores_file),
        scores={name: run.score(key) for name, key in columns.items()},
        training_data=run.train_data,
        scored_data=run.scored_data,
        record=run.record,
    )
