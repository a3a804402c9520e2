"""SPD-Conv: a backbone that loses nothing where it halves the resolution.

Reference: Sunkara and Luo 2022, arXiv 2208.03641, section 3: space-to-depth, then a
convolution without stride.
"""

from mmcv.cnn import ConvModule
from mmyolo.registry import MODELS
from torch import nn

from ..registry import register_model


def replace_strides(module: nn.Module) -> int:
    """Put space-to-depth and a convolution without stride for each strided one.

    Args:
        module (nn.Module): Its `ConvModule`s of stride 2 are replaced in place.

    Returns:
        int: How many were replaced.
    """
    strided = [
        part
        for part in module.modules()
        if isinstance(part, ConvModule) and part.conv.stride == (2, 2)
    ]
    for part in strided:
        conv = part.conv
        part.conv = nn.Sequential(
            nn.PixelUnshuffle(2),
            nn.Conv2d(
                4 * conv.in_channels,
                conv.out_channels,
                kernel_size=3,
                padding=1,
                bias=conv.bias is not None,
            ),
        )
    return len(strided)


@register_model
def spd_backbone(backbone: dict) -> nn.Module:
    """Build a backbone whose strided convolutions are SPD-Convs; images of even sizes.

    A function, so that the keys of all other weights stay those of the backbone.

    Args:
        backbone (dict): Config of the backbone. Its stem, which sees the image and
            has a larger kernel, is replaced too.

    Raises:
        ValueError: If it has no `ConvModule` of stride 2.
    """
    module = MODELS.build(backbone)
    if not replace_strides(module):
        raise ValueError(f'{backbone["type"]} has no strided ConvModule to replace')
    return module
