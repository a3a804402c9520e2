"""A finer grid without finer detail: what of a stride-4 head is its grid alone.

Ours. The new level is made of the backbone's finest one by a convolution and
depth-to-space, Shi et al. 2016, arXiv 1609.05158, section 2.2.
"""

from collections.abc import Sequence

from mmcv.cnn import ConvModule
from mmyolo.models.necks import YOLOv5PAFPN
from mmyolo.models.utils import make_divisible
from torch import Tensor, nn

from ..registry import register_model


@register_model
class FinerGridPAFPN(YOLOv5PAFPN):
    """MMYOLO's `YOLOv5PAFPN`, which makes the finest of its levels itself.

    Args:
        in_channels (Sequence[int]): Before scaling, of the level that is made and of
            the backbone's levels, finest first.
        **kwargs: Further arguments of `YOLOv5PAFPN`.
    """

    def __init__(self, in_channels: Sequence[int], **kwargs) -> None:
        super().__init__(in_channels=in_channels, **kwargs)
        made, finest = (make_divisible(c, self.widen_factor) for c in in_channels[:2])
        norm_act = dict(norm_cfg=self.norm_cfg, act_cfg=self.act_cfg)
        self.finer = nn.Sequential(
            ConvModule(finest, 4 * made, kernel_size=1, **norm_act), nn.PixelShuffle(2)
        )

    def forward(self, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Make the finest level and run the neck.

        Args:
            inputs (Sequence[Tensor]): The backbone's levels, finest first, shapes
                (B, C_i, H_i, W_i).

        Returns:
            tuple[Tensor, ...]: One level more, the first of shape (B, C, 2 H_1, 2 W_1).
        """
        return super().forward((self.finer(inputs[0]), *inputs))
