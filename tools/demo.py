"""Train and compare the plain YOLOv5-n and YOLOv5-n + SARL + SAL."""

import argparse
import os
import warnings
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        '--data',
        type=Path,
        help='COCO-format data: a folder with annotations/{train,val}.json and '
        'images/; without it, scenes that sarl draws itself',
    )
    parser.add_argument('--epochs', type=int, help='length of the training')
    parser.add_argument(
        '--device', choices=['cpu', 'cuda'], help='default: cuda if there is one'
    )
    parser.add_argument(
        '--work-dir',
        type=Path,
        default=Path('work_dirs/demo'),
        help='where results go (default: %(default)s)',
    )
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    if args.device == 'cpu':
        # MMEngine takes the GPU if it sees one, and looks when it is imported.
        os.environ['CUDA_VISIBLE_DEVICES'] = ''
    warnings.filterwarnings('ignore')  # of deprecations in what we depend on

    from sarl.demo import run_demo
    from sarl.engine.launch import run_tool

    run_tool(
        lambda: run_demo(
            configs=ROOT / 'configs',
            work_dir=args.work_dir,
            scenes=Path('data/scenes'),
            data=args.data,
            epochs=args.epochs,
            device=args.device,
        )
    )


if __name__ == '__main__':
    main()
