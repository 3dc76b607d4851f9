"""Class weights of `head.balance`: inversely proportional to the frequencies of the classes in the training rows."""

import numpy as np
import torch
from torch import Tensor

from pipeline.models.heads.base import Targets

CLASS_WEIGHTS = "target.class_weights"


def compute_balanced_weights(codes: Targets, class_count: int) -> Tensor:
    """Return float [class_count]: rows / (classes that occur x rows of the class), 0 for a class without rows.

    They are those of scikit-learn's class_weight="balanced" (King & Zeng 2001, Political Analysis 9, 137). Their mean
    over the rows is 1, so that a learning rate means the same with and without them.
    """
    counts = np.bincount(np.asarray(codes, dtype=np.int64), minlength=class_count)
    occurring = np.count_nonzero(counts)
    weights = np.divide(len(codes), occurring * counts, out=np.zeros(class_count), where=counts > 0)
    return torch.tensor(weights, dtype=torch.float32)
