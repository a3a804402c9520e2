"""What a config has to agree on before a training or test begins."""

import importlib.util
import re

from mmengine.config import Config
from torch import nn

from .. import heads, metrics
from ..errors import InputError
from ..losses import SAL
from ..registry import type_name

# Heads that divide boxes by the stride and have no counterpart for SAL.
STRIDED = (
    *('CenterNetUpdateHead', 'GFLHead', 'LDHead', 'RepPointsHead', 'TOODHead'),
    'YOLOv5InsHead',
)
# Heads that encode boxes, whatever their reg_decoded_bbox.
ENCODED = ('FoveaHead', 'FreeAnchorRetinaHead', 'PISARetinaHead')
# Heads whose loss_bbox, with those of their children, is of fractions of the image.
NORMALISED = {'DETRHead', 'DIIHead'}
BOX_LOSSES = ('loss_bbox', 'loss_bbox_init', 'loss_bbox_refine')
# With whatever prefix a metric is given.
OUR_SCORE = re.compile(r'\w+/(coco_)?(AP|AR|oLRP)')


def check_visualizer(cfg: Config) -> None:
    """Make sure that what the visualizer needs is installed.

    Args:
        cfg (Config): The config.

    Raises:
        InputError: If it writes for TensorBoard, which is not there.
    """
    backends = (cfg.get('visualizer') or {}).get('vis_backends') or []
    if any('Tensorboard' in str(backend.get('type')) for backend in backends) and (
        importlib.util.find_spec('tensorboard') is None
    ):
        raise InputError(
            'the config has a TensorboardVisBackend, but TensorBoard is not installed. '
            'Run `pip install tensorboard`.'
        )


def check_sal(model: nn.Module) -> None:
    """Make sure that SAL is told the sizes of objects in pixels.

    Args:
        model (nn.Module): The detector.

    Raises:
        InputError: If a head divides boxes by the stride or the image's size, or
            encodes them, and does not tell SAL.
    """
    for head in model.modules():
        if not any(isinstance(getattr(head, name, None), SAL) for name in BOX_LOSSES):
            continue
        # The class that calls the loss: what derives from it hands it the same boxes.
        kinds = [c.__name__ for c in type(head).__mro__ if 'loss_by_feat' in vars(c)]
        kind = kinds[0] if kinds else None
        done, mend = 'divides boxes by the stride', None
        if f'SAL{kind}' in heads.__all__:
            mend = f"Set bbox_head=dict(type='SAL{kind}')."
        elif getattr(head, 'norm_on_bbox', False):
            mend = 'Set norm_on_bbox=False.'
        elif kind in STRIDED:
            mend = 'Take another head, or another loss.'
        elif kind in ENCODED:
            done, mend = 'encodes boxes', 'Take another head, or another loss.'
        elif NORMALISED.intersection(c.__name__ for c in type(head).__mro__):
            done = "divides boxes by the image's size"
            mend = (
                'Give it SAL as loss_iou, which has them in px, and not as loss_bbox.'
            )
        elif not getattr(head, 'reg_decoded_bbox', True):
            done, mend = 'encodes boxes', 'Set reg_decoded_bbox=True.'
        if mend:
            raise InputError(
                f'{type(head).__name__} {done} before SAL sees them, which then knows '
                f'no sizes. {mend}'
            )


def check_input_size(cfg: Config) -> None:
    """Make sure that the levels of a YOLO detector fit, each twice the next one.

    Args:
        cfg (Config): The config.

    Raises:
        InputError: If it is trained on images whose sides are no multiples of its
            largest stride.
    """
    if type_name(cfg.model) != 'YOLODetector':
        return
    module = (cfg.model.get('bbox_head') or {}).get('head_module') or {}
    stride = max(module.get('featmap_strides') or [32])
    if (cfg.model.get('data_preprocessor') or {}).get('pad_size_divisor') == stride:
        return
    for step in cfg.train_dataloader.dataset.get('pipeline') or []:
        kind = type_name(step)
        size = step.get(dict(Mosaic='img_scale', Pad='size').get(kind))
        if size and any(side % stride for side in size):
            width, height = size
            fit = tuple(-(-side // stride) * stride for side in size)
            raise InputError(
                f'{kind} in the pipeline of train_dataloader makes images of {width} x '
                f'{height} px, but {stride} px, the largest stride of the detector, '
                f'must divide both sides. Set img_scale={fit}, for example.'
            )


def set_rule_of_best(cfg: Config) -> None:
    """Tell which way our scores are better, where the best checkpoint is to be kept.

    MMEngine infers it from a score's name, and does not know these names.

    Args:
        cfg (Config): Changed in place.
    """
    hook = (cfg.get('default_hooks') or {}).get('checkpoint') or {}
    best = hook.get('save_best')
    if not best or hook.get('rule'):
        return
    scores = best if isinstance(best, list) else [best]
    evaluators = cfg.get('val_evaluator') or {}
    first = evaluators[0] if isinstance(evaluators, list) else evaluators
    # What 'auto' stands for is the first score: an AP of the first evaluator.
    ours = type_name(first) in metrics.__all__
    if all(OUR_SCORE.match(score) or (score == 'auto' and ours) for score in scores):
        hook.rule = ['less' if 'oLRP' in score else 'greater' for score in scores]
