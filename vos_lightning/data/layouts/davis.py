"""The DAVIS layouts: 2016, 2017 and unsupervised, any resolution, annotated or with first masks only."""

from collections.abc import Sequence
from itertools import chain
from pathlib import Path, PurePosixPath

from vos_lightning.data.layouts.names import other_root, plain_name
from vos_lightning.data.layouts.sequences import SequenceRecord
from vos_lightning.errors import CorruptFileError, DatasetNotFoundError, VOSError
from vos_lightning.io.frame_folder import IMAGE_SUFFIXES

YEARS = ("2016", "2017")
_FIRST_MASK_ONLY = ("test-dev", "test-challenge")


def davis_year(root: str | Path) -> str:
    """The edition of a tree: 2017 if it has that image set, else 2016.

    Raises:
        DatasetNotFoundError: there is neither.
    """
    sets = Path(root) / "ImageSets"
    if (sets / "2017").is_dir():
        return "2017"
    if any((sets / folder).is_dir() for folder in ("2016", "480p", "1080p")):
        return "2016"
    raise DatasetNotFoundError(_tree(Path(root), "480p", "Annotations", sets / "2017" / "val.txt"))


def davis_sequences(
    root: str | Path,
    year: str = "2017",
    split: str = "val",
    resolution: str = "480p",
    unsupervised: bool = False,
    sequences: Sequence[str] | None = None,
) -> list[SequenceRecord]:
    """The sequences of a split, checked to be there.

    Args:
        root: the folder that holds ``JPEGImages``, ``Annotations`` and ``ImageSets``.
        year: "2016" (labels merged to one object, 255 is foreground) or "2017" (several objects, 255 is void).
        split: "train", "val", "trainval", "test-dev" or "test-challenge"; the last two have first masks only.
        resolution: "480p", "Full-Resolution" (2017) or "1080p" (2016).
        unsupervised: the masks of ``Annotations_unsupervised``, and for test splits the image sets of 2019.
        sequences: only these.

    Raises:
        DatasetNotFoundError: something of the tree is missing; the message shows the expected one.
        VOSError: unknown year, or a name in `sequences` that the split doesn't have.
    """
    root = Path(root)
    if year not in YEARS:
        raise VOSError(f"year={year!r}: one of {', '.join(YEARS)}")
    annotations = "Annotations_unsupervised" if unsupervised else "Annotations"
    names = davis_names(root, year, split, resolution, unsupervised)
    unknown = sorted(set(sequences or ()) - set(names))
    if unknown:
        raise VOSError(f"{', '.join(unknown)}: not in the {split} split of {root}, which has {', '.join(names)}")
    records = [
        SequenceRecord(
            name,
            root / "JPEGImages" / resolution / name,
            root / annotations / resolution / name,
            scored=split not in _FIRST_MASK_ONLY,
            merge=year == "2016",
        )
        for name in names
        if sequences is None or name in sequences
    ]
    for record in records:
        for folder in (record.frames, record.masks):
            if not folder.is_dir():
                raise DatasetNotFoundError(_tree(root, resolution, annotations, folder))
    return records


def davis_names(
    root: str | Path, year: str, split: str, resolution: str = "480p", unsupervised: bool = False
) -> list[str]:
    """Names of the sequences of a split, in the order of its image set.

    Lists of names (2017, and 2016 as packed with it) and lists of picture and mask paths (2016) are understood. Without
    a list of its own, "trainval" is "train" and "val".

    Raises:
        DatasetNotFoundError: no such image set, or an empty one.
        CorruptFileError: no text.
        VOSError: something in it can't be a name.
    """
    root = Path(root)
    if unsupervised and split in _FIRST_MASK_ONLY:
        folders = ["2019"]
    else:
        folders = [year] if year == "2017" else [year, resolution, "480p"]
    candidates = [root / "ImageSets" / folder / f"{split}.txt" for folder in folders]
    found = next((path for path in candidates if path.is_file()), None)
    if found is None and split == "trainval":
        parts = [davis_names(root, year, part, resolution, unsupervised) for part in ("train", "val")]
        return list(dict.fromkeys(chain(*parts)))
    if found is None:
        raise DatasetNotFoundError(_tree(root, resolution, "Annotations", candidates[0]))
    try:
        entries = [line.split()[0] for line in found.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise CorruptFileError(f"{found}: can't read this list ({error}); unpack it again") from error
    names = list(dict.fromkeys(plain_name(_sequence(entry), found) for entry in entries))
    if not names:
        raise DatasetNotFoundError(f"{found}: no sequence in it; one name per line is expected")
    return names


def _sequence(entry: str) -> str:
    """The sequence that a line names, by itself or by the path of a picture of it."""
    return PurePosixPath(entry).parent.name if PurePosixPath(entry).suffix.lower() in IMAGE_SUFFIXES else entry


def _tree(root: Path, resolution: str, annotations: str, missing: Path) -> str:
    sets = missing.parent
    if sets.name == "2017" and not sets.is_dir() and any((sets.parent / name).is_dir() for name in ("2016", "480p")):
        return f"{missing}: missing; this tree has the lists of 2016: pass year=2016"
    return (
        f"{missing}: missing; {other_root(root, 'JPEGImages', 'ImageSets')}a DAVIS tree has "
        f"{root}/JPEGImages/{resolution}/NAME/00000.jpg, "
        f"{root}/{annotations}/{resolution}/NAME/00000.png and {root}/ImageSets/2017/val.txt "
        "(2016: ImageSets/2016/val.txt or ImageSets/480p/val.txt)"
    )
