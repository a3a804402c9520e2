"""VisDrone2019-DET's annotation files to COCO format.

Reference: github.com/VisDrone/VisDrone2018-DET-toolkit, of Zhu et al. 2021, "Detection
and Tracking Meet Drones Challenge", TPAMI. A split is a folder of `images`, and of
`annotations` with a text file for each image. A row is an object,
`x,y,w,h,score,category,truncation,occlusion`, in px; a score of 0 marks objects that an
evaluation is to ignore.
"""

import math
from collections import Counter
from functools import partial
from pathlib import Path
from typing import NamedTuple

from ..datasets.visdrone import VisDroneDataset
from ..errors import InputError
from ..files import write_json
from ..garbage import no_garbage_collection
from ..images import find_images, image_header, list_folder
from .text_files import read_lines
from .workers import map_in_order

CLASSES = VisDroneDataset.METAINFO['classes']
REGIONS, OTHERS = VisDroneDataset.IGNORED
# By category id.
CATEGORIES = (REGIONS, *CLASSES, OTHERS)
# The last four fields of a row. Result files write -1 for the unknown.
ALLOWED = {
    'score': (0, 1),
    'category': range(len(CATEGORIES)),
    'truncation': (-1, 0, 1),
    'occlusion': (-1, 0, 1, 2),
}


class Row(NamedTuple):
    """A row of an annotation file; x, y, w, h in px."""

    x: float
    y: float
    w: float
    h: float
    score: int
    category: int
    truncation: int
    occlusion: int

    @property
    def ignored(self) -> bool:
        """Whether finding it counts neither as right nor as wrong."""
        return self.score == 0 or CATEGORIES[self.category] not in CLASSES


class Split(NamedTuple):
    """Files of a split, in order of the annotation files' names.

    Attributes:
        images (list[Path]): The images.
        annotations (list[Path] | None): The annotation file of each, None if the
            split has none, as test-challenge.
    """

    images: list[Path]
    annotations: list[Path] | None


class Summary(NamedTuple):
    """What a conversion met, for people.

    Attributes:
        images (int): Number of images.
        annotated (bool): Whether the split has annotation files.
        empty (int): Images without a row.
        categories (Counter): Annotations by category id.
        score_0 (int): Objects of the ten classes that have score 0.
        outside (int): Annotations that reach over the border of their image.
        flat (int): Annotations of zero width or height.
    """

    images: int
    annotated: bool
    empty: int
    categories: Counter
    score_0: int
    outside: int
    flat: int

    def __str__(self) -> str:
        lines = [('images', self.images)]
        if self.annotated:
            lines += [
                ('images without rows', self.empty),
                ('annotations', self.categories.total()),
                *((f'  {name}', self.categories[i]) for i, name in _classes_first()),
                ('objects of the ten classes with score 0, kept', self.score_0),
                ('boxes over the border, kept as they are', self.outside),
                ('boxes of zero width or height, kept as they are', self.flat),
            ]
        text = '\n'.join(f'{name + ":":<50}{count:>8,}' for name, count in lines)
        if not self.annotated:
            text += '\nthere is no folder "annotations": written without annotations'
        return text


def _classes_first() -> list[tuple[int, str]]:
    return sorted(enumerate(CATEGORIES), key=lambda pair: pair[1] not in CLASSES)


@no_garbage_collection()
def convert(src: Path, out: Path, workers: int = 1) -> Summary:
    """Write a split in COCO format.

    Every row becomes an annotation, in the order of the files' names and of the rows,
    with `score`, `truncation` and `occlusion` as in the file. `iscrowd` and `ignore`
    are 1 for ignored regions, others and score 0. Boxes over the border and those of
    zero width or height stay as they are: the official toolkit scores them so.

    Args:
        src (Path): The split's folder, or one whose only split it is.
        out (Path): The JSON file.
        workers (int): Number of processes.

    Raises:
        InputError: On bad input, see `find_split` and `read_rows`.
    """
    split = find_split(src)
    annotated = split.annotations is not None
    pairs = list(
        zip(split.images, split.annotations or [None] * len(split.images), strict=True)
    )
    images, annotations = [], []
    categories: Counter = Counter()
    empty = score_0 = outside = flat = 0
    read = map_in_order(_read_pair, pairs, workers, 'convert', chunk=64)
    for image_id, (path, ((width, height), rows)) in enumerate(
        zip(split.images, read, strict=True), start=1
    ):
        images.append(
            dict(id=image_id, file_name=path.name, width=width, height=height)
        )
        empty += not rows
        for row in map(Row._make, rows):
            flat += row.w == 0 or row.h == 0
            categories[row.category] += 1
            score_0 += row.score == 0 and CATEGORIES[row.category] in CLASSES
            outside += (
                min(row.x, row.y) < 0 or row.x + row.w > width or row.y + row.h > height
            )
            annotations.append(
                dict(
                    id=len(annotations) + 1,
                    image_id=image_id,
                    category_id=row.category,
                    bbox=[row.x, row.y, row.w, row.h],
                    area=row.w * row.h,
                    iscrowd=int(row.ignored),
                    ignore=int(row.ignored),
                    score=row.score,
                    truncation=row.truncation,
                    occlusion=row.occlusion,
                )
            )
    write_json(
        out,
        dict(
            images=images,
            annotations=annotations,
            categories=[dict(id=i, name=name) for i, name in enumerate(CATEGORIES)],
        ),
    )
    return Summary(len(images), annotated, empty, categories, score_0, outside, flat)


def find_split(src: Path) -> Split:
    """Find the images of a split and their annotation files.

    Hidden files are left out, and suffixes may be upper-case.

    Args:
        src (Path): The split's folder, which holds `images`, or one with a single
            such folder in it.

    Raises:
        InputError: If there is no split or more than one, it has no images, two files
            differ in their suffix only, or an image or annotation file lacks the other.
    """
    folder = _split_folder(src)
    # Names that end alike sort as those of the annotation files do.
    images = {path.stem + '.txt': path for path in find_images(folder / 'images')}
    if not images:
        raise InputError(f'{folder / "images"} holds no images.')
    names = sorted(images)
    if not (folder / 'annotations').is_dir():
        for path in list_folder(folder):
            if path.is_dir() and path.name.lower().startswith('annotation'):
                raise InputError(
                    f'{folder} has no folder annotations, but {path.name}. Rename that '
                    f'to annotations, or take it out of a test set.'
                )
        return Split([images[name] for name in names], None)
    annotations: dict[str, Path] = {}
    for path in list_folder(folder / 'annotations'):
        if path.suffix.lower() != '.txt' or path.name.startswith('.'):
            continue
        other = annotations.setdefault(path.stem + '.txt', path)
        if other is not path:
            raise InputError(
                f'{other} and {path} differ in their suffix only. Keep one of them.'
            )
    _check_pairs(images, annotations, 'images', 'annotation file')
    _check_pairs(annotations, images, 'annotation files', 'image')
    return Split(
        [images[name] for name in names], [annotations[name] for name in names]
    )


def _split_folder(src: Path) -> Path:
    if not src.is_dir():
        raise InputError(f'folder {src} does not exist.')
    if (src / 'images').is_dir():
        return src
    folders = sorted(path.parent for path in src.glob('*/images') if path.is_dir())
    if not folders:
        raise InputError(
            f'{src} holds no folder "images". Name the folder of a split, such as '
            f'VisDrone2019-DET-val.'
        )
    if len(folders) > 1:
        raise InputError(
            f'{src} holds {len(folders)} splits: {", ".join(p.name for p in folders)}. '
            f'Name one of them.'
        )
    return folders[0]


def _check_pairs(
    paths: dict[str, Path], others: dict[str, Path], what: str, lacking: str
) -> None:
    alone = sorted(paths.keys() - others.keys())
    if alone:
        raise InputError(
            f'{len(alone)} of {len(paths)} {what} have no {lacking} of the same name, '
            f'first {paths[alone[0]]}. Unpack the archive again, or take them out.'
        )


def _read_pair(
    pair: tuple[Path, Path | None],
) -> tuple[tuple[int, int], list[tuple]]:
    image, annotations = pair
    # Plain tuples pass between processes in a fifth of the time of a class of our own.
    rows = list(map(tuple, read_rows(annotations))) if annotations else []
    header = image_header(image)
    if header.orientation != 1:
        raise InputError(
            f'{image}: its EXIF data turn it when it is loaded, and its rows are of '
            f'the image as it is stored. Save it without them.'
        )
    return header.size, rows


def read_rows(path: Path) -> list[Row]:
    """Read an annotation file.

    Allowed are a comma at the end of a row, blank lines, a byte order mark, any line
    ends, and boxes of fractions of a pixel. An empty file has no rows.

    Args:
        path (Path): The file.

    Returns:
        list[Row]: Its rows.

    Raises:
        InputError: If a row has not eight fields, a field is not a number or not one
            of those allowed, or a size is negative.
    """
    return [_row(text, partial(_error, path, line)) for line, text in read_lines(path)]


def _error(path: Path, line: int, problem: str) -> InputError:
    return InputError(f'{path}, line {line}: {problem}. Correct or delete the row.')


def _row(text: str, error: partial) -> Row:
    fields = text.removesuffix(',').split(',')
    if len(fields) != len(Row._fields):
        raise error(
            f'{text!r} has {len(fields)} fields, not the eight {",".join(Row._fields)}'
        )
    try:
        row = Row(*map(_number, fields))
    except ValueError as problem:
        raise error(f'{text!r} holds {problem}, which is no number') from None
    for name, allowed in ALLOWED.items():
        value = getattr(row, name)
        if value not in allowed:
            raise error(f'{name} is {value}, not one of {", ".join(map(str, allowed))}')
    if row.w < 0 or row.h < 0:
        raise error(f'the box is {row.w} x {row.h} px')
    return row


def _number(text: str) -> int | float:
    # Python takes 1_0 for 10.
    if '_' in text:
        raise ValueError(repr(text))
    try:
        return int(text)
    except ValueError:
        pass
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ValueError(repr(text))
    return int(value) if value.is_integer() else value
