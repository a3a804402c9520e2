"""Train a detector."""

import argparse

from sarl.engine import launch


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='config file')
    parser.add_argument('--work-dir', help='where logs and checkpoints go')
    parser.add_argument(
        '--amp',
        action='store_true',
        help='mixed precision: float16 on a GPU, bfloat16 on a CPU',
    )
    parser.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        help='checkpoint to go on from; without a value, the latest in the work dir',
    )
    parser.add_argument(
        '--auto-scale-lr',
        action='store_true',
        help="scale the learning rate by the batch size, as the config's auto_scale_lr "
        'tells',
    )
    parser.add_argument(
        '--download',
        action='store_true',
        help='fetch pretrained weights that the config names by URL',
    )
    return launch.parse_args(parser)


def main() -> None:
    args = parse_args()
    cfg = launch.load_config(
        args.config, args.work_dir, args.cfg_options, args.launcher
    )
    if args.amp:
        launch.enable_amp(cfg)
    if args.auto_scale_lr:
        launch.enable_auto_scale_lr(cfg)
    launch.train(cfg, args.resume, args.download)


if __name__ == '__main__':
    launch.run_tool(main)
