"""The data of a run by name: which source, and how it is read."""

from __future__ import annotations

from spos._util.errors import UserError, nearest
from spos.data.assemble import Source, assemble
from spos.data.image_data import ImageData
from spos.data.image_size import check_image_size
from spos.data.reading import check_reading
from spos.data.sources.cifar import cifar_source
from spos.data.sources.digits import digits_source
from spos.data.sources.fashion_mnist import fashion_mnist_source
from spos.data.sources.folder import FolderOptions, folder_source
from spos.data.split import Size, check_size

SOURCES = ("digits", "folder", "fashion-mnist", "cifar10", "cifar100")
ON_BROKEN = ("fail", "skip")


def load_data(
    spec: str,
    *,
    image_size: int | None = None,
    validation: Size = 0.1,
    test: Size = 0.1,
    seed: int = 0,
    on_broken: str = "fail",
    stream: str = "auto",
    workers: int = 0,
    memory_limit: int = 4 << 30,
) -> ImageData:
    """Load images by the name of their source.

    - ``digits``: 1,797 grey images of 8x8 pixels that come with scikit-learn.
    - ``folder:PATH``: a folder or a .zip of one, with train/ and perhaps val/ and test/ in it,
      and a folder a class in each. test/ is the test set; without it val/ is, as on ImageNet;
      with both, val/ is the validation set; with neither, ``test`` is split off train/.
    - ``fashion-mnist`` or ``fashion-mnist:PATH``: the IDX files, in the first form those of
      Debian's package dataset-fashion-mnist.
    - ``cifar10:PATH``, ``cifar100:PATH``: the binary version, its folder or its .tar.gz.

    All files of a folder are read once before this returns, so that a broken one is found now
    and not in the middle of a training: for streamed images that costs a millisecond or two of
    a core for a photograph.

    Args:
        spec: the source.
        image_size: the side of the square images in pixels; what the source has if left out.
        validation: what is split off the training images: a number, or a fraction in (0, 1).
        test: likewise for the test set of a folder that has neither test/ nor val/.
        seed: of the validation split, at least 0; the test images never depend on it.
        on_broken: what happens at a broken file: "fail", or "skip" to leave it out.
        stream: "never" holds a folder's decoded images in memory, "always" decodes them when
            they are needed, "auto" does so if they are larger than ``memory_limit``.
        workers: processes that decode streamed images; 0 decodes in this one.
        memory_limit: bytes of decoded training images.

    Raises:
        UserError: an argument is out of its range, or the data is not as it should be.

    Example:
        >>> data = load_data("digits")
        >>> len(data.train), len(data.validation), len(data.test()), data.image_size
        (1294, 144, 359, 8)
    """
    kind, colon, path = spec.partition(":")
    if kind not in SOURCES:
        raise UserError(f"--data {spec}: no such source; {nearest(kind, SOURCES)}")
    check_image_size(image_size)
    check_size("--validation", validation)
    check_size("--test", test)
    check_reading(seed, stream, workers, memory_limit)
    if on_broken not in ON_BROKEN:
        raise UserError(f"--on-broken {on_broken}: {nearest(on_broken, ON_BROKEN)}")
    if kind == "folder":
        options = FolderOptions(image_size, test, on_broken, stream, workers, memory_limit)
        return assemble(spec, folder_source(spec, path, options), validation, seed)
    if stream == "always":
        raise UserError(
            f"--stream always: {kind} is always held in memory; allowed: auto, never;"
            " only folder:PATH can be streamed"
        )
    return assemble(spec, _arrays(spec, kind, bool(colon), path, image_size), validation, seed)


def _arrays(spec: str, kind: str, named: bool, path: str, image_size: int | None) -> Source:
    if kind == "digits":
        if named:
            raise UserError(f"--data {spec}: digits has no path; nearest valid: digits")
        return digits_source(image_size)
    if kind == "fashion-mnist":
        return fashion_mnist_source(spec, path, image_size)
    return cifar_source(spec, kind, path, image_size)
