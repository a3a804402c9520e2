"""Tables of trainings, from work directories."""

import json
import re
import shutil
from pathlib import Path

import mmdet
import numpy as np
import pytest
import torch
from conftest import CLASSES, ROOT, write_coco
from mmengine.config import Config

from sarl.analysis import Cost, costs_of_configs
from sarl.analysis.compare import Comparison, Row, compare
from sarl.analysis.published import BENCHMARKS
from sarl.analysis.runs import Run
from sarl.analysis.seeds import Statistic
from sarl.analysis.tables import as_json, as_markdown
from sarl.engine import launch
from sarl.engine.run_record import sha256
from sarl.errors import InputError

PUBLISHED = ROOT.parent / 'shared/published_results.md'
SCENES = 'configs/yolov5/yolov5_n-v61{}_1xb16-25e_scenes.py'


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    """Work directories of two short trainings, plain and with SARL and SAL."""
    folder = tmp_path_factory.mktemp('trained')
    data = write_coco(folder / 'data')
    for name, kind in {'plain': '', 'relay': '_sarl-sal'}.items():
        cfg = Config.fromfile(ROOT / SCENES.format(kind))
        for split in ('train', 'val', 'test'):
            loader = cfg[f'{split}_dataloader']
            loader.update(batch_size=3, num_workers=0, persistent_workers=False)
            loader.dataset.update(
                type='TinyCocoDataset',
                data_root=f'{data}/',
                metainfo=dict(classes=CLASSES),
            )
            if split != 'train':
                ann_file = f'{data}/annotations/val.json'
                cfg[f'{split}_evaluator'].ann_file = ann_file
        for transform in cfg.train_dataloader.dataset.pipeline:
            if transform.type == 'mmdet.RandomCrop':
                transform.crop_size = (64, 64)
            if transform.type == 'mmdet.Pad':
                transform.size = (64, 64)
        cfg.model.bbox_head.head_module.num_classes = len(CLASSES)
        cfg.train_cfg.update(max_epochs=2, val_interval=1)
        cfg.default_hooks.param_scheduler.max_epochs = 2
        cfg.custom_hooks = [dict(type='RunRecordHook')]
        # Visualizers of one name are one in a process, and keep the first's folder.
        cfg.visualizer.name = name
        path = folder / f'{name}.py'
        cfg.dump(path)
        launch.train(launch.load_config(str(path), folder / name))
    return folder


def table(text, heading):
    """Read the table under a heading: cells by column, a dict a row."""
    lines = text.split(f'## {heading}')[1].split('\n\n')[1].splitlines()
    header, _, *rows = (
        [cell.strip() for cell in line.split('|')[1:-1]] for line in lines
    )
    return {row[0]: dict(zip(header, row, strict=True)) for row in rows}


def count_in_checkpoint(path):
    """Count the trained numbers, without the running statistics of batches."""
    return sum(
        value.numel()
        for key, value in torch.load(path)['state_dict'].items()
        if not key.endswith(('running_mean', 'running_var', 'num_batches_tracked'))
        and 'log_reference' not in key
        and 'num_updates' not in key
    )


def test_two_trainings_on_the_command_line(trained, tool, tmp_path):
    folders = [trained / 'plain', trained / 'relay']
    out, data = tmp_path / 'tables/out.md', tmp_path / 'tables/out.json'
    result = tool(
        *('analysis_tools/compare.py', *folders, '--baseline', 'plain'),
        *('--size', 96, '--out', out, '--json', data),
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout == ''
    assert re.search('forward passes.*100%', result.stderr)
    assert not list(out.parent.glob('*.part'))
    text = out.read_text()
    measured, runs = table(text, 'Measured'), table(text, 'Runs')
    content = json.loads(data.read_text())
    for folder, row in zip(folders, content['measured'], strict=True):
        name = row['name']
        assert name == folder.name
        (scalars,) = folder.glob('*/vis_data/scalars.json')
        last = json.loads(scalars.read_text().splitlines()[-1])
        assert row['scores']['AP50']['values'] == [last['aitod/AP_50']]
        assert measured[name]['APt'] == f'{100 * last["aitod/AP_t"]:.1f}'
        assert last['aitod/AP_m'] == -1
        assert row['scores']['APm'] is None
        assert measured[name]['APm'] == '-'

        parameters = count_in_checkpoint(folder / 'epoch_2.pth')
        assert row['parameters'] == parameters
        assert measured[name]['parameters'] == f'{parameters:,}'
        assert row['flops'] > 1e7
        assert row['ms'] > 0

        record = json.loads((folder / 'run.json').read_text())
        assert row['training_seconds']['mean'] == record['training_seconds'] > 0
        run = runs[str(folder)]
        assert run['scored'] == 'epoch 2'
        assert run['seed'] == '0'
        assert run['batch'] == '1 x 3'
        assert run['commit'].startswith((record['commit'] or '-')[:10])
        digest = sha256(trained / 'data/annotations/val.json')
        assert run['scored data'] == f'val.json {digest[:8]}'
        assert run['training data'] != run['scored data']
    difference = content['measured'][1]['difference']['AP']
    aps = [row['scores']['AP']['mean'] for row in content['measured']]
    assert difference['mean'] == aps[1] - aps[0]
    assert difference['paired_seeds'] == [0]
    assert '(1 pair)' in measured['relay']['AP - plain']
    assert measured['plain']['AP - plain'] == ''
    assert 'Published' not in text
    assert '96 x 96 px' in text


def test_scores_of_a_test(trained, tmp_path):
    folder = shutil.copytree(trained / 'plain', tmp_path / 'run')
    with pytest.raises(InputError, match='run has no scores of a test'):
        compare([folder], split='test')
    cfg = launch.load_config(str(folder / 'plain.py'), folder)
    cfg.visualizer.name = 'test'
    scores = launch.test(cfg, str(folder / 'epoch_1.pth'))
    text = as_markdown(compare([folder], split='test', size=64, timed=False))
    row = table(text, 'Runs')[str(folder)]
    assert row['scored'] == 'epoch_1.pth'
    assert row['AP'] == f'{100 * scores["aitod/AP"]:.1f}'
    measured = table(text, 'Measured')['plain']
    assert measured['AP50'] == f'{100 * scores["aitod/AP_50"]:.1f}'
    assert 'ms' not in measured
    # The training's own scores are as they were.
    digest = sha256(trained / 'data/annotations/val.json')
    assert row['scored data'] == f'val.json {digest[:8]}'
    as_trained = compare([trained / 'plain'], size=64, timed=False).runs[0]
    assert compare([folder], size=64, timed=False).runs[0].scores == as_trained.scores


@pytest.fixture
def make_run(tmp_path, monkeypatch):
    """Write work directories by hand; their detectors cost nothing to measure."""
    monkeypatch.setattr(
        'sarl.analysis.compare.costs_of_configs',
        lambda cfgs, *_: [Cost(1234567, 2_500_000_000, 3.25) for _ in cfgs],
    )

    def make(
        folder,
        scores,
        seed=0,
        config='plain',
        dataset='TinyCocoDataset',
        ann_file='annotations/val.json',
        evaluator='AITODMetric',
        digest='a' * 64,
        time='20260102_030405',
        record=(),
        train_cfg=None,
        **settings,
    ):
        cfg = Config(
            dict(
                model=dict(type=config),
                train_dataloader=dict(
                    dataset=dict(type=dataset, data_root='d/', ann_file='train.json')
                ),
                val_dataloader=dict(
                    dataset=dict(type=dataset, data_root='d/', ann_file=ann_file)
                ),
                val_evaluator=dict(type=evaluator, ann_file=f'd/{ann_file}'),
                train_cfg=train_cfg or dict(max_epochs=12),
                randomness=dict(seed=seed),
                **settings,
            )
        )
        folder = tmp_path / folder
        session = folder / time / 'vis_data'
        session.mkdir(parents=True)
        cfg.dump(folder / f'{config}.py')
        cfg.dump(session / 'config.py')
        rows = [dict(loss=1.0, epoch=12, step=99), scores | dict(step=12)]
        (session / 'scalars.json').write_text(
            ''.join(json.dumps(row) + '\n' for row in rows)
        )
        content = dict(
            finished=True,
            seed=seed,
            training_seconds=3600,
            versions=dict(sarl='0.1.0'),
            device='a GPU',
            processes=2,
            batch_size=8,
            commit='c' * 40,
            dirty=False,
            data=dict(train={'d/train.json': 'b' * 64}, val={f'd/{ann_file}': digest}),
        )
        if record is not None:
            content.update(record)
            (folder / 'run.json').write_text(json.dumps(content))
        return folder

    return make


def ap(value):
    return {'aitod/AP': value, 'aitod/AP_50': 2 * value}


@pytest.fixture
def make_tested_run(make_run):
    """Add a test to a work directory, on annotations that may have changed."""

    def make(folder, score, seed=0, digest='f' * 64, **settings):
        folder = make_run(folder, ap(0.1), seed)
        session = folder / '20260203_040506'
        (session / 'vis_data').mkdir(parents=True)
        files = dict(data_root='d/', ann_file='annotations/val.json')
        cfg = dict(
            model=dict(type='plain'),
            test_dataloader=dict(dataset=dict(type='TinyCocoDataset', **files)),
            test_evaluator=dict(type='AITODMetric'),
            load_from='epoch_12.pth',
        )
        Config(cfg | settings).dump(session / 'vis_data/config.py')
        (session / '20260203_040506.json').write_text(json.dumps(ap(score)))
        if digest:
            data = {'d/annotations/val.json': digest}
            (session / 'data.json').write_text(json.dumps(data))
        return folder

    return make


def test_a_test_is_of_the_data_that_it_was_scored_on(make_tested_run):
    """Not of what the file was when the training started."""
    one, other = make_tested_run('a', 0.2), make_tested_run('b', 0.3, 1)
    row = table(as_markdown(compare([one, other], split='test')), 'Runs')[str(one)]
    assert row['scored data'] == 'val.json ffffffff'
    mended = make_tested_run('c', 0.3, 2, 'e' * 64)
    with pytest.raises(InputError, match=r'ffffffff\) and .*eeeeeeee'):
        compare([one, mended], split='test')
    unknown = make_tested_run('d', 0.3, 3, None)
    row = table(as_markdown(compare([unknown], split='test')), 'Runs')[str(unknown)]
    assert row['scored data'] == 'val.json -'


def test_seeds_that_were_tested_in_two_ways_are_two_rows(make_tested_run):
    few = dict(type='plain', test_cfg=dict(max_per_img=10))
    folders = [make_tested_run('a', 0.2), make_tested_run('b', 0.3, 1, model=few)]
    rows = compare(folders, split='test').rows
    assert [row.name for row in rows] == ['plain (a)', 'plain (b)']
    assert len(compare(folders).rows) == 1


def test_runs_of_one_config_become_a_row(make_run):
    folders = [
        *(make_run(f'a{s}', ap(x), s) for s, x in enumerate((0.20, 0.24))),
        *(
            make_run(f'b{s}', ap(x), s, 'ours', record=dict(training_seconds=t))
            for s, x, t in ((1, 0.30, 4000), (0, 0.22, 5000), (2, 0.35, 6000))
        ),
        make_run('c', ap(0.1), 7, 'other'),
    ]
    comparison = compare(folders, 'plain')
    measured = table(as_markdown(comparison), 'Measured')
    assert list(measured) == ['plain', 'ours', 'other']
    # By hand: 0.02 * sqrt(2); the mean of 22, 30, 35; differences 2 and 6, with a
    # standard error of 2 and a t of one degree of 12.706.
    assert measured['plain']['AP'] == '22.0 (2.8)'
    assert measured['plain']['AP50'] == '44.0 (5.7)'
    assert measured['ours']['AP'] == '29.0 (6.6)'
    assert measured['ours']['seeds'] == '1, 0, 2'
    assert measured['ours']['AP - plain'] == '+4.0 ± 25.4 (2 pairs)'
    assert measured['other']['AP'] == '10.0'
    assert measured['other']['AP - plain'] == '-12.0 (not paired)'
    assert measured['ours']['training time'] == '1:23:20'
    assert measured['ours']['parameters'] == '1,234,567'
    assert measured['ours']['GFLOPs'] == '2.50'
    assert measured['ours']['ms'] == '3.2'
    assert measured['ours']['APm'] == '-'
    content = as_json(comparison)['measured'][1]
    assert content['scores']['AP']['std'] == pytest.approx(
        np.std([0.30, 0.22, 0.35], ddof=1)
    )
    assert content['difference']['AP']['paired_seeds'] == [0, 1]
    assert content['difference']['AP']['values'] == pytest.approx([0.02, 0.06])
    assert content['difference']['AP']['half_interval'] == pytest.approx(0.254124)
    assert content['scores']['AP'].keys() == {'mean', 'std', 'values'}


def test_three_seeds_by_hand():
    # Mean 2, standard error 1 / sqrt(3), t of two degrees 4.30265.
    statistic = Statistic([2, 1, 3])
    assert statistic.mean == 2
    assert statistic.std == pytest.approx(1)
    assert statistic.half_interval == pytest.approx(4.30265 / 3**0.5, rel=1e-5)
    assert statistic.as_score() == '2.0 (1.0)'
    assert statistic.as_difference() == '+2.0 ± 2.5'


def test_no_difference_has_no_sign(make_run):
    values = dict(plain=0.2, worse=0.19999, better=0.20001)
    folders = [make_run(name, ap(v), 0, name) for name, v in values.items()]
    measured = table(as_markdown(compare(folders, 'plain')), 'Measured')
    assert measured['worse']['AP - plain'] == '0.0 (1 pair)'
    assert measured['better']['AP - plain'] == '0.0 (1 pair)'


def test_runs_of_different_commits_are_said_to_be(make_run):
    folders = [make_run('a', ap(0.2)), make_run('b', ap(0.2), 1)]
    assert 'different states' not in as_markdown(compare(folders))
    folders.append(make_run('c', ap(0.2), 2, record=dict(commit='d' * 40)))
    assert 'of 2 different states of the code' in as_markdown(compare(folders))
    # Nothing is known of a run without a record.
    unknown = make_run('d', ap(0.2), 3, record=None)
    (unknown / 'last_checkpoint').write_text('epoch_12.pth')
    text = as_markdown(compare([folders[0], unknown]))
    assert 'different states' not in text


def test_releases_stand_for_commits_where_there_are_none(make_run):
    installed = dict(commit=None, dirty=None)
    folders = [
        make_run('a', ap(0.2), 0, record=installed),
        make_run('b', ap(0.2), 1, record=installed | dict(versions=dict(sarl='0.2.0'))),
    ]
    text = as_markdown(compare(folders))
    runs = table(text, 'Runs')
    assert [runs[str(f)]['commit'] for f in folders] == ['sarl 0.1.0', 'sarl 0.2.0']
    assert 'of 2 different states of the code' in text


def test_what_a_resume_changed_is_shown(make_run):
    earlier = dict(
        device='a CPU', processes=1, batch_size=16, commit='d' * 40, dirty=True
    )
    folder = make_run('run', ap(0.2), record=dict(earlier_sessions=[earlier]))
    row = table(as_markdown(compare([folder])), 'Runs')[str(folder)]
    assert row['trained on'] == 'a CPU, then a GPU'
    assert row['batch'] == '1 x 16, then 2 x 8'
    assert row['commit'] == 'dddddddddd+, then cccccccccc'


def test_configs_of_one_name_are_told_apart(make_run):
    folders = [make_run('slow', ap(0.2), lr=0.1), make_run('fast', ap(0.3), lr=0.2)]
    rows = compare(folders, 'plain (slow)').rows
    assert [row.name for row in rows] == ['plain (slow)', 'plain (fast)']


def test_folders_of_one_name_are_told_apart_by_their_parents(make_run):
    folders = [
        make_run(f'{arm}/seed{seed}', ap(value), seed, lr=lr)
        for arm, lr, value in (('slow', 0.1, 0.2), ('fast', 0.2, 0.3))
        for seed in (0, 1)
    ]
    slow = 'plain (slow/seed0, slow/seed1)'
    comparison = compare(folders, slow)
    assert [row.name for row in comparison.rows] == [
        slow,
        'plain (fast/seed0, fast/seed1)',
    ]
    measured = table(as_markdown(comparison), 'Measured')
    difference = measured['plain (fast/seed0, fast/seed1)'][f'AP - {slow}']
    assert difference.startswith('+10.0')


def test_a_run_is_known_by_what_it_started_from(make_run):
    """Not by the checkpoint that it was resumed from."""
    weights = dict(load_from='coco.pth')
    whole = make_run('whole', ap(0.2), 0, **weights)
    resumed = make_run('resumed', ap(0.1), 1, **weights)
    make_run(
        *('resumed', ap(0.4), 1),
        time='20260102_040000',
        **dict(load_from=None, resume=True),
    )
    scratch = make_run('scratch', ap(0.3), 2)
    rows = compare([whole, resumed, scratch]).rows
    assert [len(row.runs) for row in rows] == [2, 1]
    assert rows[0].score('aitod/AP').values == [0.2, 0.4]


def test_an_older_training_in_the_same_folder_does_not_count(make_run):
    make_run('run', ap(0.2))
    folder = make_run('run', {}, time='20260102_040000')
    with pytest.raises(InputError, match='run has no evaluation in its log'):
        compare([folder])


def row_of_loss(step):
    return dict(loss=1.0, iter=step, step=step)


@pytest.mark.parametrize(
    ('rows', 'scored'),
    [
        # MMEngine's logger counts evaluations in epochs, of which there are none,
        (
            [
                *(row_of_loss(45000), ap(0.1) | dict(step=0)),
                *(row_of_loss(90000), ap(0.2) | dict(step=0)),
            ],
            'iteration 90000',
        ),
        # or, with log_metric_by_epoch=False, in iterations.
        ([row_of_loss(89950), ap(0.2) | dict(step=90000)], 'iteration 90000'),
        ([ap(0.2) | dict(step=0), row_of_loss(50)], 'last evaluation'),
    ],
)
def test_a_training_by_iterations(make_run, rows, scored):
    loop = dict(type='IterBasedTrainLoop', max_iters=90000, val_interval=45000)
    folder = make_run('run', {}, train_cfg=loop)
    (log,) = folder.glob('*/vis_data/scalars.json')
    log.write_text(''.join(json.dumps(row) + '\n' for row in rows))
    row = table(as_markdown(compare([folder])), 'Runs')[str(folder)]
    assert row['scored'] == scored
    assert row['AP'] == '20.0'


def test_runs_without_a_record(make_run):
    folders = [make_run(f'run{s}', ap(0.2), s, record=None) for s in (3, 4)]
    for folder in folders:
        (folder / 'last_checkpoint').write_text('somewhere/epoch_12.pth')
    text = as_markdown(compare(folders))
    assert table(text, 'Measured')['plain']['seeds'] == '3, 4'
    row = table(text, 'Runs')[str(folders[0])]
    assert row['commit'] == row['training time'] == row['trained on'] == '-'
    assert row['scored data'] == 'val.json -'
    (folders[0] / 'last_checkpoint').write_text('somewhere/epoch_11.pth')
    with pytest.raises(InputError, match='run3 has not finished.*--resume'):
        compare(folders)


@pytest.mark.parametrize(
    ('evaluator', 'scores', 'columns'),
    [
        (
            'VisDroneMetric',
            {'visdrone/AP': 0.194, 'visdrone/coco_AP': 0.237, 'visdrone/coco_AP_l': 0},
            {'AP': '23.7', 'official AP': '19.4', 'APl': '0.0', 'APvt': '-'},
        ),
        (
            'CocoMetric',
            {'coco/bbox_mAP': 0.3, 'coco/bbox_mAP_50': 0.5, 'coco/bbox_mAP_l': -1},
            {'AP': '30.0', 'AP50': '50.0', 'APl': '-'},
        ),
    ],
)
def test_scores_of_other_metrics(make_run, evaluator, scores, columns):
    folder = make_run('run', scores, evaluator=evaluator)
    row = table(as_markdown(compare([folder])), 'Measured')['plain']
    assert {name: row[name] for name in columns} == columns


@pytest.mark.parametrize('dataset', BENCHMARKS)
def test_published_rows_of_the_same_data_stand_apart(make_run, dataset):
    benchmark = BENCHMARKS[dataset]
    scores = ap(0.2) | {'visdrone/coco_AP': 0.2}
    setting = dict(
        dataset=dataset,
        evaluator=benchmark.evaluator,
        ann_file=f'annotations/x_{benchmark.split}.json',
    )
    text = as_markdown(compare([make_run('run', scores, **setting)]))
    measured, published = text.split('## Published by others')
    for row in benchmark.rows:
        assert f'| {row.method} ' not in measured
        assert f'| {row.method} ' in published
        assert row.source in published
    assert 'plain' not in published
    assert 'none of these was measured here' in published

    # Tiles in a folder of the split's name are that split; train and val are not test.
    tiles = setting | dict(ann_file=f'{benchmark.split}/annotations.json')
    assert compare([make_run('tiles', scores, **tiles)]).benchmark is benchmark
    for other in (
        dict(ann_file='annotations/trainval.json'),
        dict(evaluator='CocoMetric'),
        dict(dataset='TinyCocoDataset'),
    ):
        scores |= {'coco/bbox_mAP': 0.2}
        comparison = compare([make_run(f'run {other}', scores, **setting | other)])
        assert comparison.benchmark is None
        text = as_markdown(comparison)
        assert not any(f'| {row.method} ' in text for row in benchmark.rows)
        assert ('does not stand beside' in text) == ('dataset' not in other)


@pytest.mark.parametrize(
    ('config', 'dataset'),
    [
        ('yolov5/yolov5_n-v61_8xb16-100e_aitod.py', 'AITODDataset'),
        ('atss/atss_r50_fpn_8xb2-12e_aitodv2.py', 'AITODv2Dataset'),
        ('yolov5/yolov5_n-v61_8xb16-100e_dotav2.py', 'DOTAv2Dataset'),
        ('atss/atss_r50_fpn_8xb2-12e_visdrone.py', 'VisDroneDataset'),
    ],
)
def test_the_configs_are_scored_as_what_is_published(config, dataset):
    cfg = Config.fromfile(ROOT / 'configs' / config)
    run = Run(Path('run'), 'name', cfg, {}, Path('log'), 'epoch 1', 'val', cfg, {}, {})
    assert Comparison([Row('name', [run])], {}).benchmark is BENCHMARKS[dataset]


def test_published_rows_are_as_in_their_collection():
    """Each number of it is in the row of its method, source and data set."""
    if not PUBLISHED.is_file():
        pytest.skip(f'needs {PUBLISHED.name}, the collection of published results')
    names = {
        'AI-TOD test': 'AITODDataset',
        'AI-TOD-v2 test': 'AITODv2Dataset',
        'DOTA-v2.0 val': 'DOTAv2Dataset',
        'VisDrone val': 'VisDroneDataset',
    }
    sections = re.split('^## ', PUBLISHED.read_text(), flags=re.MULTILINE)[1:]
    assert len(sections) == len(names)
    for section in sections:
        (rows,) = (
            BENCHMARKS[dataset].rows
            for name, dataset in names.items()
            if re.match(f'{re.escape(name)}\\b(?!-)', section)
        )
        ours = [
            (value, row.source.split(';')[0].removesuffix(', abstract'))
            for row in rows
            for value in row.scores.values()
        ]
        theirs = []
        for line in section.splitlines():
            if re.match(r'\| (?!method|---)', line):
                _, numbers, source = (cell.strip() for cell in line.split('|')[1:4])
                source = source.split(':')[0].split(';')[0].removesuffix(' README')
                theirs += [
                    (float(number), source)
                    for number in re.findall(r'\d+\.\d', numbers)
                ]
        assert sorted((v, s.removesuffix(' README')) for v, s in ours) == sorted(theirs)


def spoil_log(folder):
    (file,) = folder.glob('*/vis_data/scalars.json')
    file.write_text(file.read_text()[:-10])


BAD = {
    'missing': (shutil.rmtree, r'work directory .*run does not exist'),
    'no config': (lambda f: (f / 'plain.py').unlink(), 'run holds no config'),
    'two configs': (
        lambda f: (f / 'another.py').touch(),
        r'run holds 2 configs, another\.py and plain\.py',
    ),
    'no log': (
        lambda f: shutil.rmtree(f / '20260102_030405'),
        'run has no log of a training.*LocalVisBackend',
    ),
    'config cut short': (
        lambda f: (f / '20260102_030405/vis_data/config.py').write_text('model = ('),
        r'vis_data/config\.py cannot be read',
    ),
    'log of something else': (
        lambda f: (f / '20260102_030405/vis_data/scalars.json').write_text('12'),
        r'scalars\.json, line 1 is not valid JSON \(no object\)',
    ),
    'log of other bytes': (
        lambda f: (f / '20260102_030405/vis_data/scalars.json').write_bytes(b'\xff'),
        r'scalars\.json, line 1 is not valid JSON',
    ),
    'part of a record': (
        lambda f: (f / 'run.json').write_text('{"finished": true}'),
        r'run\.json is no record of a training',
    ),
    'log cut short': (spoil_log, r'scalars\.json, line 2 is not valid JSON'),
    'record cut short': (
        lambda f: (f / 'run.json').write_text('{"finished": tr'),
        r'run\.json is not valid JSON',
    ),
    'no record': (
        lambda f: (f / 'run.json').write_text('[]'),
        r'run\.json is no record of a training',
    ),
}


@pytest.mark.parametrize('case', BAD)
def test_a_bad_work_directory_gives_one_clear_error(make_run, case):
    spoil, message = BAD[case]
    folder = make_run('run', ap(0.2))
    spoil(folder)
    with pytest.raises(InputError, match=message):
        compare([folder])


@pytest.mark.parametrize(
    ('runs', 'message'),
    [
        ([dict(record=dict(finished=False))], 'run 0 has not finished.*--resume'),
        (
            [dict(scores=ap(float('nan')))],
            r'scalars\.json: aitod/AP of epoch 12 is',
        ),
        ([dict(scores={'aitod/AP': '0.2'})], r'aitod/AP of epoch 12 is 0\.2'),
        ([dict(scores={})], 'run 0 has no evaluation in its log'),
        ([dict(scores={'x/AP': 0.2})], 'none of the scores aitod/AP, visdrone/coco_AP'),
        ([{}, dict(seed=0)], 'run 0 and .*run 1 are of the same config and seed 0'),
        (
            [{}, dict(seed=1, digest='f' * 64)],
            r'run 0 is scored on d/annotations/val\.json \(aaaaaaaa\) and .*run 1 on '
            r'd/annotations/val\.json \(ffffffff\)',
        ),
        (
            [dict(digest=None), dict(seed=1), dict(seed=2, digest='f' * 64)],
            r'run 1 is scored on .*\(aaaaaaaa\) and .*run 2 on .*\(ffffffff\)',
        ),
        (
            [{}, dict(seed=1, ann_file='b.json', digest=None)],
            r'run 0 is scored on d/annotations/val\.json .*run 1 on d/b\.json:',
        ),
        (
            [{}, dict(config='ours', evaluator='CocoMetric')],
            'run 0 is scored by .*AITODMetric.*run 1 by .*CocoMetric',
        ),
        (
            [{}, dict(seed=1, record=dict(data=dict(train={'d/train.json': 'e'})))],
            r'run 0 was trained on d/train\.json \(bbbbbbbb\) and .*run 1, of the same',
        ),
    ],
)
def test_what_does_not_compare_gives_one_clear_error(make_run, runs, message):
    folders = [
        make_run(f'run {number}', **dict(scores=ap(0.2)) | run)
        for number, run in enumerate(runs)
    ]
    with pytest.raises(InputError, match=message):
        compare(folders)


def test_a_folder_counts_once(make_run):
    folder = make_run('run', ap(0.2))
    with pytest.raises(InputError, match=r'run is named 2 times'):
        compare([folder, folder.parent / '.' / 'run'])


def test_the_same_file_elsewhere_is_the_same_data(make_run):
    folders = [make_run('a', ap(0.2)), make_run('b', ap(0.2), 1, ann_file='copy.json')]
    assert len(compare(folders).runs) == 2


def test_unknown_baseline(make_run):
    with pytest.raises(InputError, match="no row 'none'.*The rows are: plain"):
        compare([make_run('run', ap(0.2))], 'none')


def test_an_error_on_the_command_line_leaves_no_file(warm_tool, tmp_path):
    out = tmp_path / 'out.md'
    result = warm_tool('analysis_tools/compare.py', tmp_path / 'none', '--out', out)
    assert result.returncode == 1
    (error,) = re.findall('error: .*', result.stderr)
    assert re.search('work directory .*none does not exist', error)
    assert 'Traceback' not in result.stderr
    assert not out.exists()


@pytest.mark.parametrize('size', [100, 0, -32])
def test_an_image_size_that_no_detector_takes(size):
    with pytest.raises(InputError, match=f'multiple of 32 px, not {size}'):
        costs_of_configs([], size)


def test_no_timed_passes():
    with pytest.raises(InputError, match='timed passes is at least 1, not 0'):
        costs_of_configs([], 64, repeats=0)


def test_costs_of_detectors_that_need_to_know_the_image_size():
    """Two-stage detectors and DETRs do; all are measured alike, and SARL too."""
    configs = Path(mmdet.__file__).parent / '.mim/configs'
    cfgs = [
        Config.fromfile(configs / 'faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py'),
        Config.fromfile(ROOT / SCENES.format('_sarl-sal')),
    ]
    two_stage, relay = costs_of_configs(cfgs, 64, repeats=1)
    # As MMDetection's model zoo gives it
    assert f'{two_stage.parameters / 1e6:.2f}' == '41.75'
    assert two_stage.parameters > relay.parameters
    assert two_stage.flops > relay.flops > 1e7
    assert min(two_stage.ms, relay.ms) > 0
