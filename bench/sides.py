"""The sides of a comparison: ours, our engine without Lightning, and two ways to write the loop with Lightning."""

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

from bench.cases import NAMES, Case
from pipeline.config.metrics import METRICS
from pipeline.config.model import Model
from pipeline.config.schema import Training
from pipeline.models.networks import DenseNetwork
from pipeline.runtime import seeds
from pipeline.training.engine import FoldData, Member, StreamSeeds, build_stack
from pipeline.training.engine.compat import onednn_matmul
from pipeline.training.fit import cross_validate_trials
from pipeline.training.trial_state import PredictionTask, TrialSpec

Shares = list[float]  # of right answers, a fold


def ours(case: Case, task: PredictionTask, folds: Sequence[FoldData]) -> Shares:
    """One fit a trial."""
    (outcome,) = cross_validate_trials(task, folds, [TrialSpec(case.model, case.training, NAMES, lambda *_: False)])
    return list(outcome.epoch_results[-1].fold_scores)


def engine(case: Case, task: PredictionTask, folds: Sequence[FoldData]) -> Shares:
    """The same arithmetic as a bare loop: no Lightning, no judge, no scores but the last."""
    networks = build_stack(
        [Member(case.model, case.training, NAMES, data) for data in folds], task.inputs, task.head, "fp32"
    )
    for epoch in range(case.epochs):
        networks.train_epoch(epoch)
        answers = networks.validate()
    return [
        task.head.score(METRICS["accuracy"], each, task.targets[data.validation], data.target_constants)
        for each, data in zip(answers, folds, strict=True)
    ]


def bare(case: Case, task: PredictionTask, folds: Sequence[FoldData]) -> Shares:
    """A loop of torch alone: resident data, fused AdamW, nothing else."""
    return [_bare(case, task, data) for data in folds]


def plain(case: Case, task: PredictionTask, folds: Sequence[FoldData]) -> Shares:
    """What everyone writes: a Trainer a fold, a DataLoader over a TensorDataset, `self.log`."""
    return [fit(task, data, case.model, case.training, NAMES) for data in folds]


def plain_onednn(case: Case, task: PredictionTask, folds: Sequence[FoldData]) -> Shares:
    """The same with the products of oneDNN."""
    with onednn_matmul():
        return plain(case, task, folds)


def tuned(case: Case, task: PredictionTask, folds: Sequence[FoldData]) -> Shares:
    """With care: whole minibatches from the loader, fused AdamW, nothing logged in a step, big validation batches."""
    return [fit(task, data, case.model, case.training, NAMES, tuned=True) for data in folds]


def tuned_onednn(case: Case, task: PredictionTask, folds: Sequence[FoldData]) -> Shares:
    """The same with the products of oneDNN."""
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


def network_of(task: PredictionTask, data: FoldData, model: Model, names: StreamSeeds) -> nn.Sequential:
    """`nn.Linear` layers with the initial weights that ours has."""
    first = DenseNetwork(task.inputs.feature_count, model, task.head.output_count)
    first.init_weights(seeds.make_generator(names.trial, data.fold, "weights"), data.output_bias)
    parts: list[nn.Module] = []
    for layer in first.layers:
        linear = nn.Linear(layer.in_features, layer.out_features)
        linear.load_state_dict(layer.state_dict())
        parts += [linear, nn.ReLU()]
    return nn.Sequential(*parts[:-1])


def _bare(case: Case, task: PredictionTask, data: FoldData) -> float:
    network, training = network_of(task, data, case.model, NAMES), case.training
    rates = {"lr": training.learning_rate, "weight_decay": training.weight_decay}
    optimizer = torch.optim.AdamW(network.parameters(), **rates, fused=True)
    inputs, held_out = (
        task.inputs.prepare_batch(data.inputs[rows], data.input_constants) for rows in (data.train, data.validation)
    )
    targets, answers = data.targets[data.train], torch.zeros(0)
    for epoch in range(training.epochs):
        order = torch.randperm(len(inputs), generator=seeds.make_generator(NAMES.study, data.fold, epoch, "order"))
        for rows in order.split(training.batch_size):
            optimizer.zero_grad()
            functional.cross_entropy(network(inputs[rows]), targets[rows]).backward()
            optimizer.step()
        with torch.inference_mode():
            answers = network(held_out)
    return task.head.score(METRICS["accuracy"], answers, task.targets[data.validation], data.target_constants)


class _Order(Sampler[int]):
    """The order of rows that ours takes, epoch by epoch."""

    def __init__(self, data: FoldData, names: StreamSeeds) -> None:
        self.data, self.names, self.epoch = data, names, 0

    def __len__(self) -> int:
        return len(self.data.train)

    def __iter__(self) -> Iterator[int]:
        generator = seeds.make_generator(self.names.study, self.data.fold, self.epoch, "order")
        self.epoch += 1
        return iter(torch.randperm(len(self), generator=generator).tolist())


class _Batches(Sampler[list[int]]):
    def __init__(self, order: _Order, size: int) -> None:
        self.order, self.size = order, size

    def __len__(self) -> int:
        return math.ceil(len(self.order) / self.size)

    def __iter__(self) -> Iterator[list[int]]:
        rows = list(self.order)
        return (rows[begin : begin + self.size] for begin in range(0, len(rows), self.size))


class Module(lightning.LightningModule):
    """A network with the head's loss, scored after each epoch on the fold's validation rows."""

    def __init__(
        self, task: PredictionTask, data: FoldData, network: nn.Sequential, training: Training, tuned: bool
    ) -> None:
        super().__init__()
        self.task, self.data, self.net, self.how, self.tuned = task, data, network, training, tuned
        self.answers: list[Tensor] = []
        self.score = math.nan

    def configure_optimizers(self) -> torch.optim.Optimizer:
        rates = {"lr": self.how.learning_rate, "weight_decay": self.how.weight_decay}
        return torch.optim.AdamW(self.parameters(), **rates, fused=self.tuned or None)

    def training_step(self, batch: tuple[Tensor, Tensor], index: int) -> Tensor:
        loss = self.task.head.loss(self.net(batch[0]), batch[1], self.how)
        if not self.tuned:
            self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def validation_step(self, batch: tuple[Tensor, Tensor], index: int) -> None:
        outputs = self.net(batch[0])
        self.answers.append(self.task.head.to_predictions(outputs, self.data.target_constants))
        if not self.tuned:
            self.log("validation_loss", self.task.head.loss(outputs, batch[1], self.how), on_epoch=True)

    def on_validation_epoch_end(self) -> None:
        truth = self.task.targets[self.data.validation]
        answers = torch.cat(self.answers)
        self.score = self.task.head.score(self.task.metric, answers, truth, self.data.target_constants)
        self.answers.clear()
        if not self.tuned:
            self.log("score", self.score)


def fit(
    task: PredictionTask,
    data: FoldData,
    model: Model,
    training: Training,
    names: StreamSeeds,
    *,
    tuned: bool = False,
    logger: Logger | bool = False,
    kept: Path | None = None,
) -> float:
    """One Trainer, one fold; its last score. kept: a folder for the parameters of its best epoch."""
    module = Module(task, data, network_of(task, data, model, names), training, tuned)
    order, size = _Order(data, names), training.batch_size
    parts = [
        (task.inputs.prepare_batch(data.inputs[rows], data.input_constants), data.targets[rows])
        for rows in (data.train, data.validation)
    ]
    train, validation = (TensorDataset(*part) for part in parts)
    if tuned:
        loaders = (
            DataLoader(_Whole(*parts[0]), sampler=_Batches(order, size), batch_size=None),
            DataLoader(_Whole(*parts[1]), sampler=[list(range(len(validation)))], batch_size=None),
        )
    else:
        loaders = DataLoader(train, size, sampler=order), DataLoader(validation, size)
    trainer = lightning.Trainer(
        max_epochs=training.epochs,
        accelerator="cpu",
        logger=logger,
        enable_checkpointing=kept is not None,
        callbacks=[] if kept is None else [ModelCheckpoint(kept, monitor="score", mode="max")],
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )
    trainer.fit(module, *loaders)
    return module.score


class _Whole(torch.utils.data.Dataset[tuple[Tensor, Tensor]]):
    """Rows by a whole list of indices."""

    def __init__(self, inputs: Tensor, targets: Tensor) -> None:
        self.inputs, self.targets = inputs, targets

    def __len__(self) -> int:
        return len(self.inputs)

    def __getitem__(self, rows: list[int]) -> tuple[Tensor, Tensor]:
        return self.inputs[rows], self.targets[rows]
