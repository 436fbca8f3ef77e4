"""The images of a run: read, split, and put on the device in batches."""

from spos.data.augmentation import POLICIES
from spos.data.batches import check_batch, evaluation_batches, training_batches
from spos.data.dataset import dataset_data, dataset_source
from spos.data.images import ImageData, Images, TensorImages
from spos.data.load import load_data
from spos.data.own_augmentation import register_augmentation
from spos.data.source import SOURCES, DataOptions, Source, array_source
from spos.data.streamed import StreamedImages

__all__ = [
    "POLICIES",
    "SOURCES",
    "DataOptions",
    "ImageData",
    "Images",
    "Source",
    "StreamedImages",
    "TensorImages",
    "array_source",
    "check_batch",
    "dataset_data",
    "dataset_source",
    "evaluation_batches",
    "load_data",
    "register_augmentation",
    "training_batches",
]
