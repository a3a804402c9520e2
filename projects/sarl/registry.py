"""Registration under one name in MMYOLO and in MMDetection.

The two frameworks' registries are siblings: a type that only one of them knows
has to be written with its scope (`mmyolo.SARL`) in the other one's configs.
"""

from collections.abc import Callable

from mmdet import registry as mmdet_registry
from mmengine.registry import Registry
from mmyolo import registry as mmyolo_registry


def _in_both(name: str) -> Callable[[type], type]:
    registries: list[Registry] = [
        getattr(mmyolo_registry, name),
        getattr(mmdet_registry, name),
    ]

    def register(cls: type) -> type:
        for registry in registries:
            registry.register_module(module=cls)
        return cls

    return register


register_dataset = _in_both('DATASETS')
register_hook = _in_both('HOOKS')
register_metric = _in_both('METRICS')
register_model = _in_both('MODELS')
register_optim_wrapper = _in_both('OPTIM_WRAPPERS')
register_transform = _in_both('TRANSFORMS')


def type_name(part: dict | None) -> str:
    """Name the type of a part of a config, without its scope or module.

    Args:
        part (dict, optional): With a `type`, a name or, in configs of the new style, a
            class.

    Returns:
        str: Empty if there is none.
    """
    kind = (part or {}).get('type') or ''
    return kind.__name__ if isinstance(kind, type) else kind.rpartition('.')[-1]
