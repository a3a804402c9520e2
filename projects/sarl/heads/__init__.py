from .sal_strided_heads import (
    SALPPYOLOEHead,
    SALYOLOv6Head,
    SALYOLOv7Head,
    SALYOLOv8Head,
)
from .sal_yolov5_head import SALYOLOv5Head

__all__ = [
    'SALPPYOLOEHead',
    'SALYOLOv5Head',
    'SALYOLOv6Head',
    'SALYOLOv7Head',
    'SALYOLOv8Head',
]
