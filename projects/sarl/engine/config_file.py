"""Configs as files, of which one may be missing, broken or based on another."""

from pathlib import Path

from mmengine.config import Config
from mmengine.config.utils import ConfigParsingError

from ..errors import InputError


def read_config(path: str | Path) -> Config:
    """Read a config.

    Args:
        path (str | Path): The file.

    Raises:
        InputError: If it, or a config that it is based on, is missing, of an unknown
            kind or not valid, or needs a module that is not there.
    """
    if not Path(path).is_file():
        raise InputError(f'config {path} does not exist.')
    try:
        return Config.fromfile(path)
    except ImportError as error:
        raise InputError(
            f'config {path} needs a module that cannot be imported: '
            f'{error.__cause__ or error}. Install it, or set PYTHONPATH to its folder.'
        ) from None
    except FileNotFoundError as error:
        raise InputError(
            f'config {path} cannot be read: {error}. A path in _base_ is relative to '
            f'the config that names it.'
        ) from None
    except (OSError, SyntaxError, ValueError, ConfigParsingError) as error:
        raise InputError(f'config {path} cannot be read: {error}') from None
