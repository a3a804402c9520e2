"""DOTA-v2.0, objects of all sizes in aerial images, with horizontal boxes.

Reference: Ding et al. 2021, "Object Detection in Aerial Images: A Large-Scale Benchmark
and Challenges", TPAMI.
"""

from ..registry import register_dataset
from .tiny_coco import TinyCocoDataset


@register_dataset
class DOTAv2Dataset(TinyCocoDataset):
    """DOTA-v2.0: 11,268 scenes with 1,793,658 objects of 18 classes.

    The scenes are cut into tiles by `tools/dataset_converters/dota2coco.py`.
    """

    METAINFO = dict(
        classes=(
            'plane',
            'baseball-diamond',
            'bridge',
            'ground-track-field',
            'small-vehicle',
            'large-vehicle',
            'ship',
            'tennis-court',
            'basketball-court',
            'storage-tank',
            'soccer-ball-field',
            'roundabout',
            'harbor',
            'swimming-pool',
            'helicopter',
            'container-crane',
            'airport',
            'helipad',
        ),
        palette=[
            (230, 25, 75),
            (245, 130, 48),
            (145, 30, 180),
            (170, 110, 40),
            (60, 180, 75),
            (255, 225, 25),
            (0, 130, 200),
            (240, 50, 230),
            (128, 0, 0),
            (210, 245, 60),
            (0, 128, 128),
            (250, 190, 212),
            (255, 250, 200),
            (70, 240, 240),
            (128, 128, 0),
            (170, 255, 195),
            (0, 0, 128),
            (220, 190, 255),
        ],
    )
