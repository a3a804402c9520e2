"""The weights that a training starts from: there, or one clear error."""

import importlib.util
from collections.abc import Iterator
from http.client import HTTPException
from pathlib import Path
from urllib.parse import urlparse

import torch
from filelock import FileLock
from mmengine.config import Config
from mmengine.runner import checkpoint as mmengine_checkpoint

from ..errors import InputError
from .checkpoint import check_checkpoint, check_start

# Schemes that stand for a table of URLs by name, and MMEngine's tables.
TABLES = {
    'torchvision': mmengine_checkpoint.get_torchvision_models,
    'modelzoo': mmengine_checkpoint.get_torchvision_models,
    'open-mmlab': mmengine_checkpoint.get_external_models,
    'openmmlab': mmengine_checkpoint.get_external_models,
    'mmcls': mmengine_checkpoint.get_mmcls_models,
}


def find_pretrained(node: dict | list, place: str) -> Iterator[tuple[str, str]]:
    """Find what initialises a model or a part of it from a file.

    Args:
        node (dict | list): A part of the config.
        place (str): Where it is in the config, such as 'model.backbone'.

    Yields:
        tuple[str, str]: The place of the `init_cfg`, and its checkpoint.
    """
    children = node.items() if isinstance(node, dict) else enumerate(node)
    for name, child in children:
        here = f'{place}.{name}'
        if not isinstance(child, dict | list):
            continue
        kind = str(child.get('type')) if isinstance(child, dict) else ''
        if kind.split('.')[-1] in ('Pretrained', 'PretrainedInit'):
            if isinstance(child.get('checkpoint'), str):
                yield here, child['checkpoint']
        else:
            yield from find_pretrained(child, here)


def check_pretrained(
    cfg: Config, download: bool = False, resume: str | None = None
) -> None:
    """Make sure that all weights a training starts from are on this machine.

    These are the checkpoint of every `init_cfg` of type Pretrained in the model, and
    `load_from`, or what is resumed from.

    Args:
        cfg (Config): The config.
        download (bool): Fetch those that it names by URL into torch's cache.
        resume (str, optional): The checkpoint that the training goes on from.

    Raises:
        InputError: If a file is missing, broken, not in the cache or not to be had, or
            if the training cannot start from what it holds.
    """
    found = list(find_pretrained(cfg.model, 'model'))
    start = resume or cfg.get('load_from')
    if start:
        found.append(('load_from', start))
    for place, checkpoint in found:
        without = (
            f'or train without: {place}=None in the config, or --cfg-options '
            f'{place}=None'
        )
        if '://' in checkpoint:
            url = _url(checkpoint, place)
            if url is None:
                continue
            content = _check_cached(checkpoint, url, place, without, download)
        elif place == 'load_from' or Path(checkpoint).is_file():
            content = check_checkpoint(checkpoint)
        else:
            raise InputError(
                f'{checkpoint}, which {place} starts from, does not exist. Put the '
                f'file there, {without}; docs/configs.md says where it comes from, and '
                f'what else to set without it.'
            )
        if place == 'load_from':
            check_start(cfg, checkpoint, content, bool(resume))


def _url(checkpoint: str, place: str) -> str | None:
    """Resolve a checkpoint's name; None where it is not fetched by HTTP."""
    scheme, _, name = checkpoint.partition('://')
    if scheme in ('http', 'https'):
        return checkpoint
    if scheme not in TABLES:
        return None
    if TABLES[scheme] is mmengine_checkpoint.get_torchvision_models and (
        importlib.util.find_spec('torchvision') is None
    ):
        raise InputError(
            f'{place} names {checkpoint}, which needs torchvision: install it, or name '
            f'a file: {place}.checkpoint=FILE in the config, or after --cfg-options'
        )
    names = TABLES[scheme]()
    name = mmengine_checkpoint.get_deprecated_model_names().get(name, name)
    if name not in names:
        raise InputError(f'{place} names {checkpoint}: {scheme} has no {name}.')
    return names[name] if names[name].startswith('http') else None


def _check_cached(
    checkpoint: str, url: str, place: str, without: str, download: bool
) -> dict:
    """Check the file in torch's cache; tell what it holds."""
    name = Path(urlparse(url).path).name
    cached = Path(torch.hub.get_dir(), 'checkpoints', name)
    if not cached.is_file() and not download:
        raise InputError(
            f'{place} starts from {checkpoint}, which is not on this machine, and '
            f'nothing is downloaded unasked. Add --download, put {name} into '
            f'{cached.parent}, {without}'
        )
    try:
        _fetch(url, cached)
    # A digest that does not match is a RuntimeError.
    except (OSError, HTTPException, RuntimeError, ValueError) as error:
        raise InputError(
            f'{url}, which {place} starts from, cannot be fetched: {error}. Put '
            f'{name} into {cached.parent}, {without}'
        ) from None
    try:
        return check_checkpoint(str(cached))
    except InputError as error:
        raise InputError(
            f'{error} It stands for {url}, which {place} starts from: --download '
            f'fetches it once it is removed.'
        ) from None


def _fetch(url: str, cached: Path) -> None:
    """Download a file into torch's cache if it is not there."""
    if cached.is_file():
        return
    cached.parent.mkdir(parents=True, exist_ok=True)
    # One process fetches, the others of its machine wait.
    with FileLock(f'{cached}.lock'):
        if not cached.is_file():
            digest = torch.hub.HASH_REGEX.search(cached.name)
            torch.hub.download_url_to_file(
                url, str(cached), digest.group(1) if digest else None
            )
