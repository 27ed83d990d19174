"""The first file of the sandboxed child: `python -I -S launch.py PYTSK3 WORD...`.

The search path of modules is empty in there, since a folder of packages may hold anything: the
two things that are needed are loaded from the files that were named, then `look.main` has the word.
"""

import importlib
import importlib.machinery
import importlib.util
import sys
from pathlib import Path

_TOP = Path(__file__).resolve().parents[2]


def _load(name: str, path: Path, folder: Path | None = None) -> None:
    places = [str(folder)] if folder else None
    spec = importlib.util.spec_from_file_location(name, path, submodule_search_locations=places)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is no module.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)


def main(words: list[str]) -> None:
    """Load, then look."""
    _load("pytsk3", Path(words[0]))
    _load(_TOP.name, _TOP / "__init__.py", _TOP)
    importlib.import_module(f"{_TOP.name}.converter.guest.look").main(words[1:])


if __name__ == "__main__":
    main(sys.argv[1:])
