"""Train, score and picture the plain detector and ours on the same data."""

import copy
import hashlib
import json
from pathlib import Path

import torch
from mmdet.apis import init_detector
from mmengine.config import Config
from mmengine.device import get_device
from mmyolo.registry import DATASETS
from prettytable import PrettyTable

from ..analysis import count_parameters, match_images, ms_per_image
from ..console import console_to
from ..datasets.coco_file import StrictCOCO
from ..datasets.scenes import make_scenes
from ..engine import launch
from ..engine.checkpoint import latest_checkpoint
from ..engine.run_record import code_version
from ..errors import InputError
from ..files import write_json, write_whole
from ..markdown import markdown_table
from ..metrics.report import AITOD_COLUMNS
from .pictures import draw_comparison, most_different

CONFIGS = {
    'YOLOv5-n': 'yolov5/yolov5_n-v61_1xb16-25e_scenes.py',
    'YOLOv5-n + SARL + SAL': 'yolov5/yolov5_n-v61_sarl-sal_1xb16-25e_scenes.py',
}
TRAIN_SCENES, VAL_SCENES = 800, 200
TIMED_IMAGES = 30
PICTURES = 6


def run_demo(
    configs: Path,
    work_dir: Path,
    scenes: Path,
    data: Path | None = None,
    epochs: int | None = None,
    device: str | None = None,
) -> None:
    """Print one table and write pictures; go on where an earlier run stopped.

    Args:
        configs (Path): The folder of configs.
        work_dir (Path): Where a folder for this setting is made: checkpoints, logs,
            detections, `results.md`, `results.json` and `pictures/`.
        scenes (Path): Where the embedded data set is, or is made.
        data (Path, optional): COCO-format data to use in its place:
            `annotations/{train,val}.json` and `images/`.
        epochs (int, optional): Without it, the config's; on other data, as many as
            see the same number of crops.
        device (str, optional): The device that is expected: 'cpu' or 'cuda'.

    Raises:
        InputError: On bad data, a folder that cannot be written, or if the run would
            be on another device.
    """
    if device is not None and device != get_device():
        raise InputError(
            f'device {device} was asked for, but torch {torch.__version__} runs on '
            f'{get_device()} here.'
        )
    launch.check_writable(work_dir)
    cfgs = {name: Config.fromfile(configs / path) for name, path in CONFIGS.items()}
    if data is None:
        data = scenes
        make_scenes(scenes, TRAIN_SCENES, VAL_SCENES)
    else:
        train_data = StrictCOCO(data / 'annotations/train.json')
        for cfg in cfgs.values():
            _use_classes(cfg, train_data.classes)
            crops = cfg.train_cfg.max_epochs * TRAIN_SCENES
            _set_epochs(cfg, max(1, round(crops / len(train_data.imgs))))
    for cfg in cfgs.values():
        _use_folder(cfg, data)
        if epochs is not None:
            _set_epochs(cfg, epochs)
    folder = work_dir / f'{data.name}-{_digest(cfgs, data)}'
    results_file = folder / 'results.md'
    print(f'Results go to {folder}', flush=True)
    if not results_file.is_file():
        with console_to(folder / 'console.log'):
            scores = {}
            for name, cfg in cfgs.items():
                cfg.work_dir = str(folder / Path(CONFIGS[name]).stem)
                scores[name] = _train_and_score(name, cfg)
            _draw(cfgs, folder / 'pictures')
            rows, setting = _results(cfgs, scores)
        results = dict(rows=rows, setting=setting)
        write_json(folder / 'results.json', results, indent=2)
        write_whole(results_file, f'{_table(rows)}\n\n{setting}\n'.encode())
    print(f'\n{results_file.read_text()}')
    print(f'Images on which the two differ most: {folder / "pictures"}')


def _digest(cfgs: dict[str, Config], data: Path) -> str:
    """Name a setting, so that a run only goes on from one of the same setting."""
    digest = hashlib.sha256(f'{code_version()} {get_device()}'.encode())
    for cfg in cfgs.values():
        digest.update(cfg.pretty_text.encode())
    for split in ('train', 'val'):
        annotations = data / f'annotations/{split}.json'
        # A missing file gets its error from the data set.
        digest.update(annotations.read_bytes() if annotations.is_file() else b'')
    return digest.hexdigest()[:8]


def _use_folder(cfg: Config, data: Path) -> None:
    for split in ('train', 'val', 'test'):
        dataset = cfg[f'{split}_dataloader'].dataset
        dataset.data_root = f'{data}/'
        if split != 'train':
            cfg[f'{split}_evaluator'].ann_file = f'{data}/{dataset.ann_file}'


def _use_classes(cfg: Config, classes: tuple[str, ...]) -> None:
    for split in ('train', 'val', 'test'):
        cfg[f'{split}_dataloader'].dataset.update(
            type='TinyCocoDataset', metainfo=dict(classes=classes)
        )
    head = cfg.model.bbox_head
    head.loss_cls.loss_weight *= len(classes) / head.head_module.num_classes
    head.head_module.num_classes = len(classes)


def _set_epochs(cfg: Config, epochs: int) -> None:
    if epochs < 1:
        raise InputError(f'the number of epochs must be at least 1, not {epochs}')
    cfg.train_cfg.max_epochs = cfg.train_cfg.val_interval = epochs
    cfg.default_hooks.param_scheduler.max_epochs = epochs


def _train_and_score(name: str, cfg: Config) -> dict[str, float]:
    folder = Path(cfg.work_dir)
    scores_file = folder / 'scores.json'
    if scores_file.is_file():
        return json.loads(scores_file.read_text())
    cfg = copy.deepcopy(cfg)
    cfg.custom_hooks.append(dict(type='ProgressBarHook', name=name))
    # MMEngine would write the second training's log into the folder of the first.
    cfg.visualizer.name = folder.name
    # The last epoch is scored by the test.
    cfg.train_cfg.val_begin = cfg.train_cfg.max_epochs + 1
    cfg.test_evaluator.outfile_prefix = str(folder / 'detections')
    launch.train(cfg, resume='auto')
    scores = launch.test(cfg, latest_checkpoint(folder))
    write_json(scores_file, scores, indent=2)
    return scores


def _results(
    cfgs: dict[str, Config], scores: dict[str, dict[str, float]]
) -> tuple[dict[str, dict[str, float]], str]:
    """Add costs to the scores, and say what all of them depend on."""
    plain = next(iter(cfgs.values()))
    models = [
        init_detector(cfg, latest_checkpoint(cfg.work_dir), device=get_device())
        for cfg in cfgs.values()
    ]
    images = DATASETS.build(plain.test_dataloader.dataset)
    timed = [images[index] for index in range(min(TIMED_IMAGES, len(images)))]
    milliseconds = ms_per_image(models, timed)
    rows = {
        name: {
            **{key: scores[name][f'aitod/{key}'] for key in AITOD_COLUMNS.values()},
            'parameters': count_parameters(model),
            'ms_per_image': ms,
        }
        for name, model, ms in zip(cfgs, models, milliseconds, strict=True)
    }
    setting = (
        f'{len(images)} images of {plain.test_evaluator.ann_file}, '
        f'{plain.train_cfg.max_epochs} epochs, seed {plain.randomness.seed}, '
        f'{get_device()}, torch {torch.__version__}, '
        f'{torch.get_num_threads()} threads; '
        f'ms/image ratio {milliseconds[1] / milliseconds[0]:.2f}'
    )
    return rows, setting


def _table(rows: dict[str, dict[str, float]]) -> PrettyTable:
    """Lay rows out in percent; '-' where there is no ground truth of the size."""
    table = markdown_table(['', *AITOD_COLUMNS, 'parameters', 'ms/image'])
    for name, row in rows.items():
        percents = [
            '-' if row[key] < 0 else f'{100 * row[key]:.1f}'
            for key in AITOD_COLUMNS.values()
        ]
        costs = [f'{row["parameters"]:,}', f'{row["ms_per_image"]:.1f}']
        table.add_row([name, *percents, *costs])
    return table


def _draw(cfgs: dict[str, Config], folder: Path) -> None:
    dataset = next(iter(cfgs.values())).test_dataloader.dataset
    truth = StrictCOCO(Path(dataset.data_root, dataset.ann_file))
    # Scores leave out categories that the training data have not.
    trained = truth.get_cat_ids(dataset.get('metainfo', {}).get('classes', ()))
    truth.dataset['annotations'] = [
        annotation
        for annotation in truth.dataset['annotations']
        if annotation['category_id'] in trained
    ]
    truth.createIndex()
    matches = {
        name: match_images(
            truth, json.loads(Path(cfg.work_dir, 'detections.bbox.json').read_text())
        )
        for name, cfg in cfgs.items()
    }
    for rank, image_id in enumerate(most_different(*matches.values(), PICTURES), 1):
        file_name = truth.imgs[image_id]['file_name']
        draw_comparison(
            Path(dataset.data_root, dataset.data_prefix.img, file_name),
            [a['bbox'] for a in truth.imgToAnns[image_id] if not a['iscrowd']],
            {name: by_image[image_id] for name, by_image in matches.items()},
            folder / f'{rank}_{Path(file_name).stem}.png',
        )
