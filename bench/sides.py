"""The sides of a comparison: ours, our engine without Lightning, and two ways to write the loop with Lightning."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import pytorch_lightning as lightning
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, Sampler, TensorDataset

from bench.cases import NAMES, Case
from pipeline import seeds
from pipeline.engine import FoldData, Member, stack
from pipeline.network import Dense
from pipeline.training import Task, Trial, search_folds

Shares = list[float]  # of right answers, a fold


def ours(case: Case, task: Task, folds: Sequence[FoldData]) -> Shares:
    """One fit a trial."""
    (outcome,) = search_folds(task, folds, [Trial(case.model, case.training, NAMES, lambda *_: False)])
    return list(outcome.epochs[-1].folds)


def engine(case: Case, task: Task, folds: Sequence[FoldData]) -> Shares:
    """The same arithmetic as a bare loop: no Lightning, no judge, no scores but the last."""
    networks = stack([Member(case.model, case.training, NAMES, data) for data in folds], task.inputs, task.head, "fp32")
    for epoch in range(case.epochs):
        networks.train_epoch(epoch)
        answers = networks.validate()
    return [
        task.head.score("accuracy", each, task.targets[data.validation], data.target_constants)
        for each, data in zip(answers, folds, strict=True)
    ]


def plain(case: Case, task: Task, folds: Sequence[FoldData]) -> Shares:
    """What everyone writes: a Trainer a fold, a DataLoader over a TensorDataset, `self.log`."""
    return [_fit(case, task, data, tuned=False) for data in folds]


def tuned(case: Case, task: Task, folds: Sequence[FoldData]) -> Shares:
    """The same with care: whole minibatches from the loader, fused AdamW, nothing logged in a step, big validation."""
    return [_fit(case, task, data, tuned=True) for data in folds]


SIDES = {"ours": ours, "engine": engine, "plain": plain, "tuned": tuned}


class _Order(Sampler[int]):
    """The order of rows that ours takes, epoch by epoch."""

    def __init__(self, data: FoldData) -> None:
        self.data, self.epoch = data, 0

    def __len__(self) -> int:
        return len(self.data.train)

    def __iter__(self) -> Iterator[int]:
        generator = seeds.generator(NAMES.study, self.data.fold, self.epoch, "order")
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


class _Network(lightning.LightningModule):
    def __init__(self, case: Case, network: Dense, tuned: bool) -> None:
        super().__init__()
        sizes = [nn.Linear(layer.in_features, layer.out_features) for layer in network.layers]
        for linear, layer in zip(sizes, network.layers, strict=True):
            linear.load_state_dict(layer.state_dict())
        hidden = [part for linear in sizes[:-1] for part in (linear, nn.ReLU())]
        self.net, self.training_, self.tuned = nn.Sequential(*hidden, sizes[-1]), case.training, tuned
        self.right = self.seen = 0

    def configure_optimizers(self) -> torch.optim.Optimizer:
        rate, decay = self.training_.learning_rate, self.training_.weight_decay
        return torch.optim.AdamW(self.parameters(), lr=rate, weight_decay=decay, fused=self.tuned or None)

    def training_step(self, batch: tuple[Tensor, Tensor], index: int) -> Tensor:
        loss = functional.cross_entropy(self.net(batch[0]), batch[1])
        if not self.tuned:
            self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def on_validation_epoch_start(self) -> None:
        self.right = self.seen = 0

    def validation_step(self, batch: tuple[Tensor, Tensor], index: int) -> None:
        right = (self.net(batch[0]).argmax(1) == batch[1]).sum()
        self.right, self.seen = self.right + int(right), self.seen + len(batch[1])
        if not self.tuned:
            self.log("accuracy", right / len(batch[1]), on_epoch=True, batch_size=len(batch[1]))


def _fit(case: Case, task: Task, data: FoldData, *, tuned: bool) -> float:
    network = Dense(task.inputs.features, case.model, task.head.outputs)
    network.initialise(seeds.generator(NAMES.trial, data.fold, "weights"), data.output_bias)
    module, order, size = _Network(case, network, tuned), _Order(data), case.training.batch_size
    parts = [
        (task.inputs.batch(data.inputs[rows], data.input_constants), data.targets[rows])
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
        max_epochs=case.epochs,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )
    trainer.fit(module, *loaders)
    return module.right / module.seen


class _Whole(torch.utils.data.Dataset[tuple[Tensor, Tensor]]):
    """Rows by a whole list of indices."""

    def __init__(self, inputs: Tensor, targets: Tensor) -> None:
        self.inputs, self.targets = inputs, targets

    def __len__(self) -> int:
        return len(self.inputs)

    def __getitem__(self, rows: list[int]) -> tuple[Tensor, Tensor]:
        return self.inputs[rows], self.targets[rows]
