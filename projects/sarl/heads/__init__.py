from .sal_yolov5_head import SALYOLOv5Head

__all__ = ['SALYOLOv5Head']
