"""AI-TOD and AI-TOD-v2, tiny objects in aerial images.

References:
    Wang et al. 2021, "Tiny Object Detection in Aerial Images", ICPR.
    Xu et al. 2022, "Detecting tiny objects in aerial images: A normalized Wasserstein
    distance and a new benchmark", ISPRS Journal of Photogrammetry and Remote Sensing.
"""

from ..registry import register_dataset
from .tiny_coco import TinyCocoDataset


@register_dataset
class AITODDataset(TinyCocoDataset):
    """AI-TOD: 28,036 images of 800 x 800 px with 700,621 objects of 8 classes.

    Some copies of the annotations list the classes alphabetically; they are
    matched by name.
    """

    METAINFO = dict(
        classes=(
            'airplane',
            'bridge',
            'storage-tank',
            'ship',
            'swimming-pool',
            'vehicle',
            'person',
            'wind-mill',
        ),
        palette=[
            (230, 25, 75),
            (145, 30, 180),
            (255, 225, 25),
            (0, 130, 200),
            (70, 240, 240),
            (60, 180, 75),
            (245, 130, 48),
            (240, 50, 230),
        ],
    )


@register_dataset
class AITODv2Dataset(AITODDataset):
    """AI-TOD-v2: the images and classes of AI-TOD, labelled anew.

    Boxes that AI-TOD lacks are there and misplaced ones are moved, so scores on the
    two versions do not compare.
    """
