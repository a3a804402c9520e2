"""Time dota2coco.py against MMYOLO's dota_split.py, and measure its memory.

Both tools run as their users run them, with as many processes, one after the other,
on drawn scenes or on those of a folder.
"""

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from importlib.util import find_spec
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np

OURS = Path(__file__).parents[1] / 'dataset_converters/dota2coco.py'
SPLIT = dict(
    patch_sizes=[1024],
    patch_overlap_sizes=[200],
    img_resize_ratio=[1.0],
    min_img_ratio=0.6,
    iof_thr=0.7,
    padding=True,
    padding_value=[104, 116, 124],
)


def draw_scene(seed: int, folder: Path, size: int, objects: int) -> None:
    """Write one scene with its labels.

    Smooth terrain, grain and small slanting vehicles: as PNG it compresses about as
    well as an aerial photograph.

    Args:
        seed (int): What it shows; also its name.
        folder (Path): Holds `images/` and `labelTxt/`.
        size (int): Side of the scene in px.
        objects (int): Number of objects.
    """
    rng = np.random.default_rng(seed)
    scene = np.zeros((size, size, 3), np.uint8)
    # In bands, so that the largest scenes need little memory.
    for top in range(0, size, 1000):
        rows = min(1000, size - top)
        coarse = rng.integers(40, 200, (rows // 50 + 2, size // 50 + 2, 3), np.uint8)
        band = cv2.resize(coarse, (size, rows), interpolation=cv2.INTER_CUBIC)
        grain = rng.integers(0, 7, (rows, size, 1), np.uint8)
        scene[top : top + rows] = cv2.add(band, np.repeat(grain, 3, axis=2))
    lines = ['imagesource:drawn', 'gsd:null']
    for _ in range(objects):
        centre = rng.uniform(0, size, 2).tolist()
        sides = rng.uniform(8, 40, 2).tolist()
        corners = cv2.boxPoints((centre, sides, float(rng.uniform(0, 90))))
        colour = rng.integers(0, 256, 3).tolist()
        cv2.fillPoly(scene, [corners.round().astype(np.int32)], colour)
        numbers = ' '.join(f'{value:.1f}' for value in corners.reshape(-1))
        lines.append(f'{numbers} small-vehicle 0')
    cv2.imwrite(str(folder / f'images/P{seed:04}.png'), scene)
    (folder / f'labelTxt/P{seed:04}.txt').write_text('\n'.join(lines))


def peak_growth(folder: Path) -> float:
    """Cut the scenes of a folder here; tell by how much the peak grew, in bytes."""
    from sarl.conversion.dota import convert
    from sarl.conversion.tiling import Tiling

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    convert(folder, folder / 'tiles', Tiling())
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return (after - before) * 1024


def new_process() -> ProcessPoolExecutor:
    """Start a process that is no fork: what its parent has in memory would count."""
    return ProcessPoolExecutor(1, get_context('spawn'))


def seconds(*command: object) -> np.ndarray:
    """Run a command without showing its output; tell wall-clock and processor time."""
    start = [time.perf_counter(), *os.times()[2:4]]
    subprocess.run(list(map(str, command)), check=True, capture_output=True)
    wall, user, system = np.subtract([time.perf_counter(), *os.times()[2:4]], start)
    return np.array([wall, user + system])


def megabytes(folder: Path) -> float:
    """Add up the sizes of the files in a folder."""
    return sum(path.stat().st_size for path in folder.iterdir()) / 1e6


def copy_scenes(source: Path, copies: int, folder: Path) -> None:
    """Link to each scene of a folder and its labels under as many names."""
    for labels in sorted((source / 'labelTxt').glob('*.txt')):
        (image,) = (source / 'images').glob(f'{labels.stem}.*')
        for copy in range(copies):
            name = f'{labels.stem}_{copy:03}'
            (folder / f'images/{name}{image.suffix}').symlink_to(image.resolve())
            (folder / f'labelTxt/{name}.txt').symlink_to(labels.resolve())


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument(
        '--source',
        type=Path,
        metavar='DIR',
        help='folder with images/ and labelTxt/ to cut instead of drawn scenes',
    )
    parser.add_argument('--copies', type=int, default=1, help='of each scene of DIR')
    parser.add_argument('--images', type=int, default=8, help='scenes to draw')
    parser.add_argument('--size', type=int, default=4000, help='side of a scene in px')
    parser.add_argument('--objects', type=int, default=500, help='objects a scene')
    parser.add_argument('--workers', type=int, default=2, help='processes')
    parser.add_argument('--repeats', type=int, default=3, help='runs of each tool')
    parser.add_argument(
        '--memory-size', type=int, default=4000, help='side of the scene to measure by'
    )
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, new_process() as drawing:
        root = Path(folder)
        for name in ('many/train', 'one'):
            (root / name / 'images').mkdir(parents=True)
            (root / name / 'labelTxt').mkdir()
        many = root / 'many/train'
        if args.source:
            copy_scenes(args.source, args.copies, many)
        else:
            draw = partial(
                draw_scene, folder=many, size=args.size, objects=args.objects
            )
            list(drawing.map(draw, range(args.images)))
        compare(root, args.workers, args.repeats)

        one = root / 'one'
        drawing.submit(draw_scene, 0, one, args.memory_size, args.objects).result()
        with new_process() as cutting:
            growth = cutting.submit(peak_growth, one).result()
        decoded = 3 * args.memory_size**2
        print(
            f'memory of a worker on {args.memory_size} x {args.memory_size} px: '
            f'{growth / 1e6:.0f} MB, {growth / decoded:.2f} times the decoded image'
        )


def compare(root: Path, workers: int, repeats: int) -> None:
    """Time both tools in turns on the scenes of `root / 'many/train'`, and print it."""
    many = root / 'many/train'
    tool = Path(find_spec('mmyolo').submodule_search_locations[0])
    tool /= '.mim/tools/dataset_converters/dota/dota_split.py'
    (root / 'split.json').write_text(json.dumps(SPLIT))
    (many / 'theirs').mkdir()
    (many / 'theirs/labelTxt').symlink_to(many / 'labelTxt')
    theirs = [tool, root / 'split.json', root / 'many', root / 'theirs']
    theirs += ['--ann-subdir', 'theirs', '--phase', 'train', '--nproc', workers]
    ours = [OURS, many, '--out', root / 'ours', '--workers', workers]
    rows = {
        'dota_split.py': (theirs, root / 'theirs/train/images'),
        'dota2coco.py': (ours, root / 'ours/images'),
    }
    files = list((many / 'images').iterdir())
    print(
        f'{len(files)} scenes of {megabytes(many / "images"):.0f} MB, {workers} '
        f'processes, {repeats} runs of each tool in turns; seconds by the clock and of '
        f'the processors, median, and the range of the ratios'
    )
    times = {name: [] for name in rows}
    for _ in range(repeats):
        for name, (command, images) in rows.items():
            # Files that are there already are written faster, or not at all.
            for output in (root / 'theirs', root / 'ours'):
                shutil.rmtree(output, ignore_errors=True)
            start_up = seconds(sys.executable, command[0], '--help')
            total = seconds(sys.executable, *command)
            times[name].append([total, total - start_up])
            size = f'{len(list(images.iterdir()))} tiles, {megabytes(images):.0f} MB'
            print(f'{name:14} {total.round(1)}, load {os.getloadavg()[0]:.1f}; {size}')
    theirs_, ours_ = map(np.array, times.values())
    for index, what in enumerate(('in all', 'without start-up')):
        ratios = theirs_[:, index] / ours_[:, index]
        print(
            f'{what:17}{np.median(theirs_[:, index], axis=0).round(1)} against '
            f'{np.median(ours_[:, index], axis=0).round(1)}; ratio '
            f'{np.median(ratios, axis=0).round(2)}, from {ratios.min(axis=0).round(2)} '
            f'to {ratios.max(axis=0).round(2)}'
        )


if __name__ == '__main__':
    main()
