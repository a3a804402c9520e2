"""SAL's running estimate of the objects' size."""

import json
import math
import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch
from mmengine.optim import OptimWrapper

from sarl.engine import SALHook
from sarl.losses.sal import MAX_CALLS, SAL

LOSS = dict(type='mmdet.IoULoss')


def adaptive(**kwargs):
    return SAL(LOSS, 'power', reference='adaptive', floor=0, normalize=False, **kwargs)


def test_worked_by_hand():
    loss = adaptive(momentum=0.5)
    # It begins at 16 px, and what an iteration sees counts from the next one on.
    assert loss.size_weight(torch.tensor([4.0, 16.0])).tolist() == pytest.approx(
        [0.8, 0.5]
    )
    loss.update()
    assert loss.reference.item() == pytest.approx(8)
    # Several calls in an iteration, as from heads that call once a level. Ignored
    # objects and those without area do not count.
    loss.size_weight(torch.tensor([2.0, 100]), torch.tensor([0.3, 0]))
    loss.size_weight(torch.tensor([2.0, 0]))
    loss.update()
    assert loss.reference.item() == pytest.approx(math.sqrt(8 * 2))
    # An iteration without positives changes nothing.
    loss.size_weight(torch.empty(0))
    loss.update()
    assert loss.reference.item() == pytest.approx(4)


def test_only_training_is_seen():
    loss = adaptive().eval()
    loss.size_weight(torch.tensor([100.0]))
    loss.update()
    assert loss.reference.item() == pytest.approx(16)


def test_gradients_and_calls_from_a_head():
    loss = adaptive()
    pred = torch.tensor([[0.0, 0, 9, 9]], requires_grad=True)
    loss(pred, torch.tensor([[0.0, 0, 8, 8]])).backward()
    assert pred.grad.isfinite().all()
    loss.update()
    assert loss.reference.item() == pytest.approx(8)


def test_saved_and_resumed():
    first, second = adaptive(), adaptive()
    first.size_weight(torch.tensor([3.0]))
    first.update()
    second.load_state_dict(first.state_dict())
    for loss in (first, second):
        loss.size_weight(torch.tensor([9.0]))
        loss.update()
    assert first.reference == second.reference
    assert first.reference.item() == pytest.approx(3 ** (1 + 0.01))
    assert not SAL(LOSS).state_dict()


def test_gradients_that_are_accumulated_count_as_one_batch():
    together, apart = adaptive(), adaptive()
    together.size_weight(torch.tensor([4.0, 4, 4, 32]))
    together.update()
    weight = torch.nn.Parameter(torch.zeros(1))
    wrapper = OptimWrapper(torch.optim.SGD([weight], lr=1), accumulative_counts=2)
    runner = SimpleNamespace(model=torch.nn.Sequential(apart), optim_wrapper=wrapper)
    for sizes in ([4.0, 4, 4], [32.0]):
        apart.size_weight(torch.tensor(sizes))
        wrapper.update_params(weight.sum())
        SALHook().after_train_iter(runner, 0)
    assert apart.reference.item() == pytest.approx(together.reference.item())
    assert apart.num_updates == 1


def test_a_missing_hook_is_said():
    loss = adaptive()
    for _ in range(MAX_CALLS):
        loss.size_weight(torch.tensor([3.0]))
    with pytest.raises(RuntimeError, match=r"custom_hooks=\[dict\(type='SALHook'\)\]"):
        loss.size_weight(torch.tensor([3.0]))


# One process has positives in the first iteration only, the other in both.
WORKER = """
import json, sys
import torch, torch.distributed
from types import SimpleNamespace
import sarl
from sarl.engine import SALHook
from sarl.losses import SAL

rank, store, path = int(sys.argv[1]), sys.argv[2], sys.argv[3]
torch.distributed.init_process_group(
    'gloo', init_method=f'file://{store}', rank=rank, world_size=2
)
loss = SAL(dict(type='mmdet.IoULoss'), reference='adaptive', momentum=0.5)
runner = SimpleNamespace(
    model=torch.nn.Sequential(loss),
    optim_wrapper=SimpleNamespace(should_update=lambda: True),
)
references = []
for sizes in ([[4.0, 4.0], []], [[16.0], [64.0]])[rank]:
    if sizes:
        loss.size_weight(torch.tensor(sizes))
    SALHook().after_train_iter(runner, 0)
    references.append(loss.reference.item())
with open(path, 'w') as file:
    json.dump(references, file)
# Neither leaves while the other needs it, or with threads of the group alive.
torch.distributed.barrier()
torch.distributed.destroy_process_group()
"""


def test_updates_keep_a_long_training_going():
    loss = adaptive()
    for _ in range(MAX_CALLS + 1):
        loss.size_weight(torch.tensor([3.0]))
        loss.update()
    assert loss.reference.item() == pytest.approx(3)


def test_equal_on_two_processes(tmp_path):
    store = str(tmp_path / 'store')
    paths = [tmp_path / f'{rank}.json' for rank in range(2)]
    runs = [
        subprocess.Popen([sys.executable, '-c', WORKER, str(rank), store, str(path)])
        for rank, path in enumerate(paths)
    ]
    assert [run.wait(timeout=300) for run in runs] == [0, 0]
    one, other = (json.loads(path.read_text()) for path in paths)
    assert one == other
    # (4 * 4 * 16)^(1/3), then half way to 64 in logarithms.
    first = 256 ** (1 / 3)
    assert one == pytest.approx([first, math.sqrt(first * 64)], rel=1e-5)
