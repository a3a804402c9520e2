"""tools/evaluate.py, as a user types it."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from coco_cases import aitod_rows, mean, pycocotools_scores, random_case
from conftest import ROOT
from mmdet.evaluation import CocoMetric

from sarl.errors import InputError
from sarl.metrics.score_files import score_files

COCO_AREAS = [[0, 1e10], [0, 1024], [1024, 9216], [9216, 1e10]]


@pytest.fixture
def files(tmp_path):
    truth, detections = random_case(0)
    paths = tmp_path / 'gt.json', tmp_path / 'dt.json'
    for path, content in zip(paths, (truth, detections), strict=True):
        path.write_text(json.dumps(content))
    return paths


def test_aitod(files, tool, tmp_path):
    truth, detections = files
    out = tmp_path / 'new folder' / 'metrics.json'
    result = tool(
        'evaluate.py',
        *('--metric', 'aitod', '--gt', truth, '--dt', detections),
        *('--out', out, '--classwise'),
    )
    assert result.returncode == 0, result.stderr
    written = json.loads(out.read_text())
    expected = aitod_rows(*random_case(0))
    for name, value in expected.items():
        assert written[f'aitod/{name}'] == pytest.approx(value, abs=1e-9)
    assert re.search(rf'\| AP_vt +\| +{expected["AP_vt"]:.3f} \|', result.stdout)
    assert re.search(r'\| ship +\|', result.stdout)
    protocol = written['protocol']
    assert protocol['max_dets_per_image_and_class'] == [1, 100, 1500]
    assert protocol['area_ranges_px2']['t'] == [64, 256]
    assert protocol['images'] == 6
    assert protocol['detections_scored'] == len(random_case(0)[1])


def test_coco(files, warm_tool, tmp_path):
    truth, detections = files
    out = tmp_path / 'metrics.json'
    result = warm_tool(
        'evaluate.py',
        *('--metric', 'coco', '--gt', truth, '--dt', detections, '--out', out),
        *('--backend', 'pycocotools'),
    )
    assert result.returncode == 0, result.stderr
    written = json.loads(out.read_text())
    evaluator = pycocotools_scores(*random_case(0), (1, 10, 100), COCO_AREAS)
    precision, recall = evaluator.eval['precision'], evaluator.eval['recall']
    for index, name in enumerate(('AP', 'AP_s', 'AP_m', 'AP_l')):
        assert written[f'coco/{name}'] == pytest.approx(
            mean(precision[..., index, 2]), abs=1e-9
        )
    assert written['coco/AR_10'] == pytest.approx(mean(recall[:, :, 0, 1]), abs=1e-9)


def test_coco_is_what_cocometric_gives_with_cocos_caps(files):
    """The caps are those of docs/metrics.md; by default most APs are taken at 1000."""
    truth, detections = files
    areas = (64, 5000, 10000)
    boxes = [[i % 20 * 20, i // 20 * 20, 8, 8] for i in range(300)]
    # Shifted by 0 to 3 px: IoUs of 1, 7/9, 6/10 and 5/11.
    found = [[x + i % 4, y, w, h] for i, (x, y, w, h) in enumerate(boxes)]
    scores = [1 - i / 1000 for i in range(300)]
    annotations = [
        dict(image_id=1, category_id=1, bbox=box, id=i, area=areas[i % 3], iscrowd=0)
        for i, box in enumerate(boxes, start=1)
    ]
    content = dict(
        images=[dict(id=1, width=400, height=400, file_name='a.png')],
        categories=[dict(id=1, name='car')],
        annotations=annotations,
    )
    truth.write_text(json.dumps(content))
    rows = [
        dict(image_id=1, category_id=1, bbox=box, score=score)
        for box, score in zip(found, scores, strict=True)
    ]
    detections.write_text(json.dumps(rows))
    predicted = dict(
        bboxes=torch.tensor([[x, y, x + w, y + h] for x, y, w, h in found]),
        scores=torch.tensor(scores),
        labels=torch.zeros(300, dtype=torch.long),
    )

    def coco_metric(**kwargs):
        metric = CocoMetric(str(truth), **kwargs)
        metric.dataset_meta = dict(classes=('car',))
        sample = dict(img_id=1, ori_shape=(400, 400), pred_instances=predicted)
        metric.process({}, [sample])
        return metric.evaluate(1)

    ours = score_files('coco', truth, detections)
    docs = (ROOT / 'docs/metrics.md').read_text()
    (caps,) = re.findall(r'proposal_nums=\(([\d, ]+)\)', docs)
    theirs = coco_metric(proposal_nums=tuple(map(int, caps.split(','))))
    assert theirs == {
        f'coco/bbox_mAP{size}': round(ours[f'coco/AP{size}'], 3)
        for size in ('', '_50', '_75', '_s', '_m', '_l')
    }
    assert len(set(theirs.values())) > 3
    default = coco_metric()
    assert default['coco/bbox_mAP'] == theirs['coco/bbox_mAP']
    assert default['coco/bbox_mAP_50'] > 2 * theirs['coco/bbox_mAP_50']


def test_the_protocol_tells_what_was_done_with_bad_boxes(files):
    truth, detections = files
    box = [180, 10, 40, 20]
    annotations = [dict(id=1, image_id=1, category_id=2, bbox=box)]
    truth.write_text(json.dumps(random_case(0)[0] | dict(annotations=annotations)))
    found = [dict(image_id=1, category_id=2, bbox=[180, 10, 20, 20], score=0.9)]
    detections.write_text(json.dumps(found))
    kept = score_files('aitod', truth, detections)
    clipped = score_files('aitod', truth, detections, bad_boxes='clip')
    assert kept['aitod/AP'] == pytest.approx(0.1)
    assert clipped['aitod/AP'] == pytest.approx(1)
    assert kept['protocol']['bad_boxes'] == 'keep'
    assert clipped['protocol'] == kept['protocol'] | dict(bad_boxes='clip')


def test_visdrone(files, warm_tool, tmp_path):
    truth, detections = files
    out = tmp_path / 'metrics.json'
    result = warm_tool(
        'evaluate.py',
        *('--metric', 'visdrone', '--gt', truth, '--dt', detections, '--out', out),
    )
    assert result.returncode == 0, result.stderr
    assert 'no category "ignored-regions"' in result.stdout + result.stderr
    written = json.loads(out.read_text())
    assert 0 < written['visdrone/AP'] != written['visdrone/coco_AP'] > 0
    assert written['protocol']['toolkit']['max_dets_per_image'] == [1, 10, 100, 500]


def test_text_ids(files, warm_tool, edit, tmp_path):
    truth, detections = files
    edit(truth, lambda t: [i.update(id=f'i{i["id"]}') for i in t['images']])
    edit(
        truth,
        lambda t: [a.update(image_id=f'i{a["image_id"]}') for a in t['annotations']],
    )
    edit(detections, lambda t: [d.update(image_id=f'i{d["image_id"]}') for d in t])
    out = tmp_path / 'metrics.json'
    result = warm_tool(
        *('evaluate.py', '--metric', 'aitod'),
        *('--gt', truth, '--dt', detections, '--out', out),
    )
    assert result.returncode == 0, result.stderr
    assert json.loads(out.read_text())['aitod/AP'] == pytest.approx(
        aitod_rows(*random_case(0))['AP'], abs=1e-9
    )


def test_rules_for_odd_but_clear_input(files, edit):
    truth, detections = files

    def change(content):
        for annotation in content['annotations']:
            # Without `area` it is w * h.
            del annotation['area']
            annotation.pop('iscrowd')
        # Sizes and names of images are not needed, boxes may leave them.
        content['images'] = [dict(id=image['id']) for image in content['images']]
        content['annotations'][0]['bbox'] = [-9, 5, 30, 20]
        content['annotations'][1]['bbox'] = [5, 5, 0, 20]

    edit(truth, change)
    # A detection without area can match nothing.
    edit(detections, lambda t: t[0].update(bbox=[3, 3, 0, 7]))
    assert score_files('aitod', truth, detections)['aitod/AP'] > 0
    with pytest.raises(InputError, match='lacks .*width'):
        score_files('aitod', truth, detections, bad_boxes='error')


@pytest.mark.parametrize(
    'detections', [[], [dict(image_id=1, category_id=2, bbox=[0, 0, 1, 1], score=1)]]
)
def test_a_score_of_0_is_explained(files, warm_tool, detections):
    truth, path = files
    path.write_text(json.dumps(detections))
    result = warm_tool('evaluate.py', '--metric', 'coco', '--gt', truth, '--dt', path)
    assert result.returncode == 0
    assert 'every score is 0: ' in result.stdout + result.stderr


NAN, INFINITY = float('nan'), float('inf')


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (
            dict(image_id=99),
            r'dt\.json: entry \[2\] has the image_id 99, which .*gt\.json',
        ),
        (dict(category_id=1), r'dt\.json: entry \[2\] has the category_id 1, which'),
        (
            dict(image_id='3'),
            r"entry \[2\] has the image_id '3', but .* a whole number",
        ),
        (dict(category_id='2'), r"entry \[2\] has the category_id '2', but"),
        (dict(image_id=None), r'entry \[2\] has the image_id None'),
        (dict(score=NAN), r'entry \[2\] has the score nan'),
        (dict(score=INFINITY), r'entry \[2\] has the score inf'),
        (dict(score='0.5'), r"entry \[2\] has the score '0.5'"),
        (dict(score=None), r'entry \[2\] has the score None'),
        (dict(bbox=[1, 2, 3, None]), r'entry \[2\] has the bbox'),
        (dict(bbox=[1, 2, NAN, 4]), r'entry \[2\] has the bbox .* not finite'),
        (dict(bbox=[1, 2, 3, INFINITY]), r'entry \[2\] has the bbox .* not finite'),
        (dict(bbox=[50, 40, -3, 4]), r'entry \[2\] has the bbox .* negative size'),
        (dict(bbox=[1, 2, 3]), r'entry \[2\] has the bbox \[1, 2, 3\], not'),
        (dict(bbox='1 2 3 4'), r"entry \[2\] has the bbox '1 2 3 4', not"),
        (dict(bbox=[1, 2, 3, '4']), r'entry \[2\] has the bbox'),
        (dict(bbox=[[1, 2], [3, 4], 5, 6]), r'entry \[2\] has the bbox'),
    ],
)
def test_bad_entry(files, edit, change, message, tmp_path):
    truth, detections = files
    edit(detections, lambda t: t[2].update(change))
    out = tmp_path / 'metrics.json'
    with pytest.raises(InputError, match=message):
        score_files('aitod', truth, detections, out)
    assert not out.exists()


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        (None, r'detections file .*dt\.json does not exist'),
        ('', r'detections file .*dt\.json is empty'),
        ('[{"image_id": 1,', r'dt\.json is not valid JSON \(line 1'),
        ('{"annotations": []}', r'dt\.json is not a list of detections'),
        ('[3]', r'dt\.json: entry \[0\] is 3, not an object'),
        (
            '[{"image_id": 1, "category_id": 2, "bbox": [1, 2, 3, 4], "score": true}]',
            r'\[0\] has the score True',
        ),
        ('[{"image_id": 1, "bbox": [1, 2, 3, 4]}]', r"\[0\] lacks \['category_id', 's"),
    ],
)
def test_bad_file(files, content, message):
    truth, detections = files
    if content is None:
        detections.unlink()
    else:
        detections.write_text(content)
    with pytest.raises(InputError, match=message):
        score_files('coco', truth, detections)


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (lambda t: t['annotations'][0].update(bbox=[1, 2, -3, 4]), 'negative size'),
        (lambda t: t['annotations'][0].update(bbox=[1, 2, NAN, 4]), 'not finite'),
        (lambda t: t['annotations'][0].update(area=NAN), 'has the area nan'),
        (lambda t: t['annotations'][0].update(area='64'), "has the area '64'"),
        (lambda t: t['annotations'][0].update(image_id=[1]), r'belongs to image \[1\]'),
        (lambda t: t['images'].append(dict(id='seven')), 'some ids of images are'),
        (lambda t: t['images'].append(3), r'images\[6\] is 3, not an object'),
        (lambda t: t.update(annotations=[]), 'has no annotations'),
    ],
)
def test_bad_ground_truth(files, edit, change, message):
    truth, detections = files
    edit(truth, change)
    with pytest.raises(InputError, match=r'gt\.json.*' + message):
        score_files('coco', truth, detections)


def test_errors_are_one_line(files, warm_tool, edit, tmp_path):
    truth, detections = files
    command = ('evaluate.py', '--metric', 'coco', '--gt', truth, '--dt', detections)
    (tmp_path / 'file').touch()
    unwritable = warm_tool(*command, '--out', tmp_path / 'file' / 'metrics.json')
    assert_one_error(unwritable, 'cannot write in .*--out')
    (tmp_path / 'folder').mkdir()
    folder = warm_tool(*command, '--out', tmp_path / 'folder')
    assert_one_error(folder, '--out .*folder is a folder. Name a file')
    before = truth.read_bytes()
    same = warm_tool(*command, '--out', truth)
    assert_one_error(same, r'--out .*gt\.json would replace a file that is needed')
    assert truth.read_bytes() == before
    edit(detections, lambda t: t[0].update(image_id=99))
    assert_one_error(warm_tool(*command), r'dt\.json: entry \[0\] has the image_id 99')


def test_a_reader_that_has_had_enough(files):
    truth, detections = files
    tool = Path(__file__).parents[2] / 'tools/evaluate.py'
    command = [sys.executable, tool, '--metric', 'coco', '--gt', truth]
    run = subprocess.Popen(
        [*command, '--dt', detections], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    run.stdout.close()
    assert run.stderr.read() == b''
    assert run.wait(timeout=60) == 0


def test_benchmark(tool):
    result = tool('benchmarks/metric.py', '--scale', 0.002)
    assert result.returncode == 0, result.stderr
    assert re.search(r'times as fast .* scores equal to 1e-9', result.stdout)


def assert_one_error(result, message):
    assert result.returncode == 1, result.stdout + result.stderr
    assert 'Traceback' not in result.stderr
    assert result.stderr.count('error:') == 1
    assert re.search(message, result.stderr), result.stderr
