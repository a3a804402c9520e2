"""SARL, the Scale-Aware Relay Layer.

Reference: Li et al. 2025, arXiv 2511.09891. Only the abstract is public: it asks
for "cross-scale spatial-channel attention" that enriches each layer progressively
and lets layers share features. Everything below that sentence is our
reconstruction.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmcv.cnn import ConvModule
from mmengine.model import BaseModule
from mmyolo.models.utils import make_divisible
from mmyolo.registry import MODELS
from torch import Tensor, nn

from ..registry import register_model


def space_to_depth(x: Tensor, size: Sequence[int]) -> Tensor:
    """Halve the resolution without losing a value.

    Args:
        x (Tensor): Features of the finer level, shape (B, C, h, w).
        size (Sequence[int]): Height H and width W of the coarser level. A finer
            level of odd size is padded with zeros to (2H, 2W).

    Returns:
        Tensor: Shape (B, 4C, H, W).
    """
    height, width = size
    # Negative padding crops: some backbones round a halved size down, not up.
    x = F.pad(x, (0, 2 * width - x.shape[-1], 0, 2 * height - x.shape[-2]))
    return F.pixel_unshuffle(x, 2)


class Relay(BaseModule):
    """Hand the detail of a finer level to the next coarser one.

    Where to relay (spatial attention) and what to relay (channel attention) are
    each decided from both levels. The output projection starts at zero, so that
    an untrained relay leaves the coarser level as it is.

    Args:
        fine_channels (int): Channels c of the finer level.
        coarse_channels (int): Channels C of the coarser level.
        ratio (float): Width of the relay as a fraction of `coarse_channels`.
        norm_cfg (dict): Normalisation of the two input projections.
        act_cfg (dict): Activation of the two input projections.
    """

    def __init__(
        self,
        fine_channels: int,
        coarse_channels: int,
        ratio: float,
        norm_cfg: dict,
        act_cfg: dict,
    ) -> None:
        super().__init__()
        width = make_divisible(coarse_channels, ratio)
        projection = dict(kernel_size=1, norm_cfg=norm_cfg, act_cfg=act_cfg)
        self.detail = ConvModule(4 * fine_channels, width, **projection)
        self.context = ConvModule(coarse_channels, width, **projection)
        self.spatial = nn.Conv2d(4, 1, kernel_size=7, padding=3)
        squeezed = max(8, width // 4)
        self.channel = nn.Sequential(
            nn.Conv2d(2 * width, squeezed, 1), nn.SiLU(), nn.Conv2d(squeezed, width, 1)
        )
        self.project = nn.Conv2d(width, coarse_channels, 1)
        self._start_as_identity()

    def init_weights(self) -> None:
        """Initialise as configured, but start as the identity."""
        super().init_weights()
        self._start_as_identity()

    def _start_as_identity(self) -> None:
        nn.init.zeros_(self.project.weight)
        nn.init.zeros_(self.project.bias)

    def forward(self, fine: Tensor, coarse: Tensor) -> Tensor:
        """Enrich the coarser level.

        Args:
            fine (Tensor): Shape (B, c, h, w).
            coarse (Tensor): Shape (B, C, H, W), about half of (h, w).

        Returns:
            Tensor: Shape (B, C, H, W).
        """
        detail = self.detail(space_to_depth(fine, coarse.shape[-2:]))
        context = self.context(coarse)
        # (B, 4, H, W): how strong each level is at a place, on average and at most
        strength = torch.cat(
            [
                pooled
                for level in (detail, context)
                for pooled in (level.mean(1, keepdim=True), level.amax(1, keepdim=True))
            ],
            dim=1,
        )
        # (B, 2 * width, 1, 1)
        content = torch.cat([detail, context], dim=1).mean((2, 3), keepdim=True)
        where = self.spatial(strength).sigmoid()
        what = self.channel(content).sigmoid()
        return coarse + self.project(detail * where * what)


@register_model
class SARL(BaseModule):
    """Relay fine detail from level to level, then feed a neck.

    Each level receives what the finer one has already gathered, so detail of the
    finest level can reach every coarser one. Levels keep their shapes. Levels
    that are finer than the first one of `neck` only give: the stride-4 level of
    the backbone, say, whose detail then reaches a head without a stride-4 level.

    A checkpoint of the same detector without SARL loads: keys of its neck are
    moved into `neck`, and only those of the relays are missing.

    Args:
        in_channels (Sequence[int]): Channels of the backbone's levels before
            scaling, finest first.
        neck (dict): Config of the neck that the enriched levels feed. It takes
            the last `len(neck['in_channels'])` of them.
        widen_factor (float): Scales `in_channels`, as in MMYOLO's necks.
        ratio (float): Width of a relay as a fraction of the level it enriches.
        norm_cfg (dict): Normalisation of the relays.
        act_cfg (dict): Activation of the relays.
        init_cfg (dict, optional): Initialisation, see MMEngine's `BaseModule`.

    Raises:
        ValueError: If there are fewer levels than `neck` takes, or fewer than two.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        neck: dict,
        widen_factor: float = 1.0,
        ratio: float = 0.25,
        norm_cfg: dict = dict(type='BN', momentum=0.03, eps=0.001),  # noqa: B006
        act_cfg: dict = dict(type='SiLU', inplace=True),  # noqa: B006
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        self.num_outs = len(neck['in_channels'])
        if len(in_channels) < max(2, self.num_outs):
            raise ValueError(
                f'SARL relays between at least two levels and passes {self.num_outs} '
                f'to {neck["type"]}, but in_channels={list(in_channels)}'
            )
        channels = [make_divisible(c, widen_factor) for c in in_channels]
        self.relays = nn.ModuleList(
            Relay(fine, coarse, ratio, norm_cfg, act_cfg)
            for fine, coarse in zip(channels[:-1], channels[1:], strict=True)
        )
        self.neck = MODELS.build(neck)
        self._register_load_state_dict_pre_hook(self._adopt_plain_neck)

    def _adopt_plain_neck(self, state_dict: dict, prefix: str, *_) -> None:
        keys = [key for key in state_dict if key.startswith(prefix)]
        if any(key.startswith(f'{prefix}relays.') for key in keys):
            return
        for key in keys:
            state_dict[f'{prefix}neck.{key[len(prefix) :]}'] = state_dict.pop(key)

    def forward(self, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Enrich the levels and run the neck on them.

        Args:
            inputs (Sequence[Tensor]): The backbone's levels, finest first, shapes
                (B, C_i, H_i, W_i).

        Returns:
            tuple[Tensor, ...]: What the neck returns.

        Raises:
            ValueError: If the number of levels is not that of `in_channels`.
        """
        if len(inputs) != len(self.relays) + 1:
            raise ValueError(
                f'SARL was built for {len(self.relays) + 1} levels but got '
                f"{len(inputs)}: the backbone's out_indices and SARL's in_channels "
                f'must agree'
            )
        levels = [inputs[0]]
        for relay, coarse in zip(self.relays, inputs[1:], strict=True):
            levels.append(relay(levels[-1], coarse))
        return self.neck(tuple(levels[-self.num_outs :]))
