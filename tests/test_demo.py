"""What `make demo` tells apart, and what its pictures show."""

import json

from mmengine.config import Config

from sarl.demo import run


def test_other_code_starts_anew(coco_folder, monkeypatch):
    before = run._digest({}, coco_folder)
    assert run._digest({}, coco_folder) == before
    monkeypatch.setattr(run, 'code_version', lambda: 'another')
    assert run._digest({}, coco_folder) != before


def test_what_is_not_trained_is_not_missed(coco_folder, tmp_path, monkeypatch):
    """As in the scores: the validation data may have a category more."""
    annotations = json.loads((coco_folder / 'annotations/val.json').read_text())
    boats = [a for a in annotations['annotations'] if a['category_id'] == 1]
    assert 0 < len(boats) < len(annotations['annotations'])
    keys = ('image_id', 'category_id', 'bbox')
    perfect = [{key: a[key] for key in keys} | dict(score=0.9) for a in boats]
    dataset = dict(
        data_root=f'{coco_folder}/',
        ann_file='annotations/val.json',
        data_prefix=dict(img='images/'),
        metainfo=dict(classes=('boat',)),
    )
    cfgs = {}
    for name, found in dict(perfect=perfect, none=[]).items():
        (tmp_path / name).mkdir()
        (tmp_path / name / 'detections.bbox.json').write_text(json.dumps(found))
        cfgs[name] = Config(
            dict(work_dir=str(tmp_path / name), test_dataloader=dict(dataset=dataset))
        )
    drawn = []
    monkeypatch.setattr(run, 'draw_comparison', lambda *parts: drawn.append(parts))
    run._draw(cfgs, tmp_path / 'pictures')
    shown = [box for _, truth, _, _ in drawn for box in truth]
    assert sorted(shown) == sorted(a['bbox'] for a in boats)
    for _, truth, matches, _ in drawn:
        assert matches['perfect'].missed == []
        assert sorted(matches['none'].missed) == sorted(truth)
