"""The evaluators on two processes, as a distributed test loop runs them."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from coco_cases import CLASSES, random_case

# The metric, the sampler and the gathering are MMEngine's; only the process group is
# made by hand, since its launchers need a GPU each.
WORKER = """
import json, sys
import torch
import torch.distributed
from mmengine.dataset import DefaultSampler
from mmdet.registry import METRICS
import sarl

kind, folder, rank, world = sys.argv[1:]
rank, world = int(rank), int(world)
if world > 1:
    torch.distributed.init_process_group(
        'gloo', init_method=f'file://{folder}/store', rank=rank, world_size=world
    )
truth = json.load(open(f'{folder}/gt.json'))
found = json.load(open(f'{folder}/dt.json'))
images = truth['images']
metric = METRICS.build(dict(type=kind, ann_file=f'{folder}/gt.json', classwise=True))
metric.dataset_meta = dict(classes=CLASSES)
labels = {c['id']: CLASSES.index(c['name']) for c in truth['categories']}
for index in DefaultSampler(images, shuffle=False):
    mine = [d for d in found if d['image_id'] == images[index]['id']]
    boxes = torch.tensor([d['bbox'] for d in mine], dtype=torch.float64).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    metric.process({}, [dict(
        img_id=images[index]['id'],
        pred_instances=dict(
            bboxes=boxes,
            scores=torch.tensor([d['score'] for d in mine], dtype=torch.float64),
            labels=torch.tensor([labels[d['category_id']] for d in mine]).long(),
        ),
    )])
rows = metric.evaluate(len(images))
with open(f'{folder}/{world}_{rank}.json', 'w') as file:
    json.dump(rows, file)
if world > 1:
    # Neither leaves while the other needs it, or with threads of the group alive.
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()
"""


@pytest.mark.parametrize('kind', ['AITODMetric', 'VisDroneMetric'])
def test_two_processes_give_what_one_gives(tmp_path, kind):
    # Seven images: the sampler hands the first one out again to fill up.
    truth, detections = random_case(5, images=7)
    (tmp_path / 'gt.json').write_text(json.dumps(truth))
    (tmp_path / 'dt.json').write_text(json.dumps(detections))
    code = WORKER.replace('CLASSES', repr(CLASSES))
    runs = [
        subprocess.Popen(
            [sys.executable, '-c', code, kind, tmp_path, str(rank), str(world)],
            cwd=tmp_path,
        )
        for rank, world in ((0, 1), (0, 2), (1, 2))
    ]
    assert [run.wait(timeout=300) for run in runs] == [0, 0, 0]
    one, *two = (
        json.loads(Path(tmp_path, f'{name}.json').read_text())
        for name in ('1_0', '2_0', '2_1')
    )
    assert two == [one, one]
    assert any(value > 0 for value in one.values())
