from .aitod_metric import AITODMetric
from .visdrone_metric import VisDroneMetric

__all__ = ['AITODMetric', 'VisDroneMetric']
