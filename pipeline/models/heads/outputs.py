"""Losses of classification heads, with their gradients: a softmax over classes, or a sigmoid for each label."""

from typing import Annotated

import torch
from pydantic import Field, StrictBool
from torch import Tensor
from torch.nn import functional

from pipeline.config.schema import Training
from pipeline.models.heads.base import Head, Targets
from pipeline.models.heads.class_weights import CLASS_WEIGHTS, compute_balanced_weights
from pipeline.preprocessing.base import Constants

Balance = Annotated[StrictBool, Field(exclude_if=lambda is_balanced: not is_balanced)]


class SoftmaxOutputs(Head):
    """Outputs of C classes, of which exactly one is correct: softmax and cross-entropy.

    Encoded targets: int64 [N]; with balance float [N, C], one-hot rows times the weight of their class.
    `label_smoothing` is part of the training loss alone, as in torch and Keras: no metric is smoothed.
    """

    balance: bool

    def fit_classes(self, classes: Targets) -> Constants:
        """Compute the class weights, if there are any, from the classes of training rows."""
        return {CLASS_WEIGHTS: compute_balanced_weights(classes, self.output_count)} if self.balance else {}

    def constant_shapes(self) -> dict[str, tuple[int, ...]]:
        return {CLASS_WEIGHTS: (self.output_count,)} if self.balance else {}

    def encode_classes(self, classes: Tensor, constants: Constants) -> Tensor:
        """Encode classes, int64 [N], for the loss."""
        if not self.balance:
            return classes
        return functional.one_hot(classes, self.output_count) * constants[CLASS_WEIGHTS][classes, None]

    def loss(self, outputs: Tensor, encoded_targets: Tensor, training: Training) -> Tensor:
        if self.balance:  # a mean over rows, not over weights, so that the gradients of microbatches add up
            targets = self.gradient_targets(encoded_targets, training)
            return functional.cross_entropy(outputs[:, : self.output_count], targets)
        if training.label_smoothing > 0:  # it reads every logarithm, and those of padding columns are infinite
            outputs = outputs[:, : self.output_count]
        return functional.cross_entropy(outputs, encoded_targets, label_smoothing=training.label_smoothing)

    def gradient_targets(self, encoded_targets: Tensor, training: Training) -> Tensor:
        smoothing = training.label_smoothing
        if self.balance:
            row_weights = encoded_targets.sum(dim=1, keepdim=True)
            return encoded_targets * (1 - smoothing) + row_weights * (smoothing / self.output_count)
        one_hot = functional.one_hot(encoded_targets, self.output_count).float()
        return one_hot.mul_(1 - smoothing).add_(smoothing / self.output_count)

    def gradient(self, outputs: Tensor, targets: Tensor, out: Tensor) -> None:
        """Write the gradient of the mean cross-entropy, (softmax x row's weight - target) / rows."""
        # Padding columns of minus infinity have a probability of exactly 0. Measured: a softmax over a whole vector
        # of columns takes an eighth of the time of one over the classes alone.
        outputs[..., self.output_count :] = -torch.inf
        torch.softmax(outputs, -1, out=out)
        if self.balance:
            out.mul_(targets.sum(dim=-1, keepdim=True))
        out[..., : self.output_count].sub_(targets)
        out.div_(outputs.shape[-2])

    def to_predictions(self, outputs: Tensor, constants: Constants) -> Tensor:
        return outputs.softmax(dim=1)


class SigmoidOutputs(Head):
    """Outputs of independent labels: a sigmoid and binary cross-entropy each.

    Encoded targets: 0.0 or 1.0; with balance the weight of the label's value, negative for 0.
    """

    balance: bool

    def encode_targets(self, targets: Tensor, constants: Constants) -> Tensor:
        labels = targets.float()
        if not self.balance:
            return labels
        weights = constants[CLASS_WEIGHTS]
        return torch.where(labels > 0, weights[..., 1], -weights[..., 0])

    def losses(self, outputs: Tensor, encoded_targets: Tensor) -> Tensor:
        """Return the binary cross-entropy of each output; both have the same shape."""
        if not self.balance:
            return functional.binary_cross_entropy_with_logits(outputs, encoded_targets, reduction="none")
        labels = (encoded_targets > 0).float()
        weights = encoded_targets.abs()
        return functional.binary_cross_entropy_with_logits(outputs, labels, weights, reduction="none")

    def gradient(self, outputs: Tensor, targets: Tensor, out: Tensor) -> None:
        """Write the gradient of the mean over rows of the summed cross-entropies, weight x (sigmoid - label) / rows."""
        columns = slice(self.output_count)
        for batch, batch_out in zip(outputs, out, strict=True):  # one by one: a tensor's tail rounds differently
            torch.sigmoid(batch[:, columns], out=batch_out[:, columns])
        derivatives = out[..., columns]
        if self.balance:
            derivatives.sub_((targets > 0).float()).mul_(targets.abs())
        else:
            derivatives.sub_(targets)
        derivatives.div_(outputs.shape[-2])
