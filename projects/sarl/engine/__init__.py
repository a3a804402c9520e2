from . import checkpoint
from .autocast import AutocastOptimWrapper
from .channels_last import ChannelsLastHook
from .progress_bar import ProgressBarHook
from .run_record import RunRecordHook
from .sal_hook import SALHook

__all__ = [
    'AutocastOptimWrapper',
    'ChannelsLastHook',
    'ProgressBarHook',
    'RunRecordHook',
    'SALHook',
    'checkpoint',
]
