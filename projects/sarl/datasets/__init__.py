from .aitod import AITODDataset, AITODv2Dataset
from .dota import DOTAv2Dataset
from .tiny_coco import TinyCocoDataset
from .visdrone import VisDroneDataset

__all__ = [
    'AITODDataset',
    'AITODv2Dataset',
    'DOTAv2Dataset',
    'TinyCocoDataset',
    'VisDroneDataset',
]
