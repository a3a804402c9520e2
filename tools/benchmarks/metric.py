"""Time AITODMetric against pycocotools, from the same files to the same numbers.

Scale 1 is AI-TOD's test set: 14,018 images, 347,617 objects, two million detections, 8
classes. Half of the objects are of the first class, a quarter of the second, and so on.
Each side runs alone in a process of its own; importing is not timed. pycocotools has no
oLRP: ours computes it in its time.
"""

import argparse
import contextlib
import io
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

IMAGES, OBJECTS, DETECTIONS, CLASSES = 14_018, 347_617, 2_000_000, 8
SIZE = 800
AREAS = {
    'all': (0, 1e10),
    'vt': (0, 64),
    't': (64, 256),
    's': (256, 1024),
    'm': (1024, 1e10),
}


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--scale', type=float, default=0.1, help='share of AI-TOD test')
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--run', choices=SIDES, help=argparse.SUPPRESS)
    parser.add_argument('--folder', type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    if args.run:
        print(json.dumps(measure(args.run, args.folder)))
        return
    with tempfile.TemporaryDirectory() as folder:
        make_data(Path(folder), args.scale, args.seed)
        results = {side: run(side, folder) for side in SIDES}
    ours, theirs = results['sarl'], results['pycocotools']
    for name, value in theirs['rows'].items():
        assert abs(value - ours['rows'][name]) < 1e-9, name
    for side, result in results.items():
        seconds, memory = result['seconds'], result['memory']
        print(f'{side:12} {seconds:7.1f} s, peak memory {memory:.2f} GB')
    print(
        f'{theirs["seconds"] / ours["seconds"]:.1f} times as fast with '
        f'{ours["memory"] / theirs["memory"]:.2f} of the memory; oLRP takes '
        f'{ours["olrp"] / ours["seconds"]:.0%} of our time; '
        f'{len(theirs["rows"])} scores equal to 1e-9'
    )


def make_data(folder: Path, scale: float, seed: int) -> None:
    """Write gt.json and dt.json: 60 % of the detections are objects, moved a bit."""
    rng = np.random.default_rng(seed)
    images, objects, detections = (
        max(1, round(count * scale)) for count in (IMAGES, OBJECTS, DETECTIONS)
    )
    crowding = rng.lognormal(0, 1, images)
    image = np.sort(rng.choice(images, objects, p=crowding / crowding.sum()))
    share = 0.5 ** np.arange(1, CLASSES + 1)
    label = rng.choice(CLASSES, objects, p=share / share.sum())
    side = np.clip(rng.lognormal(np.log(11), 0.5, objects), 2, 120)
    aspect = np.exp(rng.normal(0, 0.25, objects))
    wh = np.stack([side * aspect, side / aspect], 1)
    box = np.concatenate([rng.uniform(0, SIZE - wh), wh], 1)

    source = rng.integers(0, objects, detections)
    near = np.arange(detections) < 0.6 * detections
    spread = rng.choice([0.06, 0.15, 0.4], (detections, 1))
    noise = rng.normal(0, spread, (detections, 4))
    found = box[source]
    found[:, :2] += noise[:, :2] * found[:, 2:]
    found[:, 2:] *= np.exp(noise[:, 2:])
    found[~near, :2] = rng.uniform(0, SIZE - 20, (int((~near).sum()), 2))
    score = np.where(
        near,
        np.exp(-np.abs(noise).sum(1)) * rng.uniform(0.3, 1, detections),
        rng.beta(1, 6, detections),
    )
    order = np.lexsort((-score, image[source]))
    source, found, score = source[order], found[order], score[order]

    def rows(**columns: np.ndarray) -> list[dict]:
        values = zip(*(column.tolist() for column in columns.values()), strict=True)
        return [dict(zip(columns, row, strict=True)) for row in values]

    boxes = dict(image_id=image + 1, category_id=label + 1, bbox=box.round(3))
    truth = dict(
        images=rows(id=np.arange(1, images + 1)),
        categories=rows(
            id=np.arange(1, CLASSES + 1),
            name=np.char.add('class ', np.arange(CLASSES).astype(str)),
        ),
        annotations=rows(
            id=np.arange(1, objects + 1),
            **boxes,
            area=boxes['bbox'][:, 2] * boxes['bbox'][:, 3],
            iscrowd=np.zeros(objects, int),
        ),
    )
    detected = rows(
        image_id=image[source] + 1,
        category_id=label[source] + 1,
        bbox=found.round(3),
        score=score.round(6),
    )
    (folder / 'gt.json').write_text(json.dumps(truth))
    (folder / 'dt.json').write_text(json.dumps(detected))


def run(side: str, folder: str) -> dict:
    command = [sys.executable, __file__, '--run', side, '--folder', folder]
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(output.stdout)


def measure(side: str, folder: Path) -> dict:
    score = SIDES[side]()
    start = time.perf_counter()
    with contextlib.redirect_stdout(io.StringIO()):
        result = score(str(folder / 'gt.json'), str(folder / 'dt.json'))
    return result | dict(
        seconds=time.perf_counter() - start,
        memory=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6,
    )


def sarl_side() -> Callable[[str, str], dict]:
    from sarl.metrics import coco_protocol
    from sarl.metrics.score_files import score_files

    in_olrp = 0.0
    olrp = coco_protocol._olrp

    def timed_olrp(*args):
        nonlocal in_olrp
        start = time.perf_counter()
        result = olrp(*args)
        in_olrp += time.perf_counter() - start
        return result

    def score(truth: str, detections: str) -> dict:
        coco_protocol._olrp = timed_olrp
        rows = score_files('aitod', truth, detections)
        rows = {name.removeprefix('aitod/'): value for name, value in rows.items()}
        return dict(rows=rows, olrp=in_olrp)

    return score


def pycocotools_side() -> Callable[[str, str], dict]:
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    def score(truth: str, detections: str) -> dict:
        coco = COCO(truth)
        evaluator = COCOeval(coco, coco.loadRes(detections), 'bbox')
        evaluator.params.areaRng = list(AREAS.values())
        evaluator.params.areaRngLbl = list(AREAS)
        evaluator.params.maxDets = [1, 100, 1500]
        evaluator.evaluate()
        evaluator.accumulate()
        precision = evaluator.eval['precision'][..., 2]
        means = {
            'AP': precision[..., 0],
            'AP_50': precision[0, ..., 0],
            'AP_75': precision[5, ..., 0],
            'AR_1500': evaluator.eval['recall'][..., 0, 2],
        }
        for index, name in enumerate(AREAS):
            if index:
                means[f'AP_{name}'] = precision[..., index]
        return dict(rows={k: float(v[v > -1].mean()) for k, v in means.items()})

    return score


SIDES = {'sarl': sarl_side, 'pycocotools': pycocotools_side}


if __name__ == '__main__':
    main()
