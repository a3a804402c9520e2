"""Whether a downloaded AI-TOD or AI-TOD-v2 is what its authors released.

Downloads of AI-TOD come from many hands, lack the xView part, or are half a set. All
that is wrong is listed, not only the first fault.

References:
    Wang et al. 2021, "Tiny Object Detection in Aerial Images", ICPR.
    Xu et al. 2022, "Detecting tiny objects in aerial images: A normalized Wasserstein
    distance and a new benchmark", ISPRS Journal of Photogrammetry and Remote Sensing.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

from ..datasets.aitod import AITODDataset
from ..datasets.coco_file import OUTSIDE_TOLERANCE, is_box, read_json
from ..errors import InputError
from ..images import SUFFIXES, image_problem, image_size
from .folders import walk
from .workers import map_in_order
from .xview import TILE_NAME

CLASSES = AITODDataset.METAINFO['classes']
SPLITS = ('train', 'val', 'trainval', 'test')
# trainval is train and val together; nothing else may share an image.
_DISJOINT = [
    pair for pair in combinations(SPLITS, 2) if 'trainval' not in pair or 'test' in pair
]


class Release(NamedTuple):
    """What a version of AI-TOD consists of.

    Args:
        files (Mapping[str, str]): Splits by the names of annotation files in
            circulation, in lower case.
        images (Mapping[str, int]): Numbers of images of the splits.
        instances (int, optional): Number of boxes of train, val and test together,
            None if it is not known.
        side (int): Width and height of every image, in px.
    """

    files: Mapping[str, str]
    images: Mapping[str, int]
    instances: int | None = None
    side: int = 800


_IMAGES = dict(train=11_214, val=2_804, trainval=14_018, test=14_018)
RELEASES = dict(
    v1=Release(
        {
            **{f'aitod_{split}_v1.json': split for split in SPLITS},
            'small_trainval_v1_1.0.json': 'trainval',
        },
        _IMAGES,
        instances=700_621,
    ),
    v2=Release(
        {
            **{f'aitodv2_{split}.json': split for split in SPLITS},
            'small_trainval_v2_2.0.json': 'trainval',
        },
        _IMAGES,
    ),
)


class _Finding(NamedTuple):
    what: str
    items: list[str]
    # Notes are worth knowing and do not make a release incomplete.
    fault: bool = True


class _Annotations(NamedTuple):
    path: str  # relative to the root
    version: str
    split: str
    images: list[str]
    instances: int


def check_release(
    root: Path,
    version: str | None = None,
    workers: int = 1,
    releases: Mapping[str, Release] = RELEASES,
) -> dict:
    """Compare a folder with what AI-TOD's authors released.

    Annotation files are found by their names, images by those in the annotation
    files, wherever they are under `root`; links to folders are followed.

    Args:
        root (Path): The folder.
        version (str, optional): Key of `releases`; None checks those of which there
            are annotation files.
        workers (int): Number of processes.
        releases (Mapping[str, Release]): What to compare with.

    Returns:
        dict: `files`, a dict for each annotation file (`file`, `version`, `split`,
            `images`, `instances`, `folders`: numbers of its images in them);
            `findings`, a dict each (`what`, `fault`, `count`, `items`); `complete`,
            whether none of them is a fault.

    Raises:
        InputError: If the folder does not exist or the version is none of `releases`.
    """
    if not root.is_dir():
        raise InputError(f'folder {root} does not exist.')
    if version is not None and version not in releases:
        raise InputError(f'version is one of {list(releases)}, not {version!r}.')
    chosen = {key: releases[key] for key in ([version] if version else releases)}
    names, copies, forks = _find_files(root, chosen)
    findings: list[_Finding] = []
    files = []
    for path, (key, split) in names.items():
        file = _read(root, path, key, split, releases[key], findings)
        if file is not None:
            files.append(file)
    findings += _check_splits(files, chosen)

    listed = {image for file in files for image in file.images}
    side = next(iter(chosen.values())).side
    findings += _check_images(root, listed or set(copies), copies, side, workers)
    findings += _notes(files, copies, forks)
    findings = [finding for finding in findings if finding.items]
    findings.sort(key=lambda finding: not finding.fault)
    return dict(
        files=[
            dict(
                file=file.path,
                version=file.version,
                split=file.split,
                images=len(file.images),
                instances=file.instances,
                folders=_folders(file, copies),
            )
            for file in files
        ],
        findings=[
            dict(what=what, fault=fault, count=len(items), items=items)
            for what, items, fault in findings
        ],
        complete=not any(finding.fault for finding in findings),
    )


def format_report(report: dict, examples: int = 5) -> str:
    """Lay out a report for reading: a line for each file and finding, and a verdict.

    Args:
        report (dict): From `check_release`.
        examples (int): Number of items of a finding to name.
    """
    lines = []
    for file in report['files']:
        folders = ', '.join(
            f'{folder} ({count:,})' for folder, count in file['folders'].items()
        )
        lines.append(
            f'{file["file"]}: {file["version"]} {file["split"]}, '
            f'{file["images"]:,} images, {file["instances"]:,} instances; images in '
            f'{folders or "no folder"}'
        )
    for finding in report['findings']:
        shown = ', '.join(finding['items'][:examples])
        more = ', ...' if finding['count'] > examples else ''
        kind = 'FAULT' if finding['fault'] else 'note'
        lines.append(f'{kind}: {finding["what"]} ({finding["count"]:,}): {shown}{more}')
    faults = sum(finding['fault'] for finding in report['findings'])
    verdict = 'complete' if report['complete'] else f'not complete, faults: {faults}'
    return '\n'.join([*lines, f'verdict: {verdict}'])


def _find_files(
    root: Path, releases: Mapping[str, Release]
) -> tuple[dict[str, tuple[str, str]], dict[str, list[str]], list[str]]:
    known = {
        name: (version, split)
        for version, release in releases.items()
        for name, split in release.files.items()
    }
    names, copies, forks = {}, defaultdict(list), []
    for folder, _, files in walk(root):
        for name in files:
            path = Path(folder, name).relative_to(root).as_posix()
            is_image = name.lower().endswith(SUFFIXES)
            if name.startswith('._'):
                if is_image:
                    forks.append(path)
            elif is_image:
                copies[name].append(path)
            elif name.lower() in known:
                names[path] = known[name.lower()]
    return names, copies, forks


def _read(
    root: Path,
    path: str,
    version: str,
    split: str,
    release: Release,
    findings: list[_Finding],
) -> _Annotations | None:
    def report(what: str, items: list, fault: bool = True) -> None:
        findings.append(_Finding(f'{path}: {what}', list(map(str, items)), fault))

    try:
        data = read_json(root / path)
    except InputError as error:
        report('cannot be read', [error])
        return None
    tables = {}
    for table in ('images', 'annotations', 'categories'):
        rows = data.get(table) if isinstance(data, dict) else None
        if not isinstance(rows, list):
            report('list missing', [table])
            rows = []
        tables[table] = [row for row in rows if isinstance(row, dict)]
        malformed = [
            f'{table}[{index}]'
            for index, row in enumerate(rows)
            if not isinstance(row, dict)
        ]
        report('rows that are no objects', malformed)
        ids = Counter(str(row.get('id')) for row in tables[table])
        report(
            f'ids used twice in {table}',
            [f'id {key}' for key, count in ids.items() if count > 1],
        )

    names = [Path(str(row.get('file_name'))).name for row in tables['images']]
    side = release.side
    report(
        'images listed twice',
        [name for name, count in Counter(names).items() if count > 1],
    )
    report(
        f'images said not to be of {side} x {side} px',
        [
            f'{name} ({row.get("width")} x {row.get("height")})'
            for name, row in zip(names, tables['images'], strict=True)
            if (row.get('width'), row.get('height')) != (side, side)
        ],
    )
    _check_classes([row.get('name') for row in tables['categories']], report)
    _check_boxes(tables, side, report)
    if len(names) != release.images[split]:
        report(
            f'another number of images than in the release of {version} {split}',
            [f'{len(names):,} instead of {release.images[split]:,}'],
        )
    return _Annotations(path, version, split, names, len(tables['annotations']))


def _check_classes(classes: list, report: Callable) -> None:
    report('classes missing', [name for name in CLASSES if name not in classes])
    report('classes unknown', [name for name in classes if name not in CLASSES])
    known = len(classes) == len(CLASSES) and all(name in classes for name in CLASSES)
    if known and classes != list(CLASSES):
        order = 'alphabetical' if classes == sorted(classes) else 'another'
        report(
            f'classes in {order} order, no fault since they are matched by name',
            [', '.join(classes)],
            fault=False,
        )


def _check_boxes(tables: dict[str, list[dict]], side: int, report: Callable) -> None:
    keys = {
        table: {row['id'] for row in tables[table] if isinstance(row.get('id'), int)}
        for table in ('images', 'categories')
    }
    orphans, bad, outside = [], [], []
    for index, row in enumerate(tables['annotations']):
        item = f'id {row.get("id", f"missing, annotations[{index}]")}'
        image, category, box = map(row.get, ('image_id', 'category_id', 'bbox'))
        if not (
            isinstance(image, int)
            and image in keys['images']
            and isinstance(category, int)
            and category in keys['categories']
        ):
            orphans.append(item)
        if not (
            is_box(box) and all(map(math.isfinite, box)) and box[2] > 0 and box[3] > 0
        ):
            bad.append(f'{item}: {box}')
            continue
        x, y, w, h = box
        if max(-x, -y, x + w - side, y + h - side) > OUTSIDE_TOLERANCE:
            outside.append(f'{item}: {box}')
    report('annotations of an image or category that is not listed', orphans)
    report('boxes that are not [x, y, width, height] with an area', bad)
    report(
        f'boxes that leave their image by more than {OUTSIDE_TOLERANCE:g} px',
        outside,
        fault=False,
    )


def _check_splits(
    files: list[_Annotations], releases: Mapping[str, Release]
) -> Iterator[_Finding]:
    if not files:
        known = [name for release in releases.values() for name in release.files]
        yield _Finding(
            'no annotation file that can be read under a name in circulation', known
        )
    for version, release in releases.items():
        splits: dict[str, _Annotations] = {}
        for file in files:
            if file.version != version:
                continue
            first = splits.setdefault(file.split, file)
            same = set(first.images) == set(file.images)
            if not same or first.instances != file.instances:
                yield _Finding(
                    f'{version} {file.split}: other images or instances than in '
                    f'{first.path}',
                    [file.path],
                )
        if splits:
            yield from _check_version(version, release, splits)


def _check_version(
    version: str, release: Release, splits: dict[str, _Annotations]
) -> Iterator[_Finding]:
    names = {split: set(file.images) for split, file in splits.items()}
    missing = [split for split in ('trainval', 'test') if split not in splits]
    both = {'train', 'val'} <= set(splits)
    if both and 'trainval' in missing:
        missing.remove('trainval')
        yield _Finding(
            f'{version}: annotation file missing that train and val make up; published '
            f'results train on it',
            ['trainval'],
            fault=False,
        )
    half = ' (half a set: published results train on trainval)'
    yield _Finding(
        f'{version}: annotation files missing'
        + half * ('trainval' in missing and bool({'train', 'val'} & set(splits))),
        missing,
    )
    for one, other in _DISJOINT:
        if one in splits and other in splits:
            yield _Finding(
                f'{version}: images both in {one} and {other}',
                sorted(names[one] & names[other]),
            )
    if both and 'trainval' in splits:
        yield _Finding(
            f'{version}: images in trainval only, or in train or val only',
            sorted(names['trainval'] ^ (names['train'] | names['val'])),
        )
    parts = ('trainval', 'test') if 'trainval' in splits else ('train', 'val', 'test')
    if release.instances is not None and set(parts) <= set(splits):
        found = sum(splits[part].instances for part in parts)
        if found != release.instances:
            yield _Finding(
                f'{version}: another number of instances in {" + ".join(parts)} than '
                f'in the release',
                [f'{found:,} instead of {release.instances:,}'],
            )


def _check_images(
    root: Path, names: set[str], copies: dict[str, list[str]], side: int, workers: int
) -> Iterator[_Finding]:
    missing = sorted(names - set(copies))
    tiles = [name for name in missing if TILE_NAME.fullmatch(name)]
    yield _Finding(
        'images of the xView part missing; make them with `aitod.py xview`', tiles
    )
    yield _Finding(
        'images missing; complete the download', sorted({*missing} - {*tiles})
    )
    if not copies:
        yield _Finding('no images in the folder', [str(root)])
    paths = sorted(path for name in names for path in copies.get(name, ()))
    states = list(
        map_in_order(
            _inspect, [root / path for path in paths], workers, 'check images', 64
        )
    )
    yield _Finding(
        'images truncated or broken; unpack or download them again',
        [
            f'{path} ({state})'
            for path, state in zip(paths, states, strict=True)
            if isinstance(state, str)
        ],
    )
    yield _Finding(
        f'images not of {side} x {side} px',
        [
            f'{path} ({state[0]} x {state[1]})'
            for path, state in zip(paths, states, strict=True)
            if not isinstance(state, str) and state != (side, side)
        ],
    )


def _notes(
    files: list[_Annotations], copies: dict[str, list[str]], forks: list[str]
) -> Iterator[_Finding]:
    for file in files:
        folders = _folders(file, copies)
        there = sum(image in copies for image in set(file.images))
        if max(folders.values(), default=0) < there:
            yield _Finding(
                f'{file.path}: images spread over folders; a config has one folder for '
                f'a split: bring them together',
                [f'{folder}: {count}' for folder, count in folders.items()],
                fault=False,
            )
    yield _Finding(
        'resource forks of macOS, not images: sarl passes over them, other tools '
        'stumble; delete them',
        forks,
        fault=False,
    )
    if files:
        listed = {image for file in files for image in file.images}
        yield _Finding(
            'images in no annotation file', sorted(set(copies) - listed), fault=False
        )


def _inspect(path: Path) -> str | tuple[int, int]:
    try:
        return image_problem(path) or image_size(path)
    except (InputError, OSError) as error:
        return str(error)


def _folders(file: _Annotations, copies: dict[str, list[str]]) -> dict[str, int]:
    counts = Counter(
        Path(path).parent.as_posix()
        for name in set(file.images)
        for path in copies.get(name, ())
    )
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))
