from .aitod import AITODDataset, AITODv2Dataset
from .dota import DOTAv2Dataset
from .load_once import LoadImageOnce
from .tiny_coco import TinyCocoDataset
from .visdrone import VisDroneDataset

__all__ = [
    'AITODDataset',
    'AITODv2Dataset',
    'DOTAv2Dataset',
    'LoadImageOnce',
    'TinyCocoDataset',
    'VisDroneDataset',
]
