import json
import os
import random
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from mmengine.registry import init_default_scope
from torch.utils._pytree import tree_leaves

from sarl.engine import cuda_graph

ROOT = Path(__file__).parents[1]
CLASSES = ('boat', 'car')
# Importing the frameworks takes longer than most runs here: a process that has done it
# runs the tools in copies of itself.
WARM = """
import json, os, runpy, sys
from sarl.engine import launch
for line in sys.stdin:
    tool, arguments, cwd, outputs = json.loads(line)
    if not (child := os.fork()):
        os.chdir(cwd)
        for number, name in zip((1, 2), outputs):
            os.dup2(os.open(name, os.O_WRONLY | os.O_CREAT), number)
        sys.stdin, sys.argv = open(os.devnull), [tool, *arguments]
        runpy.run_path(tool, run_name='__main__')
        sys.exit()
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


@pytest.fixture(autouse=True)
def _seed():
    """Pipelines draw from `random` and NumPy, models from torch."""
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002
    torch.manual_seed(0)


@pytest.fixture(scope='session', autouse=True)
def _log_configs_as_they_are(tmp_path_factory):
    """MMEngine formats every config that it logs, longer than these trainings take.

    Here and in all processes that are started, but for those of mim.
    """
    package = tmp_path_factory.mktemp('yapf') / 'yapf/yapflib'
    package.mkdir(parents=True)
    (package.parent / '__init__.py').write_text("__version__ = '0.40.2'\n")
    (package / '__init__.py').touch()
    (package / 'yapf_api.py').write_text(
        'def FormatCode(text, **_):\n    return text, True\n'
    )
    with pytest.MonkeyPatch.context() as patch:
        folder = str(package.parents[1])
        patch.setenv('PYTHONPATH', folder, prepend=os.pathsep)
        # The fork of MMEngine imports it where it is used.
        for module in ('mmengine.config.config', 'yapf.yapflib.yapf_api'):
            patch.setattr(
                f'{module}.FormatCode', lambda text, **_: (text, True), raising=False
            )
        yield


@pytest.fixture
def mmyolo_scope():
    """Find MMYOLO's modules, whatever scope the tests before have left."""
    init_default_scope('mmyolo')


def write_coco(folder, train=6, val=4, size=96, seed=0):
    """Write COCO-format data: bright rectangles of 4 to 20 px on noise."""
    rng = np.random.default_rng(seed)
    (folder / 'images').mkdir(parents=True)
    (folder / 'annotations').mkdir()
    for split, count in dict(train=train, val=val).items():
        images, annotations = [], []
        for image_id in range(1, count + 1):
            pixels = rng.integers(0, 90, (size, size, 3), dtype=np.uint8)
            name = f'{split}_{image_id}.jpg'
            images.append(dict(id=image_id, file_name=name, width=size, height=size))
            for _ in range(5):
                w, h = (int(side) for side in rng.integers(4, 21, 2))
                x, y = (int(rng.integers(0, size - side + 1)) for side in (w, h))
                label = int(rng.integers(0, 2))
                pixels[y : y + h, x : x + w] = ((250, 200, 80), (60, 220, 250))[label]
                annotations.append(
                    dict(
                        id=len(annotations) + 1,
                        image_id=image_id,
                        category_id=label + 1,
                        bbox=[x, y, w, h],
                        area=w * h,
                        iscrowd=0,
                    )
                )
            cv2.imwrite(str(folder / 'images' / name), pixels)
        categories = [dict(id=i, name=name) for i, name in enumerate(CLASSES, 1)]
        (folder / 'annotations' / f'{split}.json').write_text(
            json.dumps(
                dict(images=images, annotations=annotations, categories=categories)
            )
        )
    return folder


@pytest.fixture
def coco_folder(tmp_path):
    """A folder of COCO-format data of two classes, `boat` and `car`."""
    return write_coco(tmp_path / 'my data')


@pytest.fixture
def edit():
    """Change the content of a JSON file in place."""

    def edit_json(path, change):
        content = json.loads(path.read_text())
        change(content)
        path.write_text(json.dumps(content))

    return edit_json


@pytest.fixture
def config(coco_folder):
    """A config of one short epoch on `coco_folder`."""
    path = coco_folder / 'config.py'
    path.write_text(
        f"""
_base_ = {str(ROOT / 'configs/yolov5/yolov5_n-v61_sarl-sal_1xb16-25e_scenes.py')!r}

data_root = {f'{coco_folder}/'!r}
data = dict(
    type='TinyCocoDataset', data_root=data_root, metainfo=dict(classes={CLASSES!r})
)
model = dict(bbox_head=dict(head_module=dict(num_classes=2)))
train_dataloader = dict(
    batch_size=3, num_workers=0, persistent_workers=False, dataset=data
)
val_dataloader = dict(num_workers=0, persistent_workers=False, dataset=data)
test_dataloader = val_dataloader
val_evaluator = dict(ann_file=data_root + 'annotations/val.json')
test_evaluator = val_evaluator
train_cfg = dict(max_epochs=1, val_interval=1)
default_hooks = dict(param_scheduler=dict(max_epochs=1))
"""
    )
    return path


@pytest.fixture
def tool(tmp_path):
    """Run a tool of the repository as its user does, in an empty folder."""

    def run(name, *arguments):
        return subprocess.run(
            [sys.executable, str(ROOT / 'tools' / name), *map(str, arguments)],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )

    return run


@pytest.fixture(scope='session')
def warm_process():
    with subprocess.Popen(
        [sys.executable, '-c', WARM],
        env=dict(os.environ, OMP_NUM_THREADS='1'),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        yield process
        process.stdin.close()


@pytest.fixture
def warm_tool(warm_process, tmp_path):
    """Do what `tool` does, sooner."""

    def run(name, *arguments):
        arguments = list(map(str, arguments))
        outputs = [tmp_path / 'stdout', tmp_path / 'stderr']
        for path in outputs:
            path.unlink(missing_ok=True)
        request = [str(ROOT / 'tools' / name), arguments, str(tmp_path)]
        request.append(list(map(str, outputs)))
        warm_process.stdin.write(json.dumps(request) + '\n')
        warm_process.stdin.flush()
        status = int(warm_process.stdout.readline())
        texts = (path.read_text() for path in outputs)
        return subprocess.CompletedProcess([name, *arguments], status, *texts)

    return run


def runner_of(model, accumulate=1, workers=0, pin_memory=True):
    """What CUDAGraphHook looks at of a runner."""
    return SimpleNamespace(
        model=model,
        optim_wrapper=SimpleNamespace(_accumulative_counts=accumulate),
        train_dataloader=SimpleNamespace(num_workers=workers, pin_memory=pin_memory),
    )


@pytest.fixture
def replays(monkeypatch):
    """Captures of CUDA graphs, on a CPU: the shapes of each module's first input.

    It warms up as torch does, where every parameter must get a gradient.
    """
    shapes = []

    def make_graphed_callables(module, samples):
        assert not torch.is_autocast_cache_enabled()
        eager = module.forward
        inputs = [*tree_leaves(samples), *module.parameters()]
        for _ in range(3):
            outputs = [
                out for out in tree_leaves(module(*samples)) if out.requires_grad
            ]
            torch.autograd.grad(
                outputs,
                [value for value in inputs if value.requires_grad],
                [torch.ones_like(out) for out in outputs],
            )

        def replay(*args):
            shapes.append(tree_leaves(args)[0].shape)
            return eager(*args)

        module.forward = replay

    monkeypatch.setattr(torch.cuda, 'make_graphed_callables', make_graphed_callables)
    monkeypatch.setattr(cuda_graph, 'is_cuda_available', lambda: True)
    return shapes
