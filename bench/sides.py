"""Sides of the comparison: ours, our engine without Lightning, a torch loop, and two ways to write a Lightning loop."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytorch_lightning as lightning
import torch
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.loggers import Logger
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, Sampler, TensorDataset

from bench.cases import STREAM_SEEDS, Case
from pipeline.config.metrics import METRICS
from pipeline.config.model import Model
from pipeline.config.schema import Training
from pipeline.models.networks import DenseNetwork
from pipeline.runtime import seeds
from pipeline.training.engine import FoldData, Member, StreamSeeds, build_stack
from pipeline.training.engine.compat import onednn_matmul
from pipeline.training.fit import cross_validate_trials
from pipeline.training.trials import PredictionTask, TrialSpec

Accuracies = list[float]  # one for each fold


def ours(case: Case, task: PredictionTask, folds: Sequence[FoldData]) -> Accuracies:
    """Train the folds as the search does; return the score of each fold."""
    (outcome,) = cross_validate_trials(
        task, folds, [TrialSpec(case.model, case.training, STREAM_SEEDS, lambda *_: False)]
    )
    return list(outcome.epoch_results[-1].fold_scores)


def engine(case: Case, task: PredictionTask, folds: Sequence[FoldData]) -> Accuracies:
    """Train the folds by the engine alone: no Lightning, no pruning, and only the last epoch is scored."""
    networks = build_stack(
        [Member(case.model, case.training, STREAM_SEEDS, data) for data in folds], task.inputs, task.head, "fp32"
    )
    for epoch in range(case.epochs):
        networks.train_epoch(epoch)
        predictions = networks.validate()
    return [
        task.head.score(METRICS["accuracy"], each, task.targets[data.validation], data.target_constants)
        for each, data in zip(predictions, folds, strict=True)
    ]


def bare(case: Case, task: PredictionTask, folds: Sequence[FoldData]) -> Accuracies:
    """Train each fold in a loop of torch alone: data in memory, fused AdamW."""
    return [_bare(case, task, data) for data in folds]


def plain(case: Case, task: PredictionTask, folds: Sequence[FoldData]) -> Accuracies:
    """Train as most people do: a Trainer for each fold, a DataLoader over a TensorDataset, `self.log`."""
    return [fit(task, data, case.model, case.training, STREAM_SEEDS) for data in folds]


def plain_onednn(case: Case, task: PredictionTask, folds: Sequence[FoldData]) -> Accuracies:
    """Train as `plain`, with the matrix products of oneDNN."""
    with onednn_matmul():
        return plain(case, task, folds)


def tuned(case: Case, task: PredictionTask, folds: Sequence[FoldData]) -> Accuracies:
    """Train with an optimized loop: whole minibatches, fused AdamW, no logging, one validation batch."""
    return [fit(task, data, case.model, case.training, STREAM_SEEDS, tuned=True) for data in folds]


def tuned_onednn(case: Case, task: PredictionTask, folds: Sequence[FoldData]) -> Accuracies:
    """Train as `tuned`, with the matrix products of oneDNN."""
    with onednn_matmul():
        return tuned(case, task, folds)


SIDES = {
    "ours": ours,
    "engine": engine,
    "bare": bare,
    "plain": plain,
    "plain_onednn": plain_onednn,
    "tuned": tuned,
    "tuned_onednn": tuned_onednn,
}


def build_network(task: PredictionTask, data: FoldData, model: Model, stream_seeds: StreamSeeds) -> nn.Sequential:
    """Return `nn.Linear` layers with the initial weights of ours."""
    first = DenseNetwork(task.inputs.feature_count, model, task.head.output_count)
    first.init_weights(seeds.make_generator(stream_seeds.trial, data.fold, "weights"), data.output_bias)
    parts: list[nn.Module] = []
    for layer in first.layers:
        linear = nn.Linear(layer.in_features, layer.out_features)
        linear.load_state_dict(layer.state_dict())
        parts += [linear, nn.ReLU()]
    return nn.Sequential(*parts[:-1])


def _bare(case: Case, task: PredictionTask, data: FoldData) -> float:
    network = build_network(task, data, case.model, STREAM_SEEDS)
    training = case.training
    rates = {"lr": training.learning_rate, "weight_decay": training.weight_decay}
    optimizer = torch.optim.AdamW(network.parameters(), **rates, fused=True)
    inputs, validation_inputs = (
        task.inputs.prepare_batch(data.inputs[rows], data.input_constants) for rows in (data.train, data.validation)
    )
    targets = data.targets[data.train]
    predictions = torch.zeros(0)
    for epoch in range(training.epochs):
        order = torch.randperm(
            len(inputs), generator=seeds.make_generator(STREAM_SEEDS.study, data.fold, epoch, "order")
        )
        for rows in order.split(training.batch_size):
            optimizer.zero_grad()
            functional.cross_entropy(network(inputs[rows]), targets[rows]).backward()
            optimizer.step()
        with torch.inference_mode():
            predictions = network(validation_inputs)
    return task.head.score(METRICS["accuracy"], predictions, task.targets[data.validation], data.target_constants)


class _RowOrder(Sampler[int]):
    """Sampler of the same order of rows as ours in each epoch."""

    def __init__(self, data: FoldData, stream_seeds: StreamSeeds) -> None:
        self.data = data
        self.stream_seeds = stream_seeds
        self.epoch = 0

    def __len__(self) -> int:
        return len(self.data.train)

    def __iter__(self) -> Iterator[int]:
        generator = seeds.make_generator(self.stream_seeds.study, self.data.fold, self.epoch, "order")
        self.epoch += 1
        return iter(torch.randperm(len(self), generator=generator).tolist())


class _Batches(Sampler[list[int]]):
    def __init__(self, order: _RowOrder, size: int) -> None:
        self.order = order
        self.size = size

    def __len__(self) -> int:
        return math.ceil(len(self.order) / self.size)

    def __iter__(self) -> Iterator[list[int]]:
        rows = list(self.order)
        return (rows[begin : begin + self.size] for begin in range(0, len(rows), self.size))


class Module(lightning.LightningModule):
    """Network with the head's loss, scored on the validation rows after each epoch."""

    def __init__(
        self, task: PredictionTask, data: FoldData, network: nn.Sequential, training: Training, tuned: bool
    ) -> None:
        super().__init__()
        self.task = task
        self.data = data
        self.network = network
        self.training_config = training
        self.tuned = tuned
        self.predictions: list[Tensor] = []
        self.score = math.nan

    def configure_optimizers(self) -> torch.optim.Optimizer:
        rates = {"lr": self.training_config.learning_rate, "weight_decay": self.training_config.weight_decay}
        return torch.optim.AdamW(self.parameters(), **rates, fused=self.tuned or None)

    def training_step(self, batch: tuple[Tensor, Tensor], index: int) -> Tensor:
        loss = self.task.head.loss(self.network(batch[0]), batch[1], self.training_config)
        if not self.tuned:
            self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def validation_step(self, batch: tuple[Tensor, Tensor], index: int) -> None:
        outputs = self.network(batch[0])
        self.predictions.append(self.task.head.to_predictions(outputs, self.data.target_constants))
        if not self.tuned:
            self.log("validation_loss", self.task.head.loss(outputs, batch[1], self.training_config), on_epoch=True)

    def on_validation_epoch_end(self) -> None:
        targets = self.task.targets[self.data.validation]
        predictions = torch.cat(self.predictions)
        self.score = self.task.head.score(self.task.metric, predictions, targets, self.data.target_constants)
        self.predictions.clear()
        if not self.tuned:
            self.log("score", self.score)


def fit(
    task: PredictionTask,
    data: FoldData,
    model: Model,
    training: Training,
    stream_seeds: StreamSeeds,
    *,
    tuned: bool = False,
    logger: Logger | bool = False,
    checkpoint_folder: Path | None = None,
) -> float:
    """Train one fold with one Trainer and return its last score; save its best epoch in checkpoint_folder, if given."""
    module = Module(task, data, build_network(task, data, model, stream_seeds), training, tuned)
    order = _RowOrder(data, stream_seeds)
    size = training.batch_size
    parts = [
        (task.inputs.prepare_batch(data.inputs[rows], data.input_constants), data.targets[rows])
        for rows in (data.train, data.validation)
    ]
    train, validation = (TensorDataset(*part) for part in parts)
    if tuned:
        loaders = (
            DataLoader(_BatchDataset(*parts[0]), sampler=_Batches(order, size), batch_size=None),
            DataLoader(_BatchDataset(*parts[1]), sampler=[list(range(len(validation)))], batch_size=None),
        )
    else:
        loaders = DataLoader(train, size, sampler=order), DataLoader(validation, size)
    trainer = lightning.Trainer(
        max_epochs=training.epochs,
        accelerator="cpu",
        logger=logger,
        enable_checkpointing=checkpoint_folder is not None,
        callbacks=[]
        if checkpoint_folder is None
        else [ModelCheckpoint(checkpoint_folder, monitor="score", mode="max")],
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )
    trainer.fit(module, *loaders)
    return module.score


class _BatchDataset(torch.utils.data.Dataset[tuple[Tensor, Tensor]]):
    """Dataset that is indexed by a whole list of rows."""

    def __init__(self, inputs: Tensor, targets: Tensor) -> None:
        self.inputs = inputs
        self.targets = targets

    def __len__(self) -> int:
        return len(self.inputs)

    def __getitem__(self, rows: list[int]) -> tuple[Tensor, Tensor]:
        return self.inputs[rows], self.targets[rows]
