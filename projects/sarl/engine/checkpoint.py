"""Load MMEngine's checkpoints without opening the door to arbitrary pickles.

torch >= 2.6 unpickles tensors and plain containers only. A checkpoint of MMEngine
0.10 also holds the history of its logs and a few NumPy values: the types named
here. A checkpoint with any other object in it is refused.
"""

import pickle
import re
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from mmengine.config import Config
from mmengine.logging import HistoryBuffer
from mmengine.runner import find_latest_checkpoint

from ..errors import InputError

_numpy_core = np._core if hasattr(np, '_core') else np.core
_numpy_functions = (_numpy_core.multiarray._reconstruct, _numpy_core.multiarray.scalar)
# How a file of torch.save begins: a zip archive or, before torch 1.6, a pickle.
_BEGINNINGS = (b'PK', b'\x80')
_STATISTICS = ('min', 'max', 'current', 'mean')
# What torch 2.0 to 2.13, and `_statistic`, say of an object that is not allowed.
_REFUSAL = re.compile(
    r'(Unsupported (global|class)|Trying to load unsupported GLOBAL|Can only build|'
    r'getattr\()'
    r'.*?(?=\.\s|\n|$)'
)
# What MMEngine needs to resume, the last two in `meta`.
_STATE = ('state_dict', 'message_hub', 'epoch', 'iter')


def _statistic(owner: type, name: str) -> Callable:
    """Stand in for the `getattr` by which pickle finds a history's methods."""
    if owner is not HistoryBuffer or name not in _STATISTICS:
        raise pickle.UnpicklingError(f'getattr({owner!r}, {name!r}) is not allowed')
    return getattr(owner, name)


SAFE_TYPES = [
    HistoryBuffer,
    (_statistic, 'builtins.getattr'),
    np.ndarray,
    np.dtype,
    # By the names that NumPy 1 and 2 write, whichever reads them.
    *(
        (function, f'numpy.{core}.multiarray.{function.__name__}')
        for core in ('core', '_core')
        for function in _numpy_functions
    ),
    *(type(np.dtype(name)) for name in ('f4', 'f8', 'i4', 'i8', 'u4', 'u8', 'bool')),
]


def allow_safe_types() -> None:
    """Let torch load the types of `SAFE_TYPES`.

    Importing sarl does it. The fork of MMEngine takes back those that it allows
    itself, whenever it has loaded a checkpoint.
    """
    if hasattr(torch.serialization, 'add_safe_globals'):
        torch.serialization.add_safe_globals(SAFE_TYPES)


allow_safe_types()


def latest_checkpoint(work_dir: str | Path) -> str | None:
    """Find the checkpoint that a training wrote last, also where its folder was moved.

    MMEngine notes the whole path of the file, whichever folder it was written in.

    Args:
        work_dir (str | Path): The work directory.

    Returns:
        str | None: The file, as noted if the folder has none of that name. Where
        nothing is noted, or an interruption left the note empty, the one of the highest
        epoch or iteration; None if there is none.
    """
    noted = find_latest_checkpoint(str(work_dir))
    if not noted:
        numbered = {
            int(match.group(1)): str(path)
            for path in Path(work_dir).glob('*.pth')
            if (match := re.fullmatch(r'(?:epoch|iter)_(\d+)\.pth', path.name))
        }
        return numbered[max(numbered)] if numbered else None
    here = Path(work_dir, Path(noted).name)
    return str(here) if here.is_file() else noted


def check_checkpoint(path: str) -> dict:
    """Make sure that a checkpoint can be loaded safely.

    Args:
        path (str): The file.

    Returns:
        dict: What it holds, tensors without their values.

    Raises:
        InputError: If it is missing, broken, none, or holds an object of a type that is
            not in `SAFE_TYPES`.
    """
    allow_safe_types()
    try:
        with open(path, 'rb') as file:
            beginning = file.read(2)
    except FileNotFoundError:
        raise InputError(f'checkpoint {path} does not exist.') from None
    except OSError as error:
        raise InputError(
            f'cannot read checkpoint {path}: {error.strerror}. Name another file.'
        ) from None
    if not beginning.startswith(_BEGINNINGS):
        raise InputError(
            f'{path} is no checkpoint: it is empty, or a web page or Git LFS pointer '
            f'stands in its place. Download it again.'
        )
    try:
        content = torch.load(path, map_location='meta', weights_only=True)
        if beginning == b'PK':
            _check_sums(path)
    # Damaged bytes can lead to any error.
    except Exception as error:
        message = str(error)
        if refusal := _REFUSAL.search(message):
            raise InputError(
                f'checkpoint {path} is refused: it holds more than weights and logs '
                f'({refusal[0]}). Save dict(state_dict=...) with its weights alone and '
                f'load that.'
            ) from None
        reason = message.split('WeightsUnpickler error: ')[-1].strip()
        reason = reason.partition('\n')[0].partition('. ')[0]
        reason = f'{type(error).__name__}: {reason}'.rstrip(':. ')
        raise InputError(
            f'checkpoint {path} is broken ({reason}). Was it cut short while it was '
            f'written?'
        ) from None
    if not isinstance(content, dict):
        raise InputError(
            f'{path} is no checkpoint: it holds a {type(content).__name__}, and no '
            f'weights by name. Name another file.'
        )
    return content


def _check_sums(path: str) -> None:
    """Make sure that no part of a zip archive has changed since it was written.

    torch reads tensors without looking at their checksums.
    """
    with zipfile.ZipFile(path) as archive:
        damaged = archive.testzip()
        if damaged is None:
            return
        try:
            archive.read(f'{damaged.partition("/")[0]}/version')
        # That of no part is right where torch was told to write none.
        except zipfile.BadZipFile:
            return
    raise zipfile.BadZipFile(f'{damaged} is damaged')


def check_start(cfg: Config, path: str, content: dict, resume: bool = False) -> None:
    """Make sure that a run can start from what a checkpoint holds.

    Args:
        cfg (Config): The config of the run.
        path (str): The file.
        content (dict): What it holds.
        resume (bool): Whether a training is to go on from it.

    Raises:
        InputError: If it holds no state of a training to go on from, or weights alone
            where the config has an EMAHook, which reads a `state_dict`.
    """
    if resume:
        meta = content.get('meta')
        there = [*content, *(meta if isinstance(meta, dict) else ())]
        missing = [name for name in _STATE if name not in there]
        if missing:
            raise InputError(
                f'checkpoint {path} holds no training to go on with: it lacks '
                f'{", ".join(missing)}. Leave --resume out and start from its weights: '
                f'--cfg-options load_from={path}'
            )
    hooks = list((cfg.get('default_hooks') or {}).values())
    hooks += cfg.get('custom_hooks') or []
    if 'state_dict' not in content and any(
        'EMAHook' in str((hook or {}).get('type')) for hook in hooks
    ):
        raise InputError(
            f"checkpoint {path} holds weights alone, where the config's EMAHook reads "
            f'a state_dict. Save dict(state_dict=...) with them and load that.'
        )
