"""SARL, the Scale-Aware Relay Layer.

Reference: Li et al. 2025, arXiv 2511.09891. Only the abstract is public: it asks
for "cross-scale spatial-channel attention" that enriches each layer progressively
and lets layers share features. Everything below that sentence is our
reconstruction, see `docs/method.md`.
"""

from collections.abc import Sequence

from mmengine.model import BaseModule
from mmyolo.models.utils import make_divisible
from mmyolo.registry import MODELS
from torch import Tensor, nn

from ..registry import register_model
from .relays import RELAYS


class RelayChain(BaseModule):
    """Relay from level to level, each receiving what the last one has gathered.

    Args:
        channels (Sequence[int]): Of the levels, finest first.
        givers (int): Number of finest levels that only give: nothing that is relayed
            to them would be used.
        towards (str): 'coarse' goes from the finest level to the coarsest, 'fine' the
            other way, 'both' to the coarsest and back.
        relay (dict): `type`, a name in `RELAYS`, and arguments of that relay.
        resample (str): How the way to the coarse halves the resolution, see `Resample`.
        **kwargs: Further arguments of the relays.

    Raises:
        ValueError: If `towards` or the relay's type is unknown.
    """

    def __init__(
        self,
        channels: Sequence[int],
        givers: int,
        towards: str,
        relay: dict,
        resample: str,
        **kwargs,
    ) -> None:
        super().__init__()
        if towards not in ('coarse', 'fine', 'both'):
            raise ValueError(f"towards is 'coarse', 'fine' or 'both', not {towards!r}")
        kwargs |= relay
        kind = kwargs.pop('type', 'gate')
        if kind not in RELAYS:
            raise ValueError(f'SARL has no relay {kind!r}, only {sorted(RELAYS)}')
        pairs = list(zip(channels[:-1], channels[1:], strict=True))
        self.to_coarse, self.to_fine = nn.ModuleList(), nn.ModuleList()
        if towards != 'fine':
            self.to_coarse.extend(
                RELAYS[kind](fine, coarse, resample=resample, **kwargs)
                for fine, coarse in pairs
            )
        if towards != 'coarse':
            self.to_fine.extend(
                RELAYS[kind](coarse, fine, resample='nearest', **kwargs)
                for fine, coarse in pairs[givers:]
            )
        self.givers = givers

    def init_weights(self) -> None:
        """Initialise as configured, but start as the identity.

        The `init_cfg` of SARL or of a detector, YOLOX's for one, is for all of its
        convolutions.
        """
        super().init_weights()
        for relay in (*self.to_coarse, *self.to_fine):
            relay.start_as_identity()

    def forward(self, levels: Sequence[Tensor]) -> list[Tensor]:
        """Enrich the levels.

        Args:
            levels (Sequence[Tensor]): Finest first, shapes (B, C_i, H_i, W_i).

        Returns:
            list[Tensor]: Of the same shapes.
        """
        levels = list(levels)
        for index, relay in enumerate(self.to_coarse):
            levels[index + 1] = relay(levels[index], levels[index + 1])
        for index, relay in reversed(list(enumerate(self.to_fine, self.givers))):
            levels[index] = relay(levels[index + 1], levels[index])
        return levels


@register_model
class SARL(BaseModule):
    """Relay fine detail from level to level, before, behind or around a neck.

    Each level receives what the finer one has already gathered, so detail of the
    finest level can reach every coarser one. Levels keep their shapes. Levels
    that are finer than the first one of `neck` only give: the stride-4 level of
    the backbone, say, whose detail then reaches a head without a stride-4 level.

    A checkpoint of the same detector without SARL loads: keys of its neck are
    moved into `neck`, and only those of the relays are missing.

    Args:
        in_channels (Sequence[int]): Channels of the backbone's levels before
            scaling, finest first.
        neck (dict): Config of the neck. It takes the last `len(neck['in_channels'])`
            of the levels. Where a detector has a list of necks, it is the first one.
        widen_factor (float): Scales `in_channels` and `width`, as in MMYOLO's necks.
        width (int): Channels, before scaling, of what is relayed: the same between
            all levels, so that nothing is squeezed where the detail comes from.
        place (str): 'before' enriches what the neck takes, 'after' what it returns,
            'around' both.
        towards (str): See `RelayChain`.
        relay (dict): `type`: 'gate', 'mix' or 'pick'; and arguments of that relay.
        resample (str): 'space_to_depth' or 'strided_conv'.
        kernel_size (int): Of the projection of what is relayed, odd. Towards the coarse
            3 sees six by six cells of the finer level in place of two by two, with
            'pick' four by four; towards the fine, three by three of the coarser.
        norm_cfg (dict): Normalisation of the relays.
        act_cfg (dict): Activation of the relays.
        init_cfg (dict, optional): Initialisation, see MMEngine's `BaseModule`.

    Raises:
        ValueError: If there are fewer levels than `neck` takes, or fewer than two; if
            an argument is unknown; if `neck` is a list or takes no list of levels, or
            its output cannot be enriched; if finer levels than it takes are given and
            `towards` is 'fine', where they would give nothing.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        neck: dict,
        widen_factor: float = 1.0,
        width: int = 128,
        place: str = 'before',
        towards: str = 'coarse',
        relay: dict = dict(type='gate'),  # noqa: B006
        resample: str = 'space_to_depth',
        kernel_size: int = 1,
        norm_cfg: dict = dict(type='BN', momentum=0.03, eps=0.001),  # noqa: B006
        act_cfg: dict = dict(type='SiLU', inplace=True),  # noqa: B006
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        if not isinstance(neck, dict) or not isinstance(
            neck.get('in_channels'), list | tuple
        ):
            raise ValueError(
                f'SARL joins one neck with in_channels=[...], not {neck}. It goes '
                f"around the first of a list of necks: [dict(type='SARL', "
                f"neck=dict(type='FPN', ...), ...), dict(type='BFP', ...)]"
            )
        self.num_ins = len(in_channels)
        self.num_outs = len(neck['in_channels'])
        if self.num_ins < max(2, self.num_outs):
            raise ValueError(
                f'SARL relays between at least two levels and passes {self.num_outs} '
                f'to {neck["type"]}, but in_channels={list(in_channels)}'
            )
        if place not in ('before', 'after', 'around'):
            raise ValueError(f"place is 'before', 'after' or 'around', not {place!r}")
        channels = [_scaled(c, widen_factor) for c in in_channels]
        givers = self.num_ins - self.num_outs
        if givers and towards == 'fine':
            raise ValueError(
                f"towards='fine' has no use for {givers} of the levels "
                f'{list(in_channels)}: leave out what {neck["type"]} does not take'
            )
        settings = dict(
            towards=towards,
            relay=relay,
            resample=resample,
            kernel_size=kernel_size,
            width=_scaled(width, widen_factor),
            norm_cfg=norm_cfg,
            act_cfg=act_cfg,
        )
        self.before = self.after = None
        if place != 'after':
            # FPN uses its levels from start_level to end_level.
            unused = givers + neck.get('start_level', 0)
            last = neck.get('end_level', -1)
            used = channels if last == -1 else channels[: givers + last + 1]
            self.before = RelayChain(used, givers=unused, **settings)
        if place != 'before':
            self.out_channels = _out_channels(neck)
            self.after = RelayChain(
                [*channels[:givers], *self.out_channels], givers=givers, **settings
            )
        self.neck = MODELS.build(neck)
        self._register_load_state_dict_pre_hook(self._adopt_plain_neck)

    def _adopt_plain_neck(self, state_dict: dict, prefix: str, *_) -> None:
        keys = [key for key in state_dict if key.startswith(prefix)]
        ours = tuple(f'{prefix}{name}.' for name in ('before', 'after'))
        if any(key.startswith(ours) for key in keys):
            return
        for key in keys:
            state_dict[f'{prefix}neck.{key[len(prefix) :]}'] = state_dict.pop(key)

    def forward(self, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Run the relays and the neck.

        Args:
            inputs (Sequence[Tensor]): The backbone's levels, finest first, shapes
                (B, C_i, H_i, W_i).

        Returns:
            tuple[Tensor, ...]: What the neck returns, enriched if SARL is behind it.

        Raises:
            ValueError: If the number of levels is not that of `in_channels`, if they
                are not neighbours, or if SARL is behind a neck that returns others than
                its config tells.
        """
        if len(inputs) != self.num_ins:
            raise ValueError(
                f'SARL was built for {self.num_ins} levels but got '
                f"{len(inputs)}: the backbone's out_indices and SARL's in_channels "
                f'must agree'
            )
        levels = list(inputs)
        if self.before is not None:
            levels = self.before(levels)
        givers = levels[: self.num_ins - self.num_outs]
        outputs = self.neck(tuple(levels[-self.num_outs :]))
        if self.after is None:
            return outputs
        if (found := [level.shape[1] for level in outputs]) != self.out_channels:
            raise ValueError(
                f'{type(self.neck).__name__} returns {found} channels, where its '
                f"out_channels tells {self.out_channels}: set place='before', or the "
                f"neck's num_outs if it has one"
            )
        return tuple(self.after([*givers, *outputs])[len(givers) :])


def _scaled(channels: int, factor: float) -> int:
    # MMYOLO rounds what it scales to multiples of 8; other backbones have any number.
    return channels if factor == 1 else make_divisible(channels, factor)


def _out_channels(neck: dict) -> list[int]:
    """Tell the channels of the levels that a neck returns, finest first."""
    out_channels = neck.get('out_channels')
    if out_channels is None:
        raise ValueError(f'{neck["type"]} tells no out_channels: SARL goes before it')
    if isinstance(out_channels, int):
        count = neck.get('num_outs') or len(neck['in_channels'])
        out_channels = [out_channels] * count
    return [_scaled(c, neck.get('widen_factor', 1.0)) for c in out_channels]
