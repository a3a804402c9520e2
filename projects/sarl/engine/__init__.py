from . import checkpoint
from .autocast import AutocastOptimWrapper
from .channels_last import ChannelsLastHook
from .cuda_graph import CUDAGraphHook
from .progress_bar import ProgressBarHook
from .run_record import RunRecordHook
from .sal_hook import SALHook

__all__ = [
    'AutocastOptimWrapper',
    'CUDAGraphHook',
    'ChannelsLastHook',
    'ProgressBarHook',
    'RunRecordHook',
    'SALHook',
    'checkpoint',
]
