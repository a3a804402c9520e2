"""One list of classes for the detector and all its data.

Without `metainfo`, a data set takes its classes from its own annotation file. Labels
are places in that list, so training, validation and test have to share one.
"""

import reprlib

from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch import nn
from torch.utils.data import DataLoader

from ..errors import InputError


def classes_of(dataloader: DataLoader) -> tuple[str, ...] | None:
    """Tell the classes of a dataloader's data set, None if it has none.

    Raises:
        InputError: If it joins data sets of different classes.
    """
    metainfo = getattr(dataloader.dataset, 'metainfo', None) or {}
    # MMEngine's and MMDetection's ConcatDataset list those that differ.
    members = metainfo if isinstance(metainfo, list) else [metainfo]
    first, *others = (member.get('classes') for member in members)
    for classes in others:
        if first is not None and classes is not None and tuple(classes) != tuple(first):
            raise InputError(
                f'a {type(dataloader.dataset).__name__} joins data of the classes '
                f'{tuple(first)} and {tuple(classes)}. Set the same '
                f'metainfo=dict(classes=...) for its data sets.'
            )
    return None if first is None else tuple(first)


def hand_classes(dataset: dict, classes: tuple[str, ...]) -> None:
    """Give classes to a data set, or to those it wraps, that set none themselves.

    Args:
        dataset (dict): Its config, changed in place.
        classes (tuple[str, ...]): Names, in order of the labels.
    """
    wrapped = [dataset['dataset']] if 'dataset' in dataset else dataset.get('datasets')
    for inner in wrapped or ():
        hand_classes(inner, classes)
    if not wrapped:
        dataset['metainfo'] = dict(classes=classes) | (dataset.get('metainfo') or {})


def check_same_classes(
    dataloader: DataLoader, trained: tuple[str, ...], what: str
) -> None:
    """Make sure that data have the classes that were trained.

    Args:
        dataloader (DataLoader): The data.
        trained (tuple[str, ...]): Names, in order of the labels.
        what (str): What the data are for.

    Raises:
        InputError: If they have others, or another order of them.
    """
    classes = classes_of(dataloader)
    if classes not in (None, trained):
        raise InputError(
            f'the {what} data have the classes {classes}, but trained are {trained}: '
            f'labels would stand for other classes. Set the same '
            f'metainfo=dict(classes=...) for both, or none for the {what} data, which '
            f'then get those of the training.'
        )


def check_num_classes(model: nn.Module, classes: tuple[str, ...]) -> None:
    """Make sure that a detector's heads are made for the classes of its data.

    Args:
        model (nn.Module): The detector.
        classes (tuple[str, ...]): Names, in order of the labels.

    Raises:
        InputError: If a head has another number of classes.
    """
    if is_model_wrapper(model):
        model = model.module
    # GLIP and Grounding DINO count tokens, Panoptic FPN only the things of its classes.
    if hasattr(model, 'language_model') or hasattr(model, 'semantic_head'):
        return
    others = {
        name: module.num_classes
        for name, module in model.named_modules()
        # An RPN tells objects from background, a semantic head has classes of its own.
        if 'head' in name
        and 'rpn_head' not in name
        and 'semantic_head' not in name
        and isinstance(getattr(module, 'num_classes', None), int)
        and module.num_classes != len(classes)
    }
    if others:
        found = ', '.join(f'{name}.num_classes={n}' for name, n in others.items())
        raise InputError(
            f'the data have {len(classes)} classes, {reprlib.repr(classes)}, but the '
            f'detector has {found}. Set num_classes={len(classes)} wherever the config '
            f'of the model sets it.'
        )


def follow_training(runner: Runner) -> None:
    """Have a training's detector and validation data follow its training data.

    Args:
        runner (Runner): Before the training.

    Raises:
        InputError: If their classes differ.
    """
    trained = classes_of(runner.train_dataloader)
    if trained is None:
        return
    check_num_classes(runner.model, trained)
    if runner._val_dataloader is not None:
        hand_classes(runner._val_dataloader['dataset'], trained)
        check_same_classes(runner.val_dataloader, trained, 'validation')


def follow_checkpoint(runner: Runner, checkpoint: dict) -> None:
    """Have a test's detector and data follow the checkpoint.

    Args:
        runner (Runner): Before the test.
        checkpoint (dict): What the file holds.

    Raises:
        InputError: If their classes differ.
    """
    meta = (checkpoint.get('meta') or {}).get('dataset_meta') or {}
    trained = meta.get('classes') if isinstance(meta, dict) else None
    if trained is not None:
        hand_classes(runner._test_dataloader['dataset'], tuple(trained))
        check_same_classes(runner.test_dataloader, tuple(trained), 'test')
    tested = classes_of(runner.test_dataloader)
    if tested is not None:
        check_num_classes(runner.model, tested)
