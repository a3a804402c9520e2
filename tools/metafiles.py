"""List the configs in configs/*/metafile.yml and model-index.yml, for `mim search`."""

import argparse
from pathlib import Path

from sarl.analysis.metafiles import write_metafiles
from sarl.engine.launch import run_tool

ROOT = Path(__file__).parents[1]


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    for path in write_metafiles(ROOT):
        print(f'wrote {path.relative_to(ROOT)}')


if __name__ == '__main__':
    run_tool(main)
