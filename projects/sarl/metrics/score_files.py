"""Scores of COCO-format result files, whatever framework wrote them."""

from importlib.metadata import version
from pathlib import Path

from ..files import write_json
from ..garbage import no_garbage_collection
from ..version import __version__
from .aitod_metric import AITODMetric
from .coco_protocol import COCO_2017
from .detection_metric import DetectionMetric
from .results_file import read_detections
from .visdrone_metric import VisDroneMetric

METRICS = ('aitod', 'visdrone', 'coco')


@no_garbage_collection()
def score_files(
    metric: str,
    truth: str | Path,
    detections: str | Path,
    out: str | Path | None = None,
    **kwargs,
) -> dict:
    """Score a file of detections and print the scores as tables.

    The classes are all categories of the ground truth; by VisDrone's rules, all but
    its ignored regions and others.

    Args:
        metric (str): 'aitod', 'visdrone' or 'coco'.
        truth (str | Path): The ground truth, in COCO format.
        detections (str | Path): A list in COCO's result format.
        out (str | Path, optional): JSON file to write the result to.
        **kwargs: Those of `DetectionMetric`.

    Returns:
        dict: The scores, with the metric's prefix, and `protocol`, what they depend on.

    Raises:
        InputError: If a file is missing, malformed or not of the other one's data set.
    """
    scorer = _scorer(metric, str(truth), kwargs)
    not_classes = set()
    if isinstance(scorer, VisDroneMetric):
        not_classes = {*scorer.region_ids, *scorer.other_ids}
    cat_ids = [
        cat_id for cat_id in sorted(scorer.coco.cats) if cat_id not in not_classes
    ]
    found = read_detections(detections, scorer.coco, scorer.image_ids, cat_ids)
    classes = [scorer.coco.cats[cat_id]['name'] for cat_id in cat_ids]
    rows, tables = scorer.summary(found, classes)
    print(tables)
    result = {f'{scorer.prefix}/{name}': value for name, value in rows.items()}
    result['protocol'] = dict(
        metric=metric,
        **scorer.described(),
        bad_boxes=scorer.bad_boxes,
        ground_truth=str(truth),
        detections=str(detections),
        images=len(scorer.image_ids),
        objects=len(scorer.coco.anns),
        detections_scored=len(found.score),
        versions={
            'sarl': __version__,
            **{name: version(name) for name in ('faster-coco-eval', 'pycocotools')},
        },
    )
    if out is not None:
        write_json(Path(out), result, indent=2)
    return result


def _scorer(metric: str, truth: str, kwargs: dict) -> DetectionMetric:
    if metric == 'visdrone':
        return VisDroneMetric(truth, **kwargs)
    if metric == 'coco':
        return AITODMetric(
            truth,
            area_ranges=COCO_2017.area_ranges,
            max_dets=COCO_2017.max_dets,
            prefix='coco',
            **kwargs,
        )
    return AITODMetric(truth, **kwargs)
