"""What a work directory tells of the training in it."""

import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mmengine.config import Config

from ..datasets.coco_file import is_number, read_json
from ..engine.config_file import read_config
from ..engine.run_record import FILE_NAME, TEST_FILE_NAME, annotation_files
from ..errors import InputError

SPLITS = ('val', 'test')
_CONFIG = 'vis_data/config.py'
_SCALARS = 'vis_data/scalars.json'
# What the tables show of a record.
_RECORDED = {
    *('finished', 'device', 'processes', 'batch_size', 'commit', 'dirty', 'versions'),
}
# What a run may have of its own without being of another config.
_OF_THE_RUN = ('work_dir', 'resume', 'launcher', 'experiment_name')
# What an evaluator may have of its own without scoring otherwise.
_OF_THE_EVALUATOR = (
    *('ann_file', 'outfile_prefix', 'format_only', 'classwise', 'collect_device'),
    *('backend', 'backend_args', '_scope_'),
)


@dataclass
class Run:
    """A finished training and its scores.

    Args:
        folder (Path): The work directory.
        name (str): Of its config file.
        cfg (Config): What it was trained with.
        scores (dict[str, float]): Fractions by key, such as 'aitod/AP'.
        scores_file (Path): Where they are from.
        scored (str): What was scored: 'epoch 12', 'iteration 90000', the name of a
            checkpoint, or 'last evaluation' where the log does not tell.
        split (str): 'val', scored by the training, or 'test', by a test.
        scored_cfg (Config): What it was scored with.
        record (dict): What `RunRecordHook` wrote; empty without it.
        hashes (dict[str, dict[str, str]]): SHA-256 of annotation files by split and
            path, as far as the hook wrote them.
    """

    folder: Path
    name: str
    cfg: Config
    scores: dict[str, float]
    scores_file: Path
    scored: str
    split: str
    scored_cfg: Config
    record: dict
    hashes: dict[str, dict[str, str]]

    @property
    def seed(self) -> int | None:
        """None where neither record nor config tell."""
        in_config = (self.cfg.get('randomness') or {}).get('seed')
        return self.record.get('seed', in_config)

    @property
    def dataset(self) -> dict:
        """Config of the data set that was scored."""
        return self.scored_cfg[f'{self.split}_dataloader'].dataset

    @property
    def train_data(self) -> dict[str, str | None]:
        """SHA-256 of each annotation file that was trained on, None if unknown."""
        return self._hashes('train', self.cfg)

    @property
    def scored_data(self) -> dict[str, str | None]:
        """SHA-256 of each annotation file that was scored on, None if unknown."""
        return self._hashes(self.split, self.scored_cfg)

    def _hashes(self, split: str, cfg: Config) -> dict[str, str | None]:
        known = self.hashes.get(split, {})
        files = annotation_files(cfg[f'{split}_dataloader'].dataset)
        return {file: known.get(file) for file in files}

    @property
    def protocol(self) -> list[dict]:
        """The evaluators, without what does not change their scores."""
        evaluators = self.scored_cfg[f'{self.split}_evaluator']
        if isinstance(evaluators, dict):
            evaluators = [evaluators]
        return [
            {
                key: value.split('.')[-1] if key == 'type' else value
                for key, value in evaluator.items()
                if key not in _OF_THE_EVALUATOR
            }
            for evaluator in evaluators
        ]

    @property
    def setting(self) -> str:
        """Equal for runs of one config, scored with one, whatever their seed."""
        setting = self.cfg.to_dict()
        if self.split == 'test':
            setting['scored'] = [
                self.scored_cfg.get('model'),
                self.dataset.get('pipeline'),
                self.scored_cfg.get('tta_model'),
            ]
        for key in _OF_THE_RUN:
            setting.pop(key, None)
        setting['randomness'] = {
            **(setting.get('randomness') or {}),
            'seed': None,
        }
        return json.dumps(setting, sort_keys=True, default=str)

    def score(self, key: str) -> float | None:
        """Look a score up; None if there is none, or nothing to score.

        Args:
            key (str): Such as 'aitod/AP'.

        Raises:
            InputError: If it is not a finite number.
        """
        value = self.scores.get(key)
        if value is None or value == -1:
            return None
        if not (is_number(value) and math.isfinite(value)):
            raise InputError(
                f'{self.scores_file}: {key} of {self.scored} is {value}. Did the '
                f'training diverge? Leave {self.folder} out, or score it again.'
            )
        return value


def read_run(folder: str | Path, split: str = 'val') -> Run:
    """Read a work directory.

    Args:
        folder (str | Path): The work directory.
        split (str): 'val' takes the last evaluation of the training, 'test' the
            latest test, both as MMEngine logs them.

    Raises:
        InputError: If it is missing, holds no config, log or scores, or the training
            has not finished.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f'work directory {folder} does not exist.')
    configs = sorted(folder.glob('*.py'))
    if not configs:
        raise InputError(
            f'{folder} holds no config: it is no work directory of a training.'
        )
    if len(configs) > 1:
        raise InputError(
            f'{folder} holds {len(configs)} configs, {configs[0].name} and '
            f'{configs[1].name}: give each training a work directory of its own.'
        )
    record = _read_record(folder / FILE_NAME)
    if not record.get('finished', True):
        raise _unfinished(folder)
    sessions = sorted(path.parent.parent for path in folder.glob(f'*/{_CONFIG}'))
    trainings = [session for session in sessions if (session / _SCALARS).is_file()]
    if not trainings:
        raise InputError(
            f'{folder} has no log of a training, {{time}}/{_SCALARS}. MMEngine writes '
            f"it where the config's vis_backends have dict(type='LocalVisBackend')."
        )
    trainings, cfg = _last_training(trainings)
    if not record and not _came_to_its_end(folder, cfg):
        raise _unfinished(folder)
    parts = dict(folder=folder, name=configs[0].stem, cfg=cfg, record=record)
    hashes = dict(record.get('data', {}))
    if split == 'test':
        later = [session for session in sessions if session > trainings[-1]]
        scored = _latest_test(folder, later)
        # The record of the training tells what the file was when that started.
        tested = scored['scores_file'].parent / TEST_FILE_NAME
        hashes['test'] = read_json(tested, 'test record') if tested.is_file() else {}
    else:
        scored = _last_evaluation(folder, trainings, cfg)
    return Run(**parts, **scored, hashes=hashes)


def _unfinished(folder: Path) -> InputError:
    return InputError(
        f'the training in {folder} has not finished. Go on with it by '
        f'`tools/train.py CONFIG --work-dir {folder} --resume`.'
    )


def _last_training(sessions: list[Path]) -> tuple[list[Path], Config]:
    """Tell the sessions of the last training, and its config."""
    cfgs = []
    for session in reversed(sessions):
        cfgs.append(read_config(session / _CONFIG))
        if not cfgs[-1].get('resume'):
            break
    latest, first = cfgs[0], cfgs[-1]
    # A resumed session names its checkpoint where the first one names what the
    # training starts from.
    latest.load_from = first.get('load_from')
    return sessions[-len(cfgs) :], latest


def _read_record(path: Path) -> dict:
    if not path.is_file():
        return {}
    record = read_json(path, 'run record')
    if not isinstance(record, dict) or not record.keys() >= _RECORDED:
        raise InputError(
            f'{path} is no record of a training by RunRecordHook. Delete it to compare '
            f'the run without.'
        )
    return record


def _came_to_its_end(folder: Path, cfg: Config) -> bool:
    """Tell by the last checkpoint, where there is no record."""
    last = folder / 'last_checkpoint'
    reached = re.search(r'_(\d+)\.pth', last.read_text()) if last.is_file() else None
    end = cfg.train_cfg.get('max_epochs') or cfg.train_cfg.get('max_iters')
    return reached is not None and int(reached[1]) >= end


def _last_evaluation(folder: Path, trainings: list[Path], cfg: Config) -> dict:
    for session in reversed(trainings):
        file = session / _SCALARS
        scores, trained = None, 0
        for row in _rows(file):
            # Keys of scores have a prefix, those of losses have none.
            if any('/' in key for key in row):
                # LoggerHook counts in epochs, of which a training by iterations has 0.
                scores, step = row, row['step'] or trained
            else:
                trained = row['step']
        if scores is not None:
            unit = 'epoch' if cfg.train_cfg.get('max_epochs') else 'iteration'
            return dict(
                scores=scores,
                scores_file=file,
                scored=f'{unit} {step}' if step else 'last evaluation',
                split='val',
                scored_cfg=cfg,
            )
    raise InputError(
        f'{folder} has no evaluation in its log {trainings[-1] / _SCALARS}. Test its '
        f'checkpoint with tools/test.py and compare with --scores test.'
    )


def _rows(path: Path) -> Iterator[dict]:
    lines = path.read_text(errors='replace').splitlines()
    for number, line in enumerate(lines, 1):
        try:
            row = json.loads(line)
            reason = None if isinstance(row, dict) else 'no object'
        except json.JSONDecodeError as error:
            reason = error.msg
        if reason:
            raise InputError(
                f'{path}, line {number} is not valid JSON ({reason}). Was the '
                f'training killed while it wrote? Delete the line.'
            )
        yield row


def _latest_test(folder: Path, sessions: list[Path]) -> dict:
    files = [session / f'{session.name}.json' for session in sessions]
    files = [file for file in files if file.is_file()]
    if not files:
        raise InputError(
            f'{folder} has no scores of a test after its training. Run '
            f'`tools/test.py CONFIG CHECKPOINT --work-dir {folder}`.'
        )
    cfg = read_config(files[-1].parent / _CONFIG)
    return dict(
        scores=read_json(files[-1], 'score'),
        scores_file=files[-1],
        scored=Path(cfg.load_from).name,
        split='test',
        scored_cfg=cfg,
    )
