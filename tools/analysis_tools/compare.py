"""Print trainings side by side, and beside published results on the same data.

Runs of one config with different seeds become one row. A measured row and a published
one never share a table.
"""

import argparse
import warnings
from pathlib import Path

from sarl.analysis.compare import compare
from sarl.analysis.runs import SPLITS
from sarl.analysis.tables import as_json, as_markdown
from sarl.engine import launch
from sarl.files import write_json, write_whole


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument(
        'work_dirs', nargs='+', metavar='WORK_DIR', help='of a finished training'
    )
    parser.add_argument(
        '--baseline', help='row, the name of a config, to compare the others with'
    )
    parser.add_argument(
        '--scores',
        choices=SPLITS,
        default='val',
        help='those of the last evaluation of the training, or of the latest test',
    )
    parser.add_argument('--out', help='Markdown file to write, not the screen')
    parser.add_argument('--json', help='JSON file to write as well')
    parser.add_argument(
        '--size',
        type=int,
        default=800,
        help='side in px of the image that costs are measured on',
    )
    parser.add_argument(
        '--no-latency', action='store_true', help='do not time the detectors'
    )
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    warnings.filterwarnings('ignore')  # of deprecations in what we depend on
    for file, option in ((args.out, '--out'), (args.json, '--json')):
        if file:
            launch.check_output_file(file, option)
    comparison = compare(
        args.work_dirs, args.baseline, args.scores, args.size, not args.no_latency
    )
    text = as_markdown(comparison)
    if args.json:
        write_json(Path(args.json), as_json(comparison), indent=2)
    if args.out:
        write_whole(Path(args.out), text.encode())
    else:
        print(text, end='')


if __name__ == '__main__':
    launch.run_tool(main)
