"""The splits of a plan: how many images test a network, and how many compare candidates."""

from __future__ import annotations

from spos._util.errors import UserError
from spos.data.peek import ImageFacts
from spos.run.planning.plan import Draft

#: Fewest validation images that rank networks well.
WELL_RANKED = 200


def choose_split(draft: Draft, facts: ImageFacts) -> tuple[int, int]:
    """Choose the numbers of images for the test and for the comparison of candidates.

    Args:
        draft (Draft): settings so far; the sizes are chosen there.
        facts (ImageFacts): what the images are like.

    Returns:
        Numbers of images that a network and a supernet are trained on.

    Raises:
        UserError: a class has too few images for one in each split.
    """
    count, parts = facts.count, ["training"]
    parts += [] if facts.has_test else ["test"]
    parts += [] if facts.has_validation else ["validation"]
    if facts.smallest is not None and facts.smallest[1] < len(parts):
        name, images = facts.smallest
        raise UserError(
            f"class '{name}' has {images} image{'s' * (images > 1)}; a class needs at least "
            f"{len(parts)}, one each for {', '.join(parts)}: add some, or take its folder out"
        )
    if not facts.has_test:
        share = 0.2 if count < 1000 else 0.1
        size, reason = round(share * count), f"{share:.0%} of {count} images"
        if size < facts.classes:
            size, reason = facts.classes, "one of each class"
        test = draft.choose("data.test", size, reason)
        count -= count_split(test, count)
    searched = count
    if not facts.has_validation:
        wanted = max(min(1000, round(0.15 * count)), 2 * facts.classes)
        # One of each class is left to train on.
        wanted = max(min(wanted, count - facts.classes), 1)
        few = f"; fewer than {WELL_RANKED} rank networks badly" if wanted < WELL_RANKED else ""
        wanted = draft.choose("data.validation", wanted, f"to compare candidates{few}")
        searched -= count_split(wanted, count)
    return count, searched


def count_split(size: int | float, images: int) -> int:
    """Number of images of a split, given as a number or a fraction, rounded as the split is.

    Example:
        >>> count_split(30, 100), count_split(0.2, 100), count_split(0.1, 57)
        (30, 20, 6)
    """
    return int(size) if size >= 1 else round(size * images)
