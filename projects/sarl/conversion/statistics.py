"""What a split of COCO-format data holds: numbers, figures and drawn images.

Sizes are counted in the bins of AI-TOD: very tiny up to 8 px, tiny up to 16, small up
to 32, medium above.

Reference: Wang et al. 2021, "Tiny Object Detection in Aerial Images", ICPR.
"""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import mmcv
import numpy as np
from matplotlib.figure import Figure

from ..files import write_whole
from ..markdown import markdown_table

BINS = ('very tiny', 'tiny', 'small', 'medium')
# The upper borders of all bins but the last (px), which belong to the lower bin.
BORDERS = (8, 16, 32)
PERCENTILES = {
    'min': 0,
    'p5': 5,
    'p25': 25,
    'p50': 50,
    'p75': 75,
    'p95': 95,
    'max': 100,
}
# Of the histogram of sizes (px); AI-TOD's borders are among them.
SIZE_EDGES = 2 ** np.arange(0, 10.25, 0.25)
# Cells along a side of the grid that centres are counted in.
GRID = 16
# More names would be too small to read in the figure.
SHOWN_CLASSES = 30
# Small images are drawn enlarged, up to this length of the longer side (px).
DRAWN_SIDE = 1600


class Split(NamedTuple):
    """The rows of a COCO-format file that can be counted.

    Args:
        images (list[dict]): With `id`, `file_name`, `width` and `height` in px.
        annotations (list[dict]): Of these images and categories, with `bbox`,
            (x, y, w, h) in px with w, h > 0; without `area` it is w * h.
        categories (list[dict]): With `id` and `name`.
    """

    images: list[dict]
    annotations: list[dict]
    categories: list[dict]


def split_statistics(split: Split) -> dict:
    """Count what a split holds.

    Crowd regions are no objects. A size is sqrt(w * h); the bins go by `area`, as
    AI-TOD's metric does. An aspect ratio is w / h. A centre is relative to the image.

    Args:
        split (Split): The split.

    Returns:
        dict: Ready for JSON; numbers that need an object are None without any.
    """
    images, annotations, categories = split
    objects = [row for row in annotations if not row.get('iscrowd')]
    row_of = {image['id']: index for index, image in enumerate(images)}
    label_of = {category['id']: index for index, category in enumerate(categories)}
    image_rows = np.array([row_of[row['image_id']] for row in objects], int)
    labels = np.array([label_of[row['category_id']] for row in objects], int)
    boxes = np.array([row['bbox'] for row in objects], float).reshape(-1, 4)
    corners, sides = boxes[:, :2], boxes[:, 2:]
    areas = [row.get('area') for row in objects]
    areas = [
        w * h if area is None else area
        for area, (w, h) in zip(areas, sides.tolist(), strict=True)
    ]
    image_sides = np.array(
        [(image['width'], image['height']) for image in images], float
    ).reshape(-1, 2)

    sizes = np.sqrt(sides.prod(axis=1))
    centres = (corners + sides / 2) / image_sides[image_rows]
    per_image = np.bincount(image_rows, minlength=len(images))
    per_class = np.bincount(labels, minlength=len(categories))
    # A value on a border belongs to the bin below it.
    bins = np.searchsorted(np.square(BORDERS), areas, side='left')
    per_bin = np.bincount(bins, minlength=len(BINS))
    cells = np.clip((centres * GRID).astype(int), 0, GRID - 1)
    grid = np.zeros((GRID, GRID), int)
    np.add.at(grid, (cells[:, 1], cells[:, 0]), 1)
    step = 1 + int(per_image.max(initial=0)) // 40
    return dict(
        images=len(images),
        images_without_objects=int((per_image == 0).sum()),
        objects=len(objects),
        crowd_regions=len(annotations) - len(objects),
        objects_an_image=dict(
            mean=_mean(per_image),
            median=float(np.median(per_image)) if images else None,
            max=int(per_image.max(initial=0)),
            histogram=dict(
                bin_width=step, counts=np.bincount(per_image // step).tolist()
            ),
        ),
        classes=[
            dict(name=category['name'], **counted)
            for category, counted in zip(categories, _shares(per_class), strict=True)
        ],
        size_px=dict(
            **_percentiles(sizes),
            bins=dict(zip(BINS, _shares(per_bin), strict=True)),
            histogram=dict(
                edges=SIZE_EDGES.tolist(),
                counts=np.histogram(
                    sizes.clip(SIZE_EDGES[0], SIZE_EDGES[-1]), SIZE_EDGES
                )[0].tolist(),
            ),
        ),
        aspect_ratio=_percentiles(sides[:, 0] / sides[:, 1]),
        centre=dict(x=_mean(centres[:, 0]), y=_mean(centres[:, 1]), grid=grid.tolist()),
    )


def statistics_table(by_split: dict[str, dict]) -> str:
    """Write the statistics of splits as a table, a column each.

    Args:
        by_split (dict[str, dict]): Of `split_statistics`, by name of the split.
    """
    columns = {name: _rows(statistics) for name, statistics in by_split.items()}
    table = markdown_table(['', *columns])
    # Splits may differ in their classes: a row follows the one before it.
    labels: list[str] = []
    for column in columns.values():
        previous = -1
        for label in column:
            if label not in labels:
                labels.insert(previous + 1, label)
            previous = labels.index(label)
    for label in labels:
        table.add_row([label, *(column.get(label, '-') for column in columns.values())])
    return table.get_string()


def plot_statistics(statistics: dict, title: str, path: Path) -> None:
    """Draw sizes, objects an image, classes and centres of a split.

    Args:
        statistics (dict): Of `split_statistics`.
        title (str): Title of the figure.
        path (Path): The PNG file to write.
    """
    figure = Figure(figsize=(10, 7), layout='constrained')
    figure.suptitle(
        f'{title}: {statistics["images"]:,} images, {statistics["objects"]:,} objects',
        parse_math=False,
    )
    (sizes, crowding), (classes, centres) = figure.subplots(2, 2)
    _plot_sizes(sizes, statistics['size_px'])
    histogram = statistics['objects_an_image']['histogram']
    width = histogram['bin_width']
    crowding.bar(
        np.arange(len(histogram['counts'])) * width,
        histogram['counts'],
        width=width,
        align='edge',
    )
    crowding.set(xlabel='objects an image', ylabel='images')

    _plot_classes(classes, statistics['classes'])
    picture = centres.imshow(
        statistics['centre']['grid'], extent=(0, 1, 1, 0), aspect='auto', cmap='viridis'
    )
    figure.colorbar(picture, ax=centres, label='objects a cell')
    centres.set(xlabel='centre x / width', ylabel='centre y / height')
    content = io.BytesIO()
    # Without the version of Matplotlib the same data give the same bytes for longer.
    figure.savefig(content, dpi=80, metadata={'Software': None})
    write_whole(path, content.getvalue())


def draw_images(split: Split, folder: Path, count: int, out: Path) -> list[Path]:
    """Draw the boxes and classes of some images, evenly spaced by file name.

    Crowd regions are white.

    Args:
        split (Split): With images that can be read.
        folder (Path): What `file_name` is relative to.
        count (int): Number of images; all if there are fewer.
        out (Path): Folder to write PNG files to; made if it does not exist.

    Returns:
        list[Path]: The files.
    """
    images = sorted(split.images, key=lambda image: image['file_name'])
    count = min(count, len(images))
    chosen = [images[index * len(images) // count] for index in range(count)]
    boxes: dict = {image['id']: [] for image in chosen}
    for annotation in split.annotations:
        if annotation['image_id'] in boxes:
            boxes[annotation['image_id']].append(annotation)
    names = {category['id']: category['name'] for category in split.categories}
    colours = dict(zip(names, _colours(len(names)), strict=True))
    out.mkdir(parents=True, exist_ok=True)
    paths = []
    for image in chosen:
        # As training loads it: turned by EXIF, 16 bits cut to the upper 8.
        pixels = mmcv.imread(folder / image['file_name'])
        scale = max(1, DRAWN_SIDE // max(pixels.shape[:2]))
        pixels = cv2.resize(
            pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_NEAREST
        )
        for annotation in boxes[image['id']]:
            category = annotation['category_id']
            crowd = annotation.get('iscrowd')
            colour = (255, 255, 255) if crowd else colours[category]
            _draw_box(pixels, annotation['bbox'], scale, names[category], colour)
        # Files of two folders may have one name.
        name = image['file_name'].replace('/', '__')
        paths.append(out / f'{name}.png')
        write_whole(paths[-1], cv2.imencode('.png', pixels)[1].tobytes())
    return paths


def _mean(values: np.ndarray) -> float | None:
    return round(float(values.mean()), 4) if len(values) else None


def _percentiles(values: np.ndarray) -> dict[str, float | None]:
    if not len(values):
        return dict.fromkeys(PERCENTILES)
    found = np.percentile(values, list(PERCENTILES.values())).round(4)
    return dict(zip(PERCENTILES, found.tolist(), strict=True))


def _shares(counts: np.ndarray) -> list[dict]:
    total = int(counts.sum())
    return [
        dict(count=count, share=round(count / total, 4) if total else None)
        for count in counts.tolist()
    ]


def _rows(statistics: dict) -> dict[str, str]:
    per_image, size = statistics['objects_an_image'], statistics['size_px']
    ratio, centre = statistics['aspect_ratio'], statistics['centre']
    return {
        'images': f'{statistics["images"]:,}',
        '  without objects': f'{statistics["images_without_objects"]:,}',
        'objects': f'{statistics["objects"]:,}',
        'crowd regions': f'{statistics["crowd_regions"]:,}',
        'objects an image: mean, median, max': _listed(
            per_image, 'mean', 'median', 'max'
        ),
        **{f'class {row["name"]}': _counted(row) for row in statistics['classes']},
        'size sqrt(w h), px: min, p5, p25': _listed(size, 'min', 'p5', 'p25'),
        '  p50, p75, p95, max': _listed(size, 'p50', 'p75', 'p95', 'max'),
        **{
            f'{name}, {limits} px': _counted(size['bins'][name])
            for name, limits in zip(
                BINS, ('up to 8', '8 to 16', '16 to 32', 'over 32'), strict=True
            )
        },
        'aspect w / h: p5, p50, p95': _listed(ratio, 'p5', 'p50', 'p95'),
        'mean centre x / width, y / height': _listed(centre, 'x', 'y'),
    }


def _listed(values: dict[str, float | None], *names: str) -> str:
    return ', '.join(_text(values[name]) for name in names)


def _text(value: float | None) -> str:
    return '-' if value is None else f'{value:.2f}'.removesuffix('.00')


def _counted(row: dict) -> str:
    share = row['share']
    return f'{row["count"]:,}' + ('' if share is None else f' ({100 * share:.1f} %)')


def _plot_sizes(axes, size: dict) -> None:
    edges, counts = size['histogram']['edges'], size['histogram']['counts']
    axes.stairs(counts, edges, fill=True)
    axes.set_xscale('log', base=2)
    filled = np.flatnonzero(counts)
    if len(filled):
        first, last = edges[filled[0]], edges[filled[-1] + 1]
        axes.set_xlim(min(first, BORDERS[0] / 2), max(last, BORDERS[-1] * 2))
    for border in BORDERS:
        axes.axvline(border, color='black', linewidth=1, linestyle='--')
    left, right = axes.get_xlim()
    centres = np.sqrt(np.multiply((left, *BORDERS), (*BORDERS, right)))
    for centre, (name, row) in zip(centres, size['bins'].items(), strict=True):
        label = f'{name}\n{_counted(row)}'.replace(' (', '\n(')
        axes.text(centre, max(*counts, 1) * 1.03, label, ha='center', fontsize=8)
    axes.set_ylim(0, max(*counts, 1) * 1.3)
    axes.xaxis.set_major_formatter('{x:g}')
    axes.set(xlabel='size sqrt(w h), px', ylabel='objects')


def _plot_classes(axes, classes: list[dict]) -> None:
    label = 'objects'
    if len(classes) > SHOWN_CLASSES:
        label = f'objects, {SHOWN_CLASSES} most frequent of {len(classes)} classes'
        classes = sorted(classes, key=lambda row: -row['count'])[:SHOWN_CLASSES]
    rows = range(len(classes))
    axes.barh(rows, [row['count'] for row in classes])
    size = min(10, 160 / (len(classes) or 1))
    names = [row['name'] for row in classes]
    axes.set_yticks(rows, names, fontsize=size, parse_math=False)
    axes.invert_yaxis()
    axes.set(xlabel=label)


def _colours(count: int) -> list[tuple[int, ...]]:
    hues = np.arange(count) * 180 // max(1, count)
    hsv = np.stack([hues, np.full(count, 130), np.full(count, 255)], axis=-1)
    bgr = cv2.cvtColor(hsv.astype(np.uint8)[None], cv2.COLOR_HSV2BGR) if count else [[]]
    return [tuple(map(int, colour)) for colour in bgr[0]]


def _draw_box(
    pixels: np.ndarray, box: Sequence[float], scale: int, name: str, colour: tuple
) -> None:
    x, y, w, h = (value * scale for value in box)
    height, width = pixels.shape[:2]
    font = cv2.FONT_HERSHEY_SIMPLEX
    # Black around the colour shows on any ground, and neither covers the object.
    for paint, margin in (((0, 0, 0), 1), (colour, 0)):
        left, right = np.clip([x - 1 - margin, x + w + margin], 0, width - 1)
        top, bottom = np.clip([y - 1 - margin, y + h + margin], 0, height - 1)
        corner = round(left), round(top)
        cv2.rectangle(pixels, corner, (round(right), round(bottom)), paint, 1)
    (text_width, text_height), _ = cv2.getTextSize(name, font, 0.4, 1)
    left, bottom = corner[0], max(text_height + 2, corner[1] - 3)
    plate = (left - 1, bottom - text_height - 2), (left + text_width, bottom + 2)
    cv2.rectangle(pixels, *plate, (0, 0, 0), cv2.FILLED)
    cv2.putText(pixels, name, (left, bottom), font, 0.4, colour, 1, cv2.LINE_AA)
