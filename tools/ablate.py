"""Train every arm of a grid with every seed, and compare them pair by pair."""

import argparse
from pathlib import Path

from sarl.ablation import ablate
from sarl.engine.launch import check_writable, run_tool


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('grid', type=Path, help='grid file, as in configs/ablation')
    parser.add_argument(
        '--held-out',
        action='store_true',
        help="choose on the grid's held-out part of the training set; without it, the "
        'whole training set trains and the validation set is scored',
    )
    parser.add_argument('--seeds', type=int, nargs='+', help="in place of the grid's")
    parser.add_argument(
        '--arms', nargs='+', help='only these, beside the baseline', metavar='NAME'
    )
    parser.add_argument(
        '--jobs', type=int, default=1, help='runs at once (default: %(default)s)'
    )
    parser.add_argument(
        '--evaluations',
        type=int,
        default=1,
        help='times a run is scored at most, evenly spread, for curves '
        '(default: %(default)s)',
    )
    parser.add_argument(
        '--work-dir',
        type=Path,
        default=Path('work_dirs/ablation'),
        help='runs go here (default: %(default)s)',
    )
    parser.add_argument(
        '--out',
        type=Path,
        help='summary.json, table.md and curves.png go here, in place of those that '
        'are there (default: docs/ablation, with --held-out docs/ablation/held_out; '
        'they hold what the docs quote: name another folder to keep it)',
    )
    parser.add_argument(
        '--download',
        action='store_true',
        help='fetch weights that the grid names by URL',
    )
    args = parser.parse_args()
    if args.out is None:
        args.out = Path('docs/ablation', 'held_out' if args.held_out else '')
    return args


def main() -> None:
    args = parse_args()
    for option, folder in (('--work-dir', args.work_dir), ('--out', args.out)):
        check_writable(folder, option)
    print(
        ablate(
            args.grid,
            args.work_dir,
            args.out,
            held_out=args.held_out,
            seeds=args.seeds,
            arms=args.arms,
            jobs=args.jobs,
            evaluations=args.evaluations,
            download=args.download,
        )
    )


if __name__ == '__main__':
    run_tool(main)
