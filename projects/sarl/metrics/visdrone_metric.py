"""VisDrone2019-DET: the official toolkit's scores and COCO's beside them."""

import logging
from collections.abc import Sequence
from pathlib import PurePosixPath

import numpy as np
from mmengine.logging import print_log

from ..datasets.coco_file import StrictCOCO
from ..errors import InputError
from ..registry import register_metric
from . import visdrone_toolkit
from .boxes import Detections, Objects
from .coco_protocol import (
    AREA_RANGES_AITOD,
    AREA_RANGES_COCO,
    Protocol,
    Scores,
    score,
)
from .detection_metric import DetectionMetric

# COCO's bins, and below them AI-TOD's two smallest.
AREA_RANGES = {
    'vt': AREA_RANGES_AITOD['vt'],
    't': AREA_RANGES_AITOD['t'],
    **AREA_RANGES_COCO,
}
COCO_STYLE = Protocol(AREA_RANGES, visdrone_toolkit.CAPS)


@register_metric
class VisDroneMetric(DetectionMetric):
    """Score detections by VisDrone's official rules and by COCO's.

    `visdrone/AP`, `AP50`, `AP75`, `AR1`, `AR10`, `AR100`, `AR500` are what the official
    MATLAB toolkit computes, as fractions (it prints percent); see `visdrone_toolkit`
    for how it differs from COCO. `visdrone/coco_AP`, `coco_AP_50`, `coco_AP_75`,
    `coco_AP_vt` (up to 8 x 8 px), `coco_AP_t` (up to 16 x 16), `coco_AP_s` (all up to
    32 x 32), `coco_AP_m` (up to 96 x 96), `coco_AP_l`, `coco_AR_...`, `coco_oLRP...`
    are COCO's, with up to 500 detections per image and class. The two are not
    comparable.

    The ground truth is VisDrone's in COCO format, with the ten classes by name, and
    ignored regions and others as categories of their own, "ignored-regions" and
    "others". Objects of the ten classes with a true `iscrowd` or `ignore`, or a `score`
    of 0, are to be ignored. COCO's scores ignore all of these: a detection of any class
    is not counted where it lies in an ignored region or in one of the others.

    Args:
        ann_file (str): The COCO-format ground truth.
        area_ranges (dict[str, tuple[float, float]]): Bins of area in px^2 of COCO's
            scores, bounds included.
        max_dets (Sequence[int]): Caps of COCO's scores per image and class.
        backend (str): 'faster_coco_eval' or 'pycocotools'; they give the same.
        **kwargs: Those of `DetectionMetric`.

    Raises:
        InputError: As in `DetectionMetric`, and if an image has no name or size.
    """

    default_prefix = 'visdrone'

    def __init__(
        self,
        ann_file: str,
        area_ranges: dict[str, tuple[float, float]] = COCO_STYLE.area_ranges,
        max_dets: Sequence[int] = COCO_STYLE.max_dets,
        backend: str = COCO_STYLE.backend,
        **kwargs,
    ) -> None:
        super().__init__(ann_file, **kwargs)
        self.protocol = Protocol(dict(area_ranges), tuple(max_dets), backend)
        lacking = [
            image
            for image in self.coco.imgs.values()
            if not {'file_name', 'width', 'height'} <= {*image}
        ]
        if lacking:
            raise InputError(
                f'{ann_file}: image {lacking[0]["id"]!r} lacks file_name, width or '
                f"height, which VisDrone's rules need."
            )
        images = [self.coco.imgs[image_id] for image_id in self.image_ids]
        self.sizes = np.array([(image['width'], image['height']) for image in images])
        # The toolkit lists the annotation files, so their names decide on ties.
        files = [PurePosixPath(image['file_name']).stem + '.txt' for image in images]
        self.by_name = np.array(sorted(range(len(files)), key=files.__getitem__))
        self.region_ids, self.other_ids = ignored_categories(self.coco)
        if not self.region_ids:
            print_log(
                f'{ann_file} has no category "ignored-regions": where the images have '
                f'such regions, the scores are not the official ones',
                'current',
                logging.WARNING,
            )

    def score(
        self, detections: Detections, classes: Sequence[str]
    ) -> tuple[dict[str, float], dict[str, dict[str, float]]]:
        """Score detections, see `DetectionMetric.score`."""
        cat_ids = self.coco.get_cat_ids(classes)
        objects = Objects.from_coco(self.coco, self.image_ids, cat_ids, _is_ignored)
        regions = Objects.from_coco(self.coco, self.image_ids, self.region_ids)
        _warn_of_order(detections)
        place = np.argsort(self.by_name)
        official = visdrone_toolkit.score(
            *(
                boxes._replace(image=place[boxes.image])
                for boxes in (objects, detections, regions)
            ),
            self.sizes[self.by_name],
            len(classes),
        )
        coco = score(
            coco_style_objects(self.coco, self.image_ids, cat_ids),
            detections,
            len(classes),
            self.protocol,
        )

        def rows(
            official: visdrone_toolkit.ToolkitScores, coco: Scores
        ) -> dict[str, float]:
            return official.rows() | {
                f'coco_{name}': value
                for name, value in coco.rows(self.protocol).items()
            }

        return rows(official, coco), {
            name: rows(official.of_class(label), coco.of_class(label))
            for label, name in enumerate(classes)
        }

    def described(self) -> dict:
        """What the scores depend on, for JSON."""
        return dict(
            toolkit=visdrone_toolkit.described(), coco=self.protocol.described()
        )


def ignored_categories(coco: StrictCOCO) -> tuple[list, list]:
    """Find the categories that are no classes, by their names.

    Args:
        coco (StrictCOCO): The ground truth.

    Returns:
        tuple[list, list]: Ids of the ignored regions, and of the others.
    """
    names = {cat_id: _plain(row['name']) for cat_id, row in coco.cats.items()}
    return (
        [i for i, name in names.items() if name.startswith('ignore')],
        [i for i, name in names.items() if name in ('other', 'others')],
    )


def is_visdrone(coco: StrictCOCO) -> bool:
    """Guess whether ground truth is VisDrone's, from its ignored regions and others.

    All annotations of these categories are to be ignored there. Elsewhere their names
    are those of classes.

    Args:
        coco (StrictCOCO): The ground truth.
    """
    regions, others = ignored_categories(coco)
    cat_ids = {*regions, *others}
    ignored = [
        _is_ignored(row)
        for row in coco.dataset['annotations']
        if row['category_id'] in cat_ids
    ]
    # The converter writes both, also where nothing is of them.
    return all(ignored) if ignored else bool(regions and others)


def coco_style_objects(
    coco: StrictCOCO, image_ids: Sequence, cat_ids: Sequence
) -> Objects:
    """Take the objects that COCO's scores are of: what is ignored is, in every class.

    Args:
        coco (StrictCOCO): The ground truth.
        image_ids (Sequence): Ids of the images, in the order of their index.
        cat_ids (Sequence): Ids of the classes, in the order of their label.
    """
    parts = [Objects.from_coco(coco, image_ids, cat_ids, _is_ignored)]
    for ids in ignored_categories(coco):
        boxes = Objects.from_coco(coco, image_ids, ids, lambda _: True)
        parts += [
            boxes._replace(label=np.full_like(boxes.label, label))
            for label in range(len(cat_ids))
        ]
    return Objects(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def _plain(name: str) -> str:
    return name.strip().lower().replace('_', '-').replace(' ', '-')


def _is_ignored(annotation: dict) -> bool:
    return bool(
        annotation['iscrowd']
        or annotation.get('ignore')
        or annotation.get('score') == 0
    )


def _warn_of_order(detections: Detections) -> None:
    order = np.argsort(detections.image, kind='stable')
    image, score = detections.image[order], detections.score[order]
    rising = (np.diff(score) > 0) & (np.diff(image) == 0)
    if rising.any():
        print_log(
            f'the detections of {len(np.unique(image[1:][rising]))} images are not '
            f'listed by falling score: the official toolkit takes the first 1, 10, 100 '
            f'and 500 of an image as they are listed',
            'current',
            logging.WARNING,
        )
