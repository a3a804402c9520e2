"""COCO-format data of tiny objects, for the pipelines of MMYOLO and MMDetection."""

import logging

from mmengine.logging import print_log
from mmyolo.datasets import YOLOv5CocoDataset

from ..errors import InputError
from ..registry import register_dataset
from .coco_file import StrictCOCO


@register_dataset
class TinyCocoDataset(YOLOv5CocoDataset):
    """Anybody's COCO-format data, checked before the first iteration.

    Categories are matched by name, whatever their ids or order in the file. Objects
    marked `iscrowd` or `ignore`, and those of the categories `IGNORED`, become
    instances with `ignore_flag=1`: `mmdet.LoadAnnotations` and `PackDetInputs` hand
    them to the detector as `ignored_instances`; MMYOLO's `LoadAnnotations` leaves them
    out. Objects with a side below 1 px are no instances; a training set says how many
    there are.

    Args:
        ann_file (str): The annotation file, relative to `data_root`.
        metainfo (dict, optional): `classes`, and `palette` for pictures. Without
            it the classes are those of the file, in order of their ids.
        bad_boxes (str): What to do with boxes without area or outside their image:
            'error' or 'clip', see `StrictCOCO`.
        check_images (bool): Make sure that every image is there, whole and of the size
            listed.
        **kwargs: Those of MMYOLO's `YOLOv5CocoDataset`.

    Raises:
        InputError: On bad input, see `StrictCOCO`; and if a training set has no
            objects of its classes.
    """

    # MMDetection's default would be COCO's 80 classes.
    METAINFO = dict(classes=None)
    # Categories of the file that are no classes: no negatives lie in their boxes.
    IGNORED: tuple[str, ...] = ()

    def __init__(
        self,
        *args,
        bad_boxes: str = 'error',
        check_images: bool = True,
        **kwargs,
    ) -> None:
        self.bad_boxes = bad_boxes
        self.check_images = check_images
        # MMDetection's CocoDataset has no default and ends with a KeyError.
        kwargs.setdefault('data_prefix', dict(img=''))
        super().__init__(*args, **kwargs)

    def COCOAPI(self, annotation_file: str) -> StrictCOCO:  # noqa: N802
        """Open and check the annotation file; `CocoDataset` calls it."""
        coco = StrictCOCO(annotation_file, self.bad_boxes)
        if self._metainfo.get('classes') is None:
            self._metainfo['classes'] = coco.classes
        if self.check_images:
            coco.check_images(self.data_prefix['img'])
        return coco

    def load_data_list(self) -> list[dict]:
        """Load the annotations.

        Returns:
            list[dict]: An image each, as in MMDetection's `CocoDataset`.
        """
        self._below_a_pixel = 0
        data_list = super().load_data_list()
        if self.test_mode:
            return data_list
        classes = list(self.metainfo['classes'])
        if not any(
            instance['ignore_flag'] == 0
            for image in data_list
            for instance in image['instances']
        ):
            if self._below_a_pixel:
                raise InputError(
                    f'{self.ann_file}: all {self._below_a_pixel} boxes of the classes '
                    f'{classes} have a side below 1 px: there is nothing to train on. '
                    f'Are they fractions of the image? Write them in px.'
                )
            raise InputError(
                f'{self.ann_file} has no annotations of the classes {classes}: there '
                f'is nothing to train on.'
            )
        if self._below_a_pixel:
            print_log(
                f'{self.ann_file}: {self._below_a_pixel} objects have a side below 1 '
                f'px: they are not trained on, as MMDetection leaves them out',
                'current',
                logging.WARNING,
            )
        return data_list

    def parse_data_info(self, raw_data_info: dict) -> dict:
        """Parse an image, see `load_data_list`."""
        ignored = {
            cat_id
            for cat_id, category in self.coco.cats.items()
            if category['name'] in self.IGNORED
        }
        annotations = []
        for annotation in raw_data_info['raw_ann_info']:
            if annotation['category_id'] in ignored:
                # MMDetection skips other categories than the classes.
                annotation = {**annotation, 'ignore': 1, 'category_id': self.cat_ids[0]}
            if annotation.get('ignore'):
                annotation = {**annotation, 'ignore': 0, 'iscrowd': 1}
            annotations.append(annotation)
            self._below_a_pixel += (
                annotation['category_id'] in self.cat_ids
                and not annotation['iscrowd']
                and min(annotation['bbox'][2:]) < 1
            )
        return super().parse_data_info({**raw_data_info, 'raw_ann_info': annotations})
