"""Check a download of AI-TOD or AI-TOD-v2, and make its xView part."""

import argparse
import os
import sys
from pathlib import Path

from sarl.conversion.aitod import RELEASES, check_release, format_report
from sarl.conversion.xview import CHANNELS, REPORT, make_tiles
from sarl.engine import launch
from sarl.files import write_json


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest='command', required=True)
    check = commands.add_parser(
        'check',
        help='compare a folder with the release; status 0 if it is complete',
    )
    check.add_argument('root', metavar='ROOT', type=Path)
    check.add_argument(
        '--version', choices=RELEASES, help='default: those it has annotations of'
    )
    check.add_argument('--out', type=Path, help='JSON file to write all findings to')
    xview = commands.add_parser(
        'xview', help='cut the tiles that AI-TOD took from xView'
    )
    xview.add_argument(
        'xview', metavar='XVIEW', type=Path, help='folder of train_images'
    )
    xview.add_argument('--out', type=Path, required=True, help='folder of the tiles')
    xview.add_argument(
        '--annotations',
        nargs='+',
        type=Path,
        default=[],
        metavar='JSON',
        help='files of AI-TOD: make the tiles they name and no others',
    )
    xview.add_argument(
        '--channels',
        choices=CHANNELS,
        default='aitod',
        help="aitod: red and blue exchanged, as by AI-TOD's code (default); xview: not",
    )
    for command in (check, xview):
        command.add_argument(
            '--workers', type=int, default=os.cpu_count(), help='default: all CPUs'
        )
    return parser.parse_args()


def run_check(args: argparse.Namespace) -> bool:
    if args.out:
        launch.check_output_file(args.out, '--out')
    report = check_release(args.root, args.version, args.workers)
    if args.out:
        write_json(args.out, report, indent=1)
    print(format_report(report))
    return report['complete']


def run_xview(args: argparse.Namespace) -> bool:
    launch.check_writable(args.out, '--out')
    report = make_tiles(
        args.xview, args.out, args.annotations, args.channels, args.workers
    )
    print(f'{args.out}: {len(report["tiles"]):,} tiles, {report["made"]:,} made now')
    if report['features_left_out']:
        print(
            f'{report["features_left_out"]:,} labels of xView are malformed, left out'
        )
    not_made = report['not_made']
    if not_made:
        print(f'{len(not_made):,} could not be made, all in {args.out / REPORT}:')
        for name, reason in list(not_made.items())[:10]:
            print(f'  {name}: {reason}')
    return not not_made


def main() -> None:
    args = parse_args()
    run = run_check if args.command == 'check' else run_xview
    sys.exit(not run(args))


if __name__ == '__main__':
    launch.run_tool(main)
