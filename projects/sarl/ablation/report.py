"""From a grid file to a summary, a table and a figure."""

from collections.abc import Sequence
from pathlib import Path

from ..errors import InputError
from ..files import write_json, write_whole
from .curves import draw_curves
from .grid import read_grid, use_held_out
from .runs import run_grid
from .summary import markdown, summarise


def ablate(
    path: Path,
    work_dir: Path,
    out: Path,
    held_out: bool = False,
    seeds: Sequence[int] | None = None,
    arms: Sequence[str] | None = None,
    jobs: int = 1,
    evaluations: int = 1,
    download: bool = False,
) -> str:
    """Run a grid, as far as it has not been run, and write what it came to.

    Args:
        path (Path): The grid file, see `read_grid`.
        work_dir (Path): Gets a folder for every arm and seed.
        out (Path): Gets `summary.json`, `table.md` and, if runs were scored more than
            once, `curves.png`.
        held_out (bool): Train and score on two parts of the training set, to choose by.
        seeds (Sequence[int], optional): In place of those of the file.
        arms (Sequence[str], optional): Only these, beside the baseline.
        jobs (int): Runs at once.
        evaluations (int): Times that each run is scored at most.
        download (bool): Fetch weights that the grid names by URL.

    Returns:
        str: The table.

    Raises:
        InputError: On a bad grid file or data, or if a run failed.
    """
    if jobs < 1 or evaluations < 1:
        raise InputError('jobs and evaluations are numbers from 1.')
    grid = read_grid(path, seeds)
    if arms is not None:
        if unknown := set(arms) - set(grid.arms):
            raise InputError(
                f'{path} has no arms {sorted(unknown)}, only {list(grid.arms)}.'
            )
        for name in set(grid.arms) - {*arms, grid.baseline}:
            del grid.arms[name]
    if held_out:
        use_held_out(grid, work_dir)
    folders = run_grid(grid, work_dir, jobs, evaluations, download)
    summary = summarise(grid, folders)
    table = markdown(summary)
    write_json(out / 'summary.json', summary, indent=2)
    write_whole(out / 'table.md', table.encode())
    if 'curve' in summary['arms'][grid.baseline]:
        draw_curves(summary, out / 'curves.png')
    return table
