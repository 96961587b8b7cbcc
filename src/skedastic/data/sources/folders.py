"""Folders by class: DIR/cat/1.png, DIR/dog/2.png; or DIR/pos/1.txt, DIR/neg/2.txt.

The package datasets reads folders of images too, but keeps a table of them in a cache, and no folders of text by class.
"""

from __future__ import annotations

from collections import Counter
from functools import partial
from pathlib import Path

import pandas as pd

from skedastic.data.images import FileBytes
from skedastic.data.tables.readers import FrameReader
from skedastic.data.tables.table import Table
from skedastic.errors import UserError

IMAGES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm")
TEXTS = (".txt", ".text", ".md")
LABEL = "label"


def read_folder(folder: Path) -> Table:
    """Read a folder whose sub-folders are the classes: `label`, and `image` or `text`; hidden files are no examples.

    Raises UserError where there are no classes, images and texts at once, or a text is not in UTF-8.
    """
    files = sorted(
        p for p in folder.rglob("*") if p.is_file() and not any(q.startswith(".") for q in p.relative_to(folder).parts)
    )
    endings = Counter(p.suffix.lower() for p in files)
    images, texts = (sum(endings[e] for e in known) for known in (IMAGES, TEXTS))
    if images and texts:
        raise UserError(f"it holds {images} images and {texts} texts; give a folder of either", setting=str(folder))
    known = IMAGES if images else TEXTS
    taken = [p for p in files if p.suffix.lower() in known]
    if not taken:
        rule = (
            f"it is a directory without images ({', '.join(IMAGES[:4])}, …) or texts ({', '.join(TEXTS[:2])}) in "
            "sub-folders named as the classes; name a folder like that, or a file"
        )
        raise UserError(rule, setting=str(folder))
    alone = next((p for p in taken if p.parent == folder), None)
    if alone is not None:
        raise UserError("it is in no sub-folder; put each file into a folder named as its class", setting=str(alone))
    labels = [p.relative_to(folder).parts[0] for p in taken]
    others = [f"{n} {e or 'without ending'}" for e, n in endings.items() if e not in known]
    notes = (f"left out: files of other kinds ({', '.join(others)})",) if others else ()
    if not images:
        frame = pd.DataFrame({"text": pd.Series([_text(p) for p in taken], dtype=object), LABEL: labels})
        return Table(folder.name, FrameReader(frame), notes=notes)
    frame = pd.DataFrame({LABEL: labels})
    paths = tuple(map(str, taken))
    return Table(folder.name, FrameReader(frame), images={"image": partial(FileBytes, paths)}, notes=notes)


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8-sig")
    except UnicodeDecodeError:
        raise UserError("it is not a text in UTF-8; save it in UTF-8", setting=str(path)) from None
    except OSError as error:
        raise UserError(f"it can't be read ({error.strerror})", setting=str(path)) from None
