from .aitod_metric import AITODMetric

__all__ = ['AITODMetric']
