"""AI-TOD's protocol: COCO's AP with bins for tiny objects.

Reference: Wang et al. 2021, "Tiny Object Detection in Aerial Images", ICPR, and
its evaluation code, github.com/jwwangchn/cocoapi-aitod. Areas are in px^2 of the
original image, ground truth's from its `area` field, detections' from w * h; both
bounds of a bin belong to it.
"""

import contextlib
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from faster_coco_eval import COCO as FasterCOCO
from faster_coco_eval import COCOeval_faster
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log
from prettytable import PrettyTable
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from ..datasets.coco_file import StrictCOCO
from ..errors import InputError
from ..files import write_json
from ..registry import register_metric

AREA_RANGES = {
    'vt': (0, 64),
    't': (64, 256),
    's': (256, 1024),
    'm': (1024, 1e10),
}
BACKENDS = {
    'faster_coco_eval': (FasterCOCO, COCOeval_faster),
    'pycocotools': (COCO, COCOeval),
}


def evaluate_detections(
    dataset: dict,
    detections: list[dict],
    cat_ids: Sequence[int],
    area_ranges: dict[str, tuple[float, float]] = AREA_RANGES,
    max_dets: Sequence[int] = (1, 100, 1500),
    backend: str = 'faster_coco_eval',
) -> tuple[np.ndarray, np.ndarray]:
    """Score detections by COCO's matching at IoU .50:.05:.95, 101 recall points.

    Args:
        dataset (dict): The content of a COCO-format file, each annotation with
            `area` and `iscrowd`.
        detections (list[dict]): `image_id`, `category_id`, `bbox` [x, y, w, h] in
            px and `score` of each.
        cat_ids (Sequence[int]): The categories to score.
        area_ranges (dict): Bins of area in px^2, beside the one of all areas,
            which comes first in the results.
        max_dets (Sequence[int]): Caps on the detections that count, per image and
            per category, rising.
        backend (str): 'faster_coco_eval' or 'pycocotools'.

    Returns:
        tuple[np.ndarray, np.ndarray]: Precision, shape (10, 101, categories, bins,
        caps), and recall, shape (10, categories, bins, caps); -1 where there is no
        ground truth.
    """
    coco_type, evaluator_type = BACKENDS[backend]
    # Both libraries report by printing.
    with contextlib.redirect_stdout(io.StringIO()):
        truth = coco_type()
        truth.dataset = dataset
        truth.createIndex()
        if detections:
            found = truth.loadRes([dict(detection) for detection in detections])
        else:
            found = coco_type()
            found.dataset = {**dataset, 'annotations': []}
            found.createIndex()
        evaluator = evaluator_type(truth, found, 'bbox')
        # Categories come out sorted by id: put them in the order that was asked.
        order = np.argsort(np.argsort(cat_ids))
        evaluator.params.catIds = sorted(cat_ids)
        evaluator.params.imgIds = sorted(truth.imgs)
        evaluator.params.maxDets = list(max_dets)
        evaluator.params.areaRng = [(0, 1e10), *area_ranges.values()]
        evaluator.params.areaRngLbl = ['all', *area_ranges]
        evaluator.evaluate()
        evaluator.accumulate()
    precision = np.asarray(evaluator.eval['precision'])[:, :, order]
    return precision, np.asarray(evaluator.eval['recall'])[:, order]


def _mean(values: np.ndarray) -> float:
    values = values[values > -1]
    return float(values.mean()) if values.size else -1.0


def summarize(
    precision: np.ndarray,
    recall: np.ndarray,
    bins: Sequence[str],
    max_dets: Sequence[int],
) -> dict[str, float]:
    """Reduce the arrays of `evaluate_detections` to AI-TOD's rows.

    Args:
        precision (np.ndarray): Shape (10, 101, categories, bins, caps).
        recall (np.ndarray): Shape (10, categories, bins, caps).
        bins (Sequence[str]): Names of the area bins, without that of all areas.
        max_dets (Sequence[int]): The caps.

    Returns:
        dict[str, float]: Fractions; -1 where there is no ground truth.
    """
    rows = {
        'AP': _mean(precision[:, :, :, 0, -1]),
        'AP_50': _mean(precision[0, :, :, 0, -1]),
        'AP_75': _mean(precision[5, :, :, 0, -1]),
    }
    for index, name in enumerate(bins, start=1):
        rows[f'AP_{name}'] = _mean(precision[:, :, :, index, -1])
    for index, cap in enumerate(max_dets):
        rows[f'AR_{cap}'] = _mean(recall[:, :, 0, index])
    for index, name in enumerate(bins, start=1):
        rows[f'AR_{name}'] = _mean(recall[:, :, index, -1])
    return rows


@register_metric
class AITODMetric(BaseMetric):
    """Score detections by AI-TOD's protocol.

    The keys are `aitod/AP`, `AP_50`, `AP_75`, `AP_vt` (up to 8 x 8 px), `AP_t` (up to
    16 x 16), `AP_s` (up to 32 x 32), `AP_m` (above), `AR_1`, `AR_100`, `AR_1500`,
    `AR_vt`, `AR_t`, `AR_s`, `AR_m`, each with the prefix; fractions, -1 where there
    is no ground truth.

    Args:
        ann_file (str): The COCO-format ground truth.
        classwise (bool): Also report `AP/{class}`.
        area_ranges (dict[str, tuple[float, float]]): Bins of area in px^2, bounds
            included.
        max_dets (Sequence[int]): Caps on the detections that count, per image and
            per category. The last one is that of every AP.
        outfile_prefix (str, optional): Keep the detections as
            `{outfile_prefix}.bbox.json`, in COCO's result format.
        format_only (bool): Only write that file, for a test server.
        bad_boxes (str): As in `TinyCocoDataset`; give both the same.
        backend (str): 'faster_coco_eval' or 'pycocotools'.
        collect_device (str): 'cpu' or 'gpu', for distributed runs.
        prefix (str, optional): Replaces 'aitod' in the keys.

    Raises:
        InputError: If the ground truth is missing, malformed, empty or of other
            classes, or an argument is outside its range.
    """

    default_prefix = 'aitod'

    def __init__(
        self,
        ann_file: str,
        classwise: bool = False,
        area_ranges: dict[str, tuple[float, float]] = AREA_RANGES,
        max_dets: Sequence[int] = (1, 100, 1500),
        outfile_prefix: str | None = None,
        format_only: bool = False,
        bad_boxes: str = 'error',
        backend: str = 'faster_coco_eval',
        collect_device: str = 'cpu',
        prefix: str | None = None,
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        if backend not in BACKENDS:
            raise InputError(f'backend is one of {list(BACKENDS)}, not {backend!r}')
        if list(max_dets) != sorted(set(max_dets)):
            raise InputError(f'max_dets must rise, unlike {list(max_dets)}')
        if format_only and outfile_prefix is None:
            raise InputError(
                'format_only=True needs outfile_prefix, a path to write to'
            )
        self.coco = StrictCOCO(ann_file, bad_boxes)
        if not (self.coco.anns or format_only):
            raise InputError(
                f'{ann_file} has no annotations: there is nothing to score against. '
                f'Set format_only=True to only write the detections.'
            )
        self.classwise = classwise
        self.area_ranges = dict(area_ranges)
        self.max_dets = tuple(max_dets)
        self.outfile_prefix = outfile_prefix
        self.format_only = format_only
        self.backend = backend

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Keep the detections of a batch.

        Args:
            data_batch (dict): Not used.
            data_samples (Sequence[dict]): `img_id` and `pred_instances` with
                `bboxes` (n, 4) x1, y1, x2, y2 in px of the original image, `scores`
                (n,) and `labels` (n,).
        """
        for sample in data_samples:
            predicted = sample['pred_instances']
            boxes = predicted['bboxes'].cpu().numpy().astype(np.float64)
            boxes[:, 2:] -= boxes[:, :2]
            self.results.append(
                (
                    sample['img_id'],
                    boxes,
                    predicted['scores'].cpu().numpy().astype(np.float64),
                    predicted['labels'].cpu().numpy(),
                )
            )

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Score the detections of all processes.

        Args:
            results (list): What `process` kept, an image each.

        Returns:
            dict[str, float]: See the class.
        """
        classes = self.dataset_meta['classes']
        cat_ids = self.coco.get_cat_ids(classes)
        detections = [
            dict(
                image_id=image_id,
                category_id=cat_ids[label],
                bbox=box.tolist(),
                score=float(score),
            )
            for image_id, boxes, scores, labels in results
            for box, score, label in zip(boxes, scores, labels, strict=True)
        ]
        if self.outfile_prefix is not None:
            path = Path(f'{self.outfile_prefix}.bbox.json')
            path.parent.mkdir(parents=True, exist_ok=True)
            write_json(path, detections)
        if self.format_only:
            return {}
        precision, recall = evaluate_detections(
            self.coco.dataset,
            detections,
            cat_ids,
            self.area_ranges,
            self.max_dets,
            self.backend,
        )
        bins = tuple(self.area_ranges)
        rows = summarize(precision, recall, bins, self.max_dets)
        if self.classwise:
            for index, name in enumerate(classes):
                rows[f'AP/{name}'] = _mean(precision[:, :, index, 0, -1])
        table = PrettyTable(list(rows))
        table.add_row([f'{value:.3f}' for value in rows.values()])
        print_log(f'\n{table}', 'current')
        return rows
