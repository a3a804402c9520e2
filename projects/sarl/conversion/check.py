"""All mistakes of a COCO-format data set, listed instead of met one by one.

`StrictCOCO` stops at the first mistake of a file; this goes on to the last one, reads
each image once, and compares the splits with each other.
"""

import hashlib
import math
import os
import reprlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from itertools import combinations
from numbers import Real
from pathlib import Path
from typing import NamedTuple

from ..datasets.coco_file import OUTSIDE_TOLERANCE, is_box, is_flag, read_json
from ..errors import InputError
from ..images import SUFFIXES, Header, image_header, training_problem
from .folders import walk
from .statistics import Split, split_statistics, statistics_table
from .workers import map_in_order

# Boxes with a shorter side (px) vanish in MMYOLO's own pipelines.
MIN_SIDE = 2
# Without a segmentation, `area` and w * h differ by this factor at most.
AREA_FACTOR = 2
EXAMPLES = 5

# Errors make training or scores wrong; warnings may be meant.
ERRORS = {
    'table': 'missing tables',
    'no-images': 'files without images',
    'row': 'rows that are not objects',
    'field': 'missing fields',
    'value': 'fields of a wrong kind',
    'id': 'ids that are neither whole numbers nor text',
    'mixed-ids': 'tables with numbers and text as ids',
    'duplicate-id': 'ids given twice',
    'duplicate-file-name': 'images listed twice',
    'duplicate-category': 'category names given twice',
    'unknown-image': 'annotations of images that are not listed',
    'unknown-category': 'annotations of categories that are not listed',
    'categories-differ': 'categories that differ between splits',
    'missing-image': 'missing images',
    'broken-image': 'images that are truncated, broken or not decoded by OpenCV',
    'image-size': 'images of another size than listed',
    'box-form': 'boxes that are not four finite numbers',
    'box-empty': 'boxes of zero or negative size',
    'box-outside': f'boxes outside their image by more than {OUTSIDE_TOLERANCE:g} px',
    'box-wholly-outside': 'boxes wholly outside their image',
    'duplicate-box': 'boxes listed twice (image, category and coordinates)',
    'leak-content': 'the same image file in two splits (content)',
}
WARNINGS = {
    'category-unused': 'categories without objects',
    'turned-image': 'images that EXIF turns; training loads and labels them turned',
    'deep-image': 'images of more than 8 bits; training keeps the upper 8',
    'unlisted-image': 'images on disk that no split lists',
    'resource-fork': 'hidden resource forks beside the images; delete them',
    'area': f'areas that differ from w * h by more than a factor of {AREA_FACTOR}, '
    'without a segmentation',
    'box-below-2px': f"boxes with a side below {MIN_SIDE} px; MMYOLO's own "
    'pipelines drop them, and all training drops those below 1 px',
    'identical-images': 'identical image files in one split (content)',
    'leak-name': 'the same image name in two splits (without folder and suffix)',
}

_FIELDS = {
    'images': ('id', 'file_name', 'width', 'height'),
    'annotations': ('id', 'image_id', 'category_id', 'bbox'),
    'categories': ('id', 'name'),
}


class Finding(NamedTuple):
    """One mistake.

    Args:
        file (str): The annotation file, or the image that no file lists.
        item (str): The row of the file; empty if it is the file as a whole.
        detail (str): What is wrong with it.
    """

    file: str
    item: str
    detail: str

    def __str__(self) -> str:
        return ' '.join(filter(None, (f'{self.file}:', self.item, self.detail)))


class Report(NamedTuple):
    """What `check_dataset` found.

    Args:
        findings (dict[str, list[Finding]]): By kind, of `ERRORS` and `WARNINGS`;
            kinds without any are left out.
        sources (dict[str, tuple[Path, Path]]): Annotation file and folder of images,
            by name of the split.
        drawable (dict[str, Split]): The rows that are counted, of whole images only,
            by name of the split.
        statistics (dict[str, dict]): Of `split_statistics`, by name of the split.
    """

    findings: dict[str, list[Finding]]
    sources: dict[str, tuple[Path, Path]]
    drawable: dict[str, Split]
    statistics: dict[str, dict]

    @property
    def errors(self) -> int:
        """Number of errors."""
        return sum(len(self.findings.get(kind, ())) for kind in ERRORS)

    @property
    def warnings(self) -> int:
        """Number of warnings."""
        return sum(len(self.findings.get(kind, ())) for kind in WARNINGS)

    def as_dict(self) -> dict:
        """Everything, ready for JSON."""
        return dict(
            errors=self.errors,
            warnings=self.warnings,
            splits={
                name: dict(annotations=str(path), images=str(folder))
                for name, (path, folder) in self.sources.items()
            },
            findings=[
                dict(
                    kind=kind,
                    severity='error' if kind in ERRORS else 'warning',
                    what=(ERRORS | WARNINGS)[kind],
                    count=len(items),
                    items=[item._asdict() for item in items],
                )
                for kind, items in self.findings.items()
            ],
            statistics=self.statistics,
        )

    def as_text(self) -> str:
        """Each kind with its count and first examples, and a table of statistics."""
        lines = []
        for kind, items in self.findings.items():
            severity = 'ERROR' if kind in ERRORS else 'warning'
            lines.append(f'{severity}: {(ERRORS | WARNINGS)[kind]}: {len(items):,}')
            lines += [f'    {item}' for item in items[:EXAMPLES]]
            if len(items) > EXAMPLES:
                lines.append(f'    and {len(items) - EXAMPLES:,} more')
        return '\n'.join(
            [
                *lines,
                *([''] if lines else []),
                statistics_table(self.statistics),
                '',
                f'{self.errors:,} errors, {self.warnings:,} warnings',
            ]
        )


def check_dataset(
    annotations: Sequence[str], image_folders: Sequence[str], workers: int = 1
) -> Report:
    """Check the splits of a COCO-format data set and count what they hold.

    Rows that cannot be counted, without a size or of an unknown image, say, are left
    out of the statistics; boxes that leave their image in part are in.

    Args:
        annotations (Sequence[str]): A file a split, as FILE or NAME=FILE. Without a
            NAME the split is called as its file.
        image_folders (Sequence[str]): What `file_name` is relative to: one folder for
            all splits or one each.
        workers (int): Processes that read images.

    Raises:
        InputError: If a file is missing or not JSON, a folder is missing, or names and
            folders do not match the files.
    """
    paths = named_paths(annotations)
    if len(image_folders) not in (1, len(paths)):
        raise InputError(
            f'{len(image_folders)} image folders do not fit {len(paths)} annotation '
            f'files: give one for all, or one each.'
        )
    for folder in image_folders:
        if not Path(folder).is_dir():
            raise InputError(f'folder {folder} does not exist.')
    folders = [Path(folder) for folder in image_folders] * len(paths)
    found = _Findings()
    files = [
        _checked_file(read_json(path), name, path, folder, found)
        for (name, path), folder in zip(paths.items(), folders, strict=False)
    ]
    _compare_categories(files, found)
    looks = _look_at_all(files, workers)
    for file in files:
        _check_images(file, looks, found)
    _find_unlisted(files, found)
    _find_leaks(files, looks, found)
    return Report(
        {kind: found[kind] for kind in (*ERRORS, *WARNINGS) if kind in found},
        {file.name: (file.path, file.folder) for file in files},
        {file.name: _drawable(file, looks) for file in files},
        {file.name: split_statistics(file.split) for file in files},
    )


class _Findings(defaultdict[str, list[Finding]]):
    def __init__(self) -> None:
        super().__init__(list)

    def add(self, kind: str, file: Path | str, item: str, detail: str) -> None:
        self[kind].append(Finding(str(file), item, detail))


class _File(NamedTuple):
    name: str
    path: Path
    folder: Path
    real_folder: str
    # All rows with a file name, whatever else is wrong with them.
    images: list[dict]
    split: Split

    def location(self, image: dict) -> str:
        """The image's path, the same however it is spelled."""
        return os.path.normpath(os.path.join(self.real_folder, image['file_name']))


class _Look(NamedTuple):
    header: Header | None = None
    problem: str | None = None
    digest: str | None = None


def named_paths(annotations: Sequence[str]) -> dict[str, Path]:
    """Read the splits of a command line, as `NAME=FILE` or `FILE`.

    Args:
        annotations (Sequence[str]): One argument a split.

    Raises:
        InputError: If a name cannot be one, or two are equal.
    """
    paths: dict[str, Path] = {}
    for argument in annotations:
        name, equals, path = argument.partition('=')
        if not equals or Path(argument).is_file():
            name, path = Path(argument).stem, argument
        if not name or Path(name).name != name or name == '..':
            raise InputError(f'{argument}: {name!r} cannot be the name of a split.')
        if name in paths:
            raise InputError(
                f'{paths[name]} and {path} are both called {name!r}. Give them names: '
                f'first={paths[name]} second={path}'
            )
        paths[name] = Path(path)
    return paths


def _checked_file(
    data: dict | list, name: str, path: Path, folder: Path, found: _Findings
) -> _File:
    tables = {table: _checked_table(data, table, path, found) for table in _FIELDS}
    images = _first_by_id(tables['images'])
    categories = _first_by_id(tables['categories'])
    _check_image_rows(tables['images'], path, found)
    _check_names(categories, path, found)
    split = Split(
        [image for image in images.values() if _is_name(image) and _has_size(image)],
        [],
        [row for row in categories.values() if isinstance(row.get('name'), str)],
    )
    countable_images = {image['id'] for image in split.images}
    countable_categories = {category['id'] for category in split.categories}
    used = set()
    for row in _boxed(tables['annotations'], images, categories, path, found):
        if not row.get('iscrowd'):
            used.add(row['category_id'])
        if (
            row['image_id'] in countable_images
            and row['category_id'] in countable_categories
        ):
            split.annotations.append(row)
    for category_id, category in categories.items():
        if category_id not in used:
            item = f'category {category.get("name", category_id)!r}'
            found.add('category-unused', path, item, 'has no objects')
    named = [image for _, image in tables['images'] if _is_name(image)]
    return _File(name, path, folder, os.path.realpath(folder), named, split)


def _checked_table(
    data: dict | list, table: str, path: Path, found: _Findings
) -> list[tuple[str, dict]]:
    """Rows that are objects, each with what it is called in findings."""
    rows = data.get(table) if isinstance(data, dict) else None
    if not isinstance(rows, list):
        found.add('table', path, '', f'has no list "{table}"')
        return []
    if table == 'images' and not rows:
        found.add('no-images', path, '', 'lists no images')
    named, seen = [], set()
    for index, row in enumerate(rows):
        item = f'{table}[{index}]'
        if not isinstance(row, dict):
            found.add('row', path, item, f'is {reprlib.repr(row)}')
            continue
        lacking = [field for field in _FIELDS[table] if field not in row]
        if lacking:
            found.add('field', path, item, f'lacks {", ".join(lacking)}')
        if 'id' in row and not _is_id(row['id']):
            found.add('id', path, item, f'has the id {reprlib.repr(row["id"])}')
        elif 'id' in row:
            if row['id'] in seen:
                detail = f'has the id {row["id"]!r} of another row'
                found.add('duplicate-id', path, item, detail)
            seen.add(row['id'])
            if table == 'annotations':
                item = f'annotation {row["id"]!r}'
        named.append((item, row))
    types = Counter(type(row_id).__name__ for row_id in seen)
    if len(types) > 1:
        detail = f'has {types["int"]} numbers and {types["str"]} texts as ids'
        found.add('mixed-ids', path, table, detail)
    return named


def _is_id(value: object) -> bool:
    return isinstance(value, int | str) and not isinstance(value, bool)


def _first_by_id(rows: list[tuple[str, dict]]) -> dict[int | str, dict]:
    by_id: dict[int | str, dict] = {}
    for _, row in rows:
        if _is_id(row.get('id')):
            by_id.setdefault(row['id'], row)
    return by_id


def _is_name(image: dict) -> bool:
    name = image.get('file_name')
    return isinstance(name, str) and bool(name)


def _is_positive(value: object) -> bool:
    return isinstance(value, Real) and math.isfinite(value) and value > 0


def _has_size(image: dict) -> bool:
    return _is_positive(image.get('width')) and _is_positive(image.get('height'))


def _check_image_rows(
    rows: list[tuple[str, dict]], path: Path, found: _Findings
) -> None:
    by_name: dict[str, str] = {}
    for item, image in rows:
        if 'file_name' in image and not _is_name(image):
            detail = f'has the file_name {reprlib.repr(image["file_name"])}'
            found.add('value', path, item, detail)
        elif 'file_name' in image:
            name = os.path.normpath(image['file_name'])
            other = by_name.setdefault(name, item)
            if other != item:
                detail = f'and {other} are both {name}'
                found.add('duplicate-file-name', path, item, detail)
        for side in ('width', 'height'):
            if side in image and not _is_positive(image[side]):
                detail = f'has the {side} {reprlib.repr(image[side])}'
                found.add('value', path, item, detail)


def _check_names(
    categories: dict[int | str, dict], path: Path, found: _Findings
) -> None:
    by_name: dict = {}
    for category_id, category in categories.items():
        name, item = category.get('name'), f'category {category_id!r}'
        if 'name' in category and not isinstance(name, str):
            found.add('value', path, item, f'has the name {reprlib.repr(name)}')
        elif 'name' in category and by_name.setdefault(name, item) != item:
            detail = f'and {by_name[name]} are both named {name!r}'
            found.add('duplicate-category', path, item, detail)


def _boxed(
    rows: list[tuple[str, dict]],
    images: dict[int | str, dict],
    categories: dict[int | str, dict],
    path: Path,
    found: _Findings,
) -> Iterator[dict]:
    """Check annotations; yield those with a box, an image and a category."""
    seen: dict[tuple, dict] = {}
    for item, row in rows:
        image_id, category_id = row.get('image_id'), row.get('category_id')
        image = images.get(image_id) if _is_id(image_id) else None
        category = categories.get(category_id) if _is_id(category_id) else None
        if image is None and 'image_id' in row:
            detail = f'has the image_id {reprlib.repr(image_id)}'
            found.add('unknown-image', path, item, detail)
        if category is None and 'category_id' in row:
            detail = f'has the category_id {reprlib.repr(category_id)}'
            found.add('unknown-category', path, item, detail)
        flags = [flag for flag in ('iscrowd', 'ignore') if not is_flag(row.get(flag))]
        for flag in flags:
            detail = f'has the {flag} {reprlib.repr(row[flag])}'
            found.add('value', path, item, detail)
        if flags or 'bbox' not in row:
            continue
        kinds = list(_box_kinds(row, image))
        same = None
        if image and category and not {'box-form', 'box-empty'}.intersection(kinds):
            same = seen.setdefault((image_id, category_id, *row['bbox']), row)
            if same is not row:
                kinds.append('duplicate-box')
        if kinds:
            of = f'of {(image or {}).get("file_name", f"image {image_id!r}")}'
            detail = f'{of}: box {reprlib.repr(row["bbox"])}'
            if 'duplicate-box' in kinds:
                detail += f', as annotation {same.get("id")!r}'
            if 'area' in kinds or 'value' in kinds:
                detail += f', area {reprlib.repr(row["area"])}'
            for kind in kinds:
                found.add(kind, path, item, detail)
        unusable = {'box-form', 'box-empty', 'box-wholly-outside', 'value'}
        if image and category and not unusable.intersection(kinds):
            yield row


def _box_kinds(row: dict, image: dict | None) -> Iterator[str]:
    box = row['bbox']
    if not (is_box(box) and all(map(math.isfinite, box))):
        yield 'box-form'
        return
    x, y, w, h = box
    if w <= 0 or h <= 0:
        yield 'box-empty'
        return
    if image is not None and _has_size(image):
        width, height = image['width'], image['height']
        if x >= width or y >= height or x + w <= 0 or y + h <= 0:
            yield 'box-wholly-outside'
        elif max(-x, -y, x + w - width, y + h - height) > OUTSIDE_TOLERANCE:
            yield 'box-outside'
    if min(w, h) < MIN_SIDE:
        yield 'box-below-2px'
    area = row.get('area')
    if area is not None:
        if not _is_positive(area):
            yield 'value'
        elif not row.get('segmentation') and not (
            1 / AREA_FACTOR <= area / (w * h) <= AREA_FACTOR
        ):
            yield 'area'


def _compare_categories(files: list[_File], found: _Findings) -> None:
    first, *others = files
    ids = {row['name']: row['id'] for row in first.split.categories}
    for file in others:
        own = {row['name']: row['id'] for row in file.split.categories}
        for name in [*ids, *(name for name in own if name not in ids)]:
            if ids.get(name) == own.get(name):
                continue
            if name not in own:
                detail = f'is missing; {first.path} has it'
            elif name not in ids:
                detail = f'is not in {first.path}'
            else:
                detail = f'has the id {own[name]!r}, but {ids[name]!r} in {first.path}'
            item = f'category {name!r}'
            found.add('categories-differ', file.path, item, detail)


def _look_at_all(files: list[_File], workers: int) -> dict[str, _Look | None]:
    """Read each image once, however many splits list it."""
    paths = sorted({file.location(image) for file in files for image in file.images})
    looks = map_in_order(_look, paths, workers, 'read images', chunk=8)
    return dict(zip(paths, looks, strict=True))


def _look(path: str) -> _Look | None:
    """Header, wholeness and content of an image; None if it does not exist."""
    file = Path(path)
    # Decoders meet broken files with errors of any kind.
    try:
        if not file.is_file():
            return None
        header, problem = image_header(file), training_problem(file)
        if problem is None:
            return _Look(header, None, hashlib.sha256(file.read_bytes()).hexdigest())
    except InputError as error:
        problem = str(error).rstrip('.')
    except Exception as error:
        problem = f'not readable ({type(error).__name__}: {error})'
    return _Look(problem=problem)


def _check_images(
    file: _File, looks: dict[str, _Look | None], found: _Findings
) -> None:
    for image in file.images:
        look = looks[file.location(image)]
        item = f'image {image["file_name"]}'
        if look is None:
            found.add('missing-image', file.path, item, f'is not in {file.folder}')
        elif look.problem:
            found.add(
                'broken-image', file.path, item, f'cannot be used: {look.problem}'
            )
        else:
            for kind, detail in _header_kinds(look.header, image):
                found.add(kind, file.path, item, detail)


def _header_kinds(header: Header, image: dict) -> Iterator[tuple[str, str]]:
    if _has_size(image) and header.size != (image['width'], image['height']):
        listed = f'{image["width"]} x {image["height"]}'
        loaded = '{} x {}'.format(*header.size)
        yield 'image-size', f'has {loaded} px, listed as {listed}'
    if header.orientation != 1:
        yield 'turned-image', f'has the EXIF orientation {header.orientation}'
    if header.bits > 8:
        yield 'deep-image', f'has {header.bits} bits a channel'


def _find_unlisted(files: list[_File], found: _Findings) -> None:
    # By real folder: links give an image more than one location.
    real_path = cache(os.path.realpath)
    listed = {
        os.path.join(real_path(folder), name)
        for file in files
        for folder, name in map(os.path.split, map(file.location, file.images))
    }
    folders = {file.real_folder: file.folder for file in files}
    unlisted, forks = {}, {}
    for real, given in folders.items():
        for directory, subfolders, names in walk(real):
            subfolders[:] = [name for name in subfolders if not name.startswith('.')]
            for name in names:
                path = os.path.join(real_path(directory), name)
                if path in listed or not name.lower().endswith(SUFFIXES):
                    continue
                shown = given / os.path.relpath(directory, real) / name
                if name.startswith('._'):
                    forks.setdefault(path, shown)
                elif not name.startswith('.'):
                    unlisted.setdefault(path, shown)
    for path in sorted(unlisted.values()):
        found.add('unlisted-image', path, '', 'is in no annotation file')
    for path in sorted(forks.values()):
        found.add('resource-fork', path, '', 'is no image but what macOS left')


def _find_leaks(
    files: list[_File], looks: dict[str, _Look | None], found: _Findings
) -> None:
    def stem(_: _File, image: dict) -> str:
        return Path(image['file_name']).stem

    def digest(file: _File, image: dict) -> str | None:
        look = looks[file.location(image)]
        return look and look.digest

    contents = [_by_key(file, digest) for file in files]
    for file, by_content in zip(files, contents, strict=True):
        for images in by_content.values():
            # A file that is listed twice is another finding.
            first, *copies = {file.location(image): image for image in images}.values()
            for image in copies:
                item = f'image {image["file_name"]}'
                detail = f'is identical to {first["file_name"]}'
                found.add('identical-images', file.path, item, detail)
    _pair(files, contents, 'leak-content', found)
    _pair(files, [_by_key(file, stem) for file in files], 'leak-name', found)


def _pair(
    files: list[_File], groups: list[dict[str, list[dict]]], kind: str, found: _Findings
) -> None:
    """Find each image of a later split with the first of its key in earlier ones."""
    for (earlier, its_groups), (later, own) in combinations(
        zip(files, groups, strict=True), 2
    ):
        for key, images in own.items():
            for image in images if key in its_groups else ():
                item = f'image {image["file_name"]}'
                detail = f'is {its_groups[key][0]["file_name"]} of {earlier.path}'
                found.add(kind, later.path, item, detail)


def _by_key(
    file: _File, key: Callable[[_File, dict], str | None]
) -> dict[str, list[dict]]:
    groups = defaultdict(list)
    for image in file.images:
        value = key(file, image)
        if value is not None:
            groups[value].append(image)
    return groups


def _drawable(file: _File, looks: dict[str, _Look | None]) -> Split:
    whole = []
    for image in file.split.images:
        look = looks[file.location(image)]
        if look is not None and look.problem is None:
            whole.append(image)
    return file.split._replace(images=whole)
