"""Load MMEngine's checkpoints without opening the door to arbitrary pickles.

torch >= 2.6 unpickles tensors and plain containers only. A checkpoint of MMEngine
0.10 also holds the history of its logs and a few NumPy values: the types named
here. A checkpoint with any other object in it is refused.
"""

import pickle
import re
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from mmengine.logging import HistoryBuffer
from mmengine.runner import find_latest_checkpoint

from ..errors import InputError

_numpy_core = np._core if hasattr(np, '_core') else np.core
_numpy_functions = (_numpy_core.multiarray._reconstruct, _numpy_core.multiarray.scalar)
# How a file of torch.save begins: a zip archive or, before torch 1.6, a pickle.
_BEGINNINGS = (b'PK', b'\x80')
_STATISTICS = ('min', 'max', 'current', 'mean')


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
            if not file.read(2).startswith(_BEGINNINGS):
                raise InputError(
                    f'{path} is no checkpoint: it is empty, or a web page or Git LFS '
                    f'pointer stands in its place. Download it again.'
                )
        return torch.load(path, map_location='meta', weights_only=True)
    except FileNotFoundError:
        raise InputError(f'checkpoint {path} does not exist.') from None
    except pickle.UnpicklingError as error:
        reason = str(error).split('WeightsUnpickler error: ')[-1].split('. ')[0]
        raise InputError(
            f'checkpoint {path} is refused: it holds more than weights and logs '
            f'({reason}). Save its state_dict alone and load that.'
        ) from None
    except (RuntimeError, EOFError, OSError, struct.error) as error:
        reason = str(error).partition('\n')[0]
        raise InputError(
            f'checkpoint {path} is broken: {reason} '
            f'Was it cut short while it was written?'
        ) from None
