import re
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmyolo.registry import MODELS

ROOT = Path(__file__).parents[1]
README = (ROOT / 'README.md').read_text()
DOCS = [f'docs/{page.name}' for page in (ROOT / 'docs').glob('*.md')]


def test_the_config_of_the_readme_builds_and_trains(tmp_path):
    (code,) = re.findall(r'```python\n(.*?)```', README, re.DOTALL)
    path = tmp_path / 'mine.py'
    path.write_text(code)
    cfg = Config.fromfile(path)
    assert cfg.train_dataloader.collate_fn == dict(type='yolov5_collate')
    init_default_scope('mmyolo')
    model = MODELS.build(cfg.model)
    data = dict(
        inputs=torch.randint(0, 255, (1, 3, 64, 64), dtype=torch.uint8),
        data_samples=dict(bboxes_labels=torch.tensor([[0, 3, 10.0, 10, 22, 22]])),
    )
    losses = model(**model.data_preprocessor(data, training=True), mode='loss')
    sum(loss.sum() for loss in losses.values()).backward()


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
