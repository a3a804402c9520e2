"""VisDrone2019-DET, objects seen from drones over Chinese towns.

Reference: Zhu et al. 2021, "Detection and Tracking Meet Drones Challenge", TPAMI.
"""

from ..registry import register_dataset
from .tiny_coco import TinyCocoDataset


@register_dataset
class VisDroneDataset(TinyCocoDataset):
    """VisDrone2019-DET: 8,629 labelled images of streets with objects of 10 classes.

    Classes are matched by name: the ignored regions and others of the files that
    `tools/dataset_converters/visdrone2coco.py` writes are no classes, but instances
    with `ignore_flag=1`.

    Args:
        bad_boxes (str): As in `TinyCocoDataset`; the official files have boxes without
            area and over the border, so they are clipped unless told otherwise.
    """

    IGNORED = ('ignored-regions', 'others')

    METAINFO = dict(
        classes=(
            'pedestrian',
            'people',
            'bicycle',
            'car',
            'van',
            'truck',
            'tricycle',
            'awning-tricycle',
            'bus',
            'motor',
        ),
        palette=[
            (230, 25, 75),
            (245, 130, 48),
            (255, 225, 25),
            (0, 130, 200),
            (70, 240, 240),
            (145, 30, 180),
            (60, 180, 75),
            (210, 245, 60),
            (240, 50, 230),
            (250, 190, 212),
        ],
    )

    def __init__(self, *args, bad_boxes: str = 'clip', **kwargs) -> None:
        super().__init__(*args, bad_boxes=bad_boxes, **kwargs)
