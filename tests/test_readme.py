import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / 'README.md').read_text()
DOCS = [f'docs/{page.name}' for page in (ROOT / 'docs').glob('*.md')]


def test_the_config_of_the_readme_trains(coco_folder, tool, tmp_path):
    """On data of one's own, which takes what docs/metrics.md says of evaluators."""
    (code,) = re.findall(r'```python\n(.*?)```', README, re.DOTALL)
    (tmp_path / 'mine.py').write_text(code)
    config = tmp_path / 'on_my_data.py'
    root = f'{coco_folder}/'
    config.write_text(
        f"""
_base_ = './mine.py'

data = dict(type='TinyCocoDataset', data_root={root!r}, data_prefix=dict(img='images/'))
loader = dict(batch_size=1, num_workers=0, persistent_workers=False)
train, val = (
    dict(loader, dataset=dict(data, ann_file=f'annotations/{{split}}.json', indices=1))
    for split in ('train', 'val')
)
model = dict(bbox_head=dict(head_module=dict(num_classes=2)))
train_dataloader = train
val_dataloader = test_dataloader = val
val_evaluator = test_evaluator = dict(
    _delete_=True, type='AITODMetric', ann_file={root!r} + 'annotations/val.json'
)
train_cfg = dict(max_epochs=1, val_interval=1)
"""
    )
    result = tool('train.py', config, '--work-dir', tmp_path / 'run')
    assert result.returncode == 0, result.stderr
    assert re.search(r'loss_bbox: [\d.]+', result.stdout)
    assert (tmp_path / 'run/best_aitod_AP_epoch_1.pth').exists()


def anchors(page: Path) -> set[str]:
    """Those that GitHub gives the headings of a page."""
    headings = re.findall(r'^#+ (.*)', page.read_text().lower(), re.MULTILINE)
    return {re.sub(r'[^\w\- ]', '', text).replace(' ', '-') for text in headings}


@pytest.mark.parametrize('page', ['README.md', *sorted(DOCS)])
def test_links_lead_somewhere(page):
    path = ROOT / page
    for link in re.findall(r'\]\(([^)\s]+)\)', path.read_text()):
        if '://' in link:
            continue
        target, _, anchor = link.partition('#')
        there = path.parent / target if target else path
        assert there.exists(), link
        assert not anchor or anchor in anchors(there), link
