"""Measure how long VisDrone2019-DET takes to convert.

The files are made up: as many as train, val and test-dev together have, with rows as
many as those of val. The images are tiny, but only their headers are read.
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from sarl.conversion.visdrone import CATEGORIES, convert
from sarl.engine import launch

# Of the logarithm of the number of rows of val's annotation files: mean, deviation.
ROWS = (4.03, 0.85)


def make_split(folder: Path, files: int) -> None:
    rng = np.random.default_rng(0)
    (folder / 'images').mkdir()
    (folder / 'annotations').mkdir()
    image = folder / 'image.jpg'
    Image.new('RGB', (16, 16)).save(image)
    for number in range(files):
        # The files of the data set are separate ones too.
        name = f'{number:07}_00000_d_0000001'
        (folder / f'images/{name}.jpg').write_bytes(image.read_bytes())
        rows = int(rng.lognormal(*ROWS)) + 1
        fields = rng.integers(
            (0, 0, 1, 1, 0, 0, 0, 0),
            (1360, 765, 100, 100, 2, len(CATEGORIES), 2, 3),
            (rows, 8),
        )
        np.savetxt(folder / f'annotations/{name}.txt', fields, '%d', ',')


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--files', type=int, default=8629, help='annotation files')
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        make_split(Path(folder), args.files)
        for workers in (1, 2):
            start = time.perf_counter()
            out = Path(folder, f'{workers}.json')
            summary = convert(Path(folder), out, workers)
            seconds = time.perf_counter() - start
            print(
                f'{workers} workers: {summary.images:,} files with '
                f'{summary.categories.total():,} rows in {seconds:.1f} s'
            )


if __name__ == '__main__':
    launch.run_tool(main)
