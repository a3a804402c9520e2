"""Weights that a training starts from, and the one error without them."""

import functools
import http.server
import threading

import pytest
import torch
from mmengine.config import Config

from sarl.engine.pretrained import check_pretrained
from sarl.errors import InputError


def config(checkpoint, **kwargs):
    start = dict(type='Pretrained', checkpoint=str(checkpoint))
    backbone = dict(type='ResNet', init_cfg=start)
    return Config(dict(model=dict(type='FCOS', backbone=backbone), **kwargs))


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """torch's cache, empty."""
    monkeypatch.setenv('TORCH_HOME', str(tmp_path / 'torch'))
    return tmp_path / 'torch/hub/checkpoints'


@pytest.fixture
def server(tmp_path, monkeypatch):
    """Serve a folder by HTTP; its `requests` lists what was asked for."""
    requests = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args):
            requests.append(self.path)

    (tmp_path / 'served').mkdir()
    handler = functools.partial(Handler, directory=str(tmp_path / 'served'))
    monkeypatch.setenv('no_proxy', '127.0.0.1')
    with http.server.ThreadingHTTPServer(('127.0.0.1', 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        server.folder, server.requests = tmp_path / 'served', requests
        server.url = f'http://127.0.0.1:{server.server_port}'
        yield server
        server.shutdown()


def test_missing_and_broken_files(tmp_path):
    path = tmp_path / 'resnet50.pth'
    with pytest.raises(InputError) as error:
        check_pretrained(config(path))
    assert str(path) in str(error.value)
    assert 'docs/configs.md' in str(error.value)
    assert '--cfg-options model.backbone.init_cfg=None' in str(error.value)
    torch.save(dict(weight=torch.ones(2)), path)
    check_pretrained(config(path))
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(InputError, match=r'resnet50\.pth is broken'):
        check_pretrained(config(path))
    with pytest.raises(InputError, match=r'none\.pth does not exist'):
        check_pretrained(Config(dict(model={}, load_from='none.pth')))


def test_found_wherever_it_is():
    start = [dict(type='Xavier'), dict(type='mmengine.Pretrained', checkpoint='a.pth')]
    necks = [dict(type='FPN'), dict(type='BFP', init_cfg=start)]
    with pytest.raises(InputError, match=r'a\.pth, which model\.neck\.1\.init_cfg\.1'):
        check_pretrained(Config(dict(model=dict(neck=necks))))
    # Without a file to start from there is nothing to miss.
    check_pretrained(Config(dict(model=dict(neck=dict(init_cfg=start[0])))))


def test_nothing_is_fetched_unasked(server, cache):
    weights = dict(weight=torch.ones(2))
    torch.save(weights, server.folder / 'a.pth')
    for cfg in (
        config(f'{server.url}/a.pth'),
        Config(dict(model={}, load_from=f'{server.url}/a.pth')),
    ):
        with pytest.raises(InputError, match=r'not on this machine.*Add --download'):
            check_pretrained(cfg)
    assert not server.requests
    check_pretrained(config(f'{server.url}/a.pth'), download=True)
    assert torch.equal(torch.load(cache / 'a.pth')['weight'], weights['weight'])
    # Once is enough, for all.
    check_pretrained(config(f'{server.url}/a.pth'), download=True)
    check_pretrained(config(f'{server.url}/a.pth'))
    assert len(server.requests) == 1


def test_a_broken_file_in_the_cache(server, cache):
    (server.folder / 'a.pth').write_bytes(b'<!DOCTYPE html>')
    cfg = config(f'{server.url}/a.pth')
    for download in (True, False):
        with pytest.raises(
            InputError, match=r'hub/checkpoints/a\.pth is no check'
        ) as e:
            check_pretrained(cfg, download)
        assert f'{server.url}/a.pth, which model.backbone.init_cfg' in str(e.value)
    assert len(server.requests) == 1


@pytest.mark.parametrize('name', ['missing.pth', 'other-0123abcd.pth'])
def test_what_cannot_be_fetched_is_one_error(server, cache, name):
    # The second is there, but its content is not that of its name.
    (server.folder / 'other-0123abcd.pth').write_bytes(b'weights')
    with pytest.raises(InputError, match=rf'{name}.*cannot be fetched: .*=None'):
        check_pretrained(config(f'{server.url}/{name}'), download=True)
    assert not list(cache.glob('*.pth'))


def test_no_server(cache):
    with pytest.raises(InputError, match='cannot be fetched'):
        check_pretrained(config('http://127.0.0.1:9/a.pth'), download=True)


def test_names_that_stand_for_urls(cache):
    with pytest.raises(InputError, match=r'mobilenet_v2\S*\.pth into'):
        check_pretrained(config('mmcls://mobilenet_v2'))
    with pytest.raises(InputError, match=r'open-mmlab has no a_net'):
        check_pretrained(config('open-mmlab://a_net'))
    # Where MMEngine has its own way to a file
    check_pretrained(config('s3://bucket/a.pth'))
