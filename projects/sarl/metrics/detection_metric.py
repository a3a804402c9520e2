"""What the metrics share: collecting what a detector found, of any framework."""

import logging
from abc import abstractmethod
from collections.abc import Sequence
from os.path import basename
from pathlib import Path

import numpy as np
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log

from ..datasets.coco_file import StrictCOCO
from ..errors import InputError
from ..files import write_json
from .boxes import Detections
from .report import class_table, score_table


class DetectionMetric(BaseMetric):
    """Collect detections and have them scored by `score`, which a child defines.

    Args:
        ann_file (str): The COCO-format ground truth.
        classwise (bool): Also report every row of each class, as `{row}/{class}`.
        outfile_prefix (str, optional): Keep the detections as
            `{outfile_prefix}.bbox.json`, in COCO's result format.
        format_only (bool): Only write that file, for a test server.
        bad_boxes (str): What to do with ground truth that has no area or leaves its
            image by more than 1 px: 'keep' scores it as it is, as the published
            evaluation codes do, 'clip' clips it and 'error' stops.
        collect_device (str): 'cpu' or 'gpu', for distributed runs.
        prefix (str, optional): Replaces the metric's own in the keys.

    Raises:
        InputError: If the ground truth is missing, malformed, empty or of other
            classes, or an argument is outside its range.
    """

    def __init__(
        self,
        ann_file: str,
        classwise: bool = False,
        outfile_prefix: str | None = None,
        format_only: bool = False,
        bad_boxes: str = 'keep',
        collect_device: str = 'cpu',
        prefix: str | None = None,
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        if format_only and outfile_prefix is None:
            raise InputError(
                'format_only=True needs outfile_prefix, a path to write to'
            )
        self.coco = StrictCOCO(ann_file, bad_boxes)
        if not (self.coco.anns or format_only):
            raise InputError(
                f'{ann_file} has no annotations: there is nothing to score against. '
                f'Name a file with annotations; in a config, format_only=True only '
                f'writes the detections.'
            )
        self.image_ids = sorted(self.coco.imgs)
        self.bad_boxes = bad_boxes
        self.classwise = classwise
        self.outfile_prefix = outfile_prefix
        self.format_only = format_only

    @abstractmethod
    def score(
        self, detections: Detections, classes: Sequence[str]
    ) -> tuple[dict[str, float], dict[str, dict[str, float]]]:
        """Score detections.

        Args:
            detections (Detections): Images are indices into `image_ids`, labels
                into `classes`.
            classes (Sequence[str]): Names of the classes.

        Returns:
            tuple[dict[str, float], dict[str, dict[str, float]]]: The rows, and the
            rows of each class.
        """

    @abstractmethod
    def described(self) -> dict:
        """What the scores depend on, for JSON."""

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Keep the detections of a batch.

        Args:
            data_batch (dict): Not used.
            data_samples (Sequence[dict]): `img_id` and `pred_instances` with
                `bboxes` (n, 4) x1, y1, x2, y2 in px of the original image, `scores`
                (n,) and `labels` (n,); `img_path`, where the pipeline hands it on.

        Raises:
            InputError: If an image or a class is not in the ground truth, the ground
                truth has another image of that id, or a box or score is not finite.
        """
        if not self.results:
            # Now, not after hours of detecting.
            self.coco.get_cat_ids(self.dataset_meta['classes'])
        for sample in data_samples:
            image_id = sample['img_id']
            if image_id not in self.coco.imgs:
                raise InputError(
                    f'{self.coco.path} has no image {image_id!r}, which was detected '
                    f'on. Give the evaluator the ann_file of its dataloader.'
                )
            self._check_name(image_id, sample.get('img_path'))
            predicted = sample['pred_instances']
            boxes = predicted['bboxes'].cpu().numpy().astype(np.float64)
            scores = predicted['scores'].cpu().numpy().astype(np.float64)
            broken = ~(np.isfinite(boxes).all(1) & np.isfinite(scores))
            if broken.any():
                raise InputError(
                    f'the detector found NaN or infinite boxes or scores on image '
                    f'{image_id!r} ({broken.sum()} of {len(broken)}). Did its training '
                    f'diverge? Its loss and the checkpoint tell.'
                )
            boxes[:, 2:] -= boxes[:, :2]
            self.results.append(
                (image_id, boxes, scores, predicted['labels'].cpu().numpy())
            )

    def _check_name(self, image_id: int | str, path: str | None) -> None:
        listed = self.coco.imgs[image_id].get('file_name')
        # The folder before file_name is the data set's.
        if path and listed and basename(path) != basename(listed):
            raise InputError(
                f'image {image_id!r} of {self.coco.path} is {listed}, but {path} was '
                f'detected on. Give the evaluator the ann_file of its dataloader.'
            )

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Score the detections of all processes.

        Args:
            results (list): What `process` kept, an image each.

        Returns:
            dict[str, float]: See the class.
        """
        classes = self.dataset_meta['classes']
        # A distributed sampler may hand out an image twice, in an order of its own.
        by_image = {result[0]: result for result in reversed(results)}
        results = [by_image[image_id] for image_id in sorted(by_image)]
        for image_id, *_, labels in results:
            if len(labels) and not 0 <= labels.min() <= labels.max() < len(classes):
                raise InputError(
                    f'the detector gave image {image_id!r} a label outside of the '
                    f'{len(classes)} classes {list(classes)}. Set num_classes of its '
                    f'head and metainfo of the data set to the same classes.'
                )
        if len(results) < len(self.image_ids):
            print_log(
                f'{len(self.image_ids) - len(results)} of {len(self.image_ids)} images '
                f'of {self.coco.path} were not detected on: their objects count as '
                f'missed',
                'current',
                logging.WARNING,
            )
        if self.outfile_prefix is not None:
            path = Path(f'{self.outfile_prefix}.bbox.json')
            path.parent.mkdir(parents=True, exist_ok=True)
            write_json(path, self._as_coco(results, classes))
        if self.format_only:
            return {}
        rows, tables = self.summary(self._as_arrays(results), classes)
        print_log(f'\n{tables}', 'current')
        return rows

    def summary(
        self, detections: Detections, classes: Sequence[str]
    ) -> tuple[dict[str, float], str]:
        """Score detections, for programs and for people.

        Args:
            detections (Detections): As in `score`.
            classes (Sequence[str]): Names of the classes.

        Returns:
            tuple[dict[str, float], str]: The rows, with `classwise` those of each class
            too, and the same as tables.
        """
        rows, by_class = self.score(detections, classes)
        tables = score_table(rows)
        if self.classwise:
            tables += f'\n\n{class_table(by_class)}'
            rows = rows | {
                f'{row}/{name}': value
                for name, of_class in by_class.items()
                for row, value in of_class.items()
            }
        return rows, tables

    def _as_arrays(self, results: list) -> Detections:
        index = {image_id: index for index, image_id in enumerate(self.image_ids)}
        images = [index[image_id] for image_id, *_ in results]
        counts = [len(scores) for _, _, scores, _ in results]
        return Detections(
            np.repeat(np.array(images, np.int64), counts),
            np.concatenate(
                [np.empty(0, np.int64), *(labels for *_, labels in results)]
            ),
            np.concatenate([np.empty((0, 4)), *(boxes for _, boxes, *_ in results)]),
            np.concatenate([np.empty(0), *(scores for _, _, scores, _ in results)]),
        )

    def _as_coco(self, results: list, classes: Sequence[str]) -> list[dict]:
        cat_ids = self.coco.get_cat_ids(classes)
        return [
            dict(
                image_id=image_id,
                category_id=cat_ids[label],
                bbox=box,
                score=score,
            )
            for image_id, boxes, scores, labels in results
            for box, score, label in zip(
                boxes.tolist(), scores.tolist(), labels.tolist(), strict=True
            )
        ]
