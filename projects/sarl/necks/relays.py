"""How one level of features hands its detail to a neighbouring one.

A relay resamples its source level to the size of its target level, decides by both of
them what of it to hand over, and adds that to the target. Its last projection starts at
zero, so that an untrained relay leaves the target as it is.

Three ways to decide, all of them ours (see `docs/method.md`):

- `GateRelay`: a gate over places and a gate over channels, after CBAM (Woo et al. 2018,
  arXiv 1807.06521) but each computed from both levels;
- `PickRelay`: each cell of the coarser level attends to the cells that lie in it;
- `MixRelay`: attention between the channels of the two levels, as in XCiT (El-Nouby et
  al. 2021, arXiv 2106.09681).
"""

from abc import abstractmethod
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmcv.cnn import ConvModule
from torch import Tensor, nn


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


class Resample(nn.Module):
    """Bring the source of a relay to the size of its target.

    Args:
        channels (int): Of the source.
        width (int): Channels that come out.
        how (str): 'space_to_depth' or 'strided_conv' halve the resolution, 'nearest'
            doubles it.
        kernel_size (int): Of the projection, odd. That of a strided convolution is 3.
        **conv: Normalisation and activation of the projection.

    Raises:
        ValueError: If `how` is none of them, or takes no `kernel_size`.
    """

    def __init__(
        self, channels: int, width: int, how: str, kernel_size: int = 1, **conv
    ) -> None:
        super().__init__()
        if how == 'strided_conv':
            if kernel_size != 1:
                raise ValueError("resample='strided_conv' has a kernel of its own")
            kernel = dict(kernel_size=3, stride=2, padding=1)
            self.project = ConvModule(channels, width, **kernel, **conv)
        elif how in ('space_to_depth', 'nearest'):
            folded = 4 * channels if how == 'space_to_depth' else channels
            kernel = dict(kernel_size=kernel_size, padding=kernel_size // 2)
            self.project = ConvModule(folded, width, **kernel, **conv)
        else:
            raise ValueError(
                f"resample is 'space_to_depth', 'strided_conv' or 'nearest', not "
                f'{how!r}'
            )
        self.how = how

    def forward(self, x: Tensor, size: Sequence[int]) -> Tensor:
        """Resample and project.

        Args:
            x (Tensor): Shape (B, channels, h, w).
            size (Sequence[int]): Height H and width W of the target.

        Returns:
            Tensor: Shape (B, width, H, W).
        """
        if self.how == 'space_to_depth':
            return self.project(space_to_depth(x, size))
        x = self.project(x)
        if self.how == 'nearest':
            return F.interpolate(x, size=tuple(size), mode='nearest')
        return F.pad(x, (0, size[1] - x.shape[-1], 0, size[0] - x.shape[-2]))


class Relay(nn.Module):
    """What all relays share: the source, resampled, and a last projection from zero.

    Args:
        source (int): Channels of the level that gives.
        target (int): Channels of the level that receives.
        width (int): Channels of what is handed over.
        resample (str): See `Resample`.
        kernel_size (int): See `Resample`.
        **conv: Normalisation and activation of the projections.

    Raises:
        ValueError: If the kernel is even, or does not go with `resample`.
    """

    def __init__(
        self,
        source: int,
        target: int,
        width: int,
        resample: str,
        kernel_size: int = 1,
        **conv,
    ) -> None:
        super().__init__()
        if kernel_size % 2 == 0:
            raise ValueError(f'kernel_size is odd, not {kernel_size}')
        self.to_fine = resample == 'nearest'
        self.detail = self._build_detail(source, width, resample, kernel_size, **conv)
        self.context = ConvModule(target, width, 1, **conv)
        self.project = nn.Conv2d(width, target, 1)
        self.start_as_identity()

    def _build_detail(self, *args, **conv) -> nn.Module:
        return Resample(*args, **conv)

    def start_as_identity(self) -> None:
        """Hand nothing over until the first step."""
        nn.init.zeros_(self.project.weight)
        nn.init.zeros_(self.project.bias)

    def forward(self, source: Tensor, target: Tensor) -> Tensor:
        """Enrich the target.

        Args:
            source (Tensor): Shape (B, source, h, w), of twice or half the size, up to a
                cell.
            target (Tensor): Shape (B, target, H, W).

        Returns:
            Tensor: Shape (B, target, H, W).

        Raises:
            ValueError: If the levels are not neighbours.
        """
        levels = (target, source) if self.to_fine else (source, target)
        finer, coarser = (tuple(level.shape[-2:]) for level in levels)
        if any(abs(f - 2 * c) > 1 for f, c in zip(finer, coarser, strict=True)):
            raise ValueError(
                f'a relay joins a level with one of half its resolution, not {finer} '
                f'and {coarser}: give SARL every stride from the first to the last, '
                f'finest first; a neck that returns its coarsest level first takes '
                f"place='before' only"
            )
        return target + self.project(self.select(source, target))

    @abstractmethod
    def select(self, source: Tensor, target: Tensor) -> Tensor:
        """Decide what to hand over.

        Args:
            source (Tensor): Shape (B, source, h, w).
            target (Tensor): Shape (B, target, H, W).

        Returns:
            Tensor: Shape (B, width, H, W).
        """


class GateRelay(Relay):
    """Hand over where a spatial and what a channel gate let pass.

    Args:
        *args: Those of `Relay`.
        gates (str): 'both', 'spatial', 'channel' or 'none'.
        **kwargs: Those of `Relay`.

    Raises:
        ValueError: If `gates` is none of them.
    """

    def __init__(self, *args, gates: str = 'both', **kwargs) -> None:
        super().__init__(*args, **kwargs)
        if gates not in ('both', 'spatial', 'channel', 'none'):
            raise ValueError(
                f"gates are 'both', 'spatial', 'channel' or 'none', not {gates!r}"
            )
        width = self.project.in_channels
        self.where = self.what = None
        if gates == 'none':
            # Nothing is decided, and parameters without a gradient stop DDP.
            self.context = nn.Identity()
        if gates in ('both', 'spatial'):
            self.where = nn.Conv2d(4, 1, kernel_size=7, padding=3)
        if gates in ('both', 'channel'):
            squeezed = max(8, width // 4)
            self.what = nn.Sequential(
                nn.Conv2d(2 * width, squeezed, 1),
                nn.SiLU(),
                nn.Conv2d(squeezed, width, 1),
            )

    def select(self, source: Tensor, target: Tensor) -> Tensor:
        """Gate the detail, see `Relay.select`."""
        selected = detail = self.detail(source, target.shape[-2:])
        context = self.context(target)
        if self.where is not None:
            # (B, 4, H, W): how strong each level is at a place, on average and at most
            strength = torch.cat(
                [
                    pooled
                    for level in (detail, context)
                    for pooled in (level.mean(1, True), level.amax(1, True))
                ],
                dim=1,
            )
            selected = selected * self.where(strength).sigmoid()
        if self.what is not None:
            # (B, 2 * width, 1, 1)
            content = torch.cat([detail, context], dim=1).mean((2, 3), keepdim=True)
            selected = selected * self.what(content).sigmoid()
        return selected


def mix_channels(detail: Tensor, context: Tensor, temperature: Tensor) -> Tensor:
    """Let each channel of the context attend to those of the detail.

    Args:
        detail (Tensor): Shape (B, width, H, W).
        context (Tensor): Likewise.
        temperature (Tensor): Factor of their likeness, a cosine over all places.

    Returns:
        Tensor: Likewise.
    """
    # (B, width, H * W); in half precision a sum of squares over all places overflows
    query = F.normalize(context.flatten(2).float(), dim=-1)
    key = F.normalize(detail.flatten(2).float(), dim=-1)
    likeness = query @ key.transpose(1, 2) * temperature
    attention = likeness.softmax(-1).to(detail.dtype)
    return (attention @ detail.flatten(2)).view_as(detail)


class Temperature(nn.Module):
    """A factor that is learned, 1 at the start."""

    def __init__(self) -> None:
        super().__init__()
        # MMYOLO's YOLOv5 optimizes parameters called weight or bias only, and lets
        # weights decay: towards a factor of 1.
        self.weight = nn.Parameter(torch.zeros(1))

    def forward(self) -> Tensor:
        """Give the factor, shape (1,)."""
        return self.weight.exp()


class MixRelay(Relay):
    """Mix the channels of the detail by their likeness to those of the target.

    Channels are compared over all places, so the cost grows with the number of places
    only linearly.
    """

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.temperature = Temperature()

    def select(self, source: Tensor, target: Tensor) -> Tensor:
        """Mix the detail, see `Relay.select`."""
        detail = self.detail(source, target.shape[-2:])
        return mix_channels(detail, self.context(target), self.temperature())


class PickRelay(Relay):
    """Let each cell of the coarser level pick among the four finer cells in it.

    Works towards the coarser level only: `resample` must be 'space_to_depth', and says
    that each of the four cells is seen whole. The kernel is over the finer cells.
    """

    def __init__(self, source: int, target: int, width: int, *args, **kwargs) -> None:
        super().__init__(source, target, width, *args, **kwargs)
        self.key = nn.Conv2d(source, width, 1)
        self.query = nn.Conv2d(width, width, 1)

    def _build_detail(
        self, source: int, width: int, resample: str, kernel_size: int, **conv
    ) -> nn.Module:
        if resample != 'space_to_depth':
            raise ValueError(f"pick needs resample='space_to_depth', not {resample!r}")
        kernel = dict(kernel_size=kernel_size, padding=kernel_size // 2)
        return ConvModule(source, width, **kernel, **conv)

    def select(self, source: Tensor, target: Tensor) -> Tensor:
        """Pick among the finer cells, see `Relay.select`."""
        size = target.shape[-2:]
        # (B, width, 4, H, W)
        detail, key = (
            space_to_depth(cells, size).unflatten(1, (-1, 4))
            for cells in (self.detail(source), self.key(source))
        )
        query = self.query(self.context(target)).unsqueeze(2)
        likeness = (query * key).sum(1, keepdim=True) / key.shape[1] ** 0.5
        return (likeness.softmax(2) * detail).sum(2)


RELAYS = dict(gate=GateRelay, mix=MixRelay, pick=PickRelay)
