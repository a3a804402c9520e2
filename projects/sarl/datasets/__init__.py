from .aitod import AITODDataset
from .tiny_coco import TinyCocoDataset

__all__ = ['AITODDataset', 'TinyCocoDataset']
