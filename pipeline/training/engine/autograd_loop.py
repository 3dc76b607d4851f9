"""One member after the other with autograd: for any layer, and what the fused step is held against by the tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor

from pipeline.config.schema import Training
from pipeline.models.heads import Head
from pipeline.models.networks import Network, Tuned, build, multiplications
from pipeline.preprocessing import Inputs
from pipeline.preprocessing.augmentation import Augmentation, augmentation_of
from pipeline.runtime import seeds
from pipeline.training.engine.cpu_kernels import SMALL_CONVOLUTIONS, one_thread
from pipeline.training.engine.interface import Member, Precision, State
from pipeline.training.engine.randomness import Draws, draw
from pipeline.training.engine.weight_average import Average

MOMENTS = ("step", "exp_avg", "exp_avg_sq")  # of AdamW, for each parameter, once it has taken a step
VALIDATED = 512  # rows


class LoopStack:
    """A network and an optimiser of the library for each member, which takes all steps of an epoch before the next."""

    def __init__(self, members: Sequence[Member], inputs: Inputs, head: Head, precision: Precision) -> None:
        self.lone = [self.one(place, member, inputs, head, precision) for place, member in enumerate(members)]
        self.position = (-1, 0, 0)
        member = members[0]
        step = member.training.batch_size * multiplications(inputs.features, member.model, head.outputs)
        counted = member.model.tail is None  # a backbone's part multiplies far more often than it has numbers
        self.small = counted and member.data.inputs.device.type == "cpu" and step <= SMALL_CONVOLUTIONS

    def one(self, place: int, member: Member, inputs: Inputs, head: Head, precision: Precision) -> Lone:
        """The member at a place, before its first step."""
        return Lone(member, inputs, head, precision)

    @property
    def members(self) -> Sequence[Member]:
        """In the order in which they were given."""
        return [each.member for each in self.lone]

    def train_epoch(self, epoch: int, rest: Callable[[], None] = lambda: None) -> Tensor:
        """Every member sees each of its training rows once; float [members], the mean training loss of each.

        rest: called after each step, where the stack may be saved, or left by raising; called again, it goes on there.
        """
        if self.position[0] != epoch:
            self.position = (epoch, 0, 0)
            for each in self.lone:
                each.begin()
        with _repeatable(), one_thread() if self.small else nullcontext():
            for each in self.lone:
                for _ in each.train(epoch):
                    self.position = (epoch, 0, sum(each.steps for each in self.lone))
                    rest()
        return torch.stack([each.loss for each in self.lone]).cpu()

    @torch.no_grad()
    def validate(self) -> list[Tensor]:
        """For each member its answers on its validation rows, float [V, columns], on the CPU."""
        with _repeatable(), one_thread() if self.small else nullcontext():
            return [each.answers() for each in self.lone]

    def keep(self, indices: Sequence[int]) -> None:
        """The other members leave."""
        self.lone = [self.lone[index] for index in indices]

    def member_state(self, index: int) -> State:
        """A copy of all that a member is in the middle of its training, on the CPU; more than its weights."""
        return self.lone[index].state()

    def restore(self, index: int, state: State) -> None:
        """Makes a member what `member_state` has kept; also in another stack."""
        self.lone[index].restore(state)

    def state_dict(self, index: int) -> State:
        """A copy of a member's weights, on the CPU."""
        return self.lone[index].weights()


class Lone:
    """One member. Of convolutions, what is judged and handed out is a running mean of the network in training.

    at_once: how many rows go through the network at a time; the gradients of those of a minibatch are added up.
    taken: how many steps, in all; steps: in this epoch; total: float [], its loss in them, each row's.
    """

    at_once = 2**30  # all of them

    def __init__(self, member: Member, inputs: Inputs, head: Head, precision: Precision) -> None:
        self.member, self.inputs, self.head, self.half = member, inputs, head, precision == "bf16"
        self.device = member.data.inputs.device
        self.network = self.first().to(self.device)
        self.optimizer = _optimizer(self.groups(), member.training)
        self.average = None if member.model.convolutions is None else Average(self.network)
        self.augmentation = augmentation_of(member.training, member.data.inputs)
        self.taken = 0
        self.begin()

    def first(self) -> Network:
        """The network before its first step."""
        network = build(self.inputs.features, self.member.model, self.head.outputs)
        assert not isinstance(network, Tuned)
        fold, bias = self.member.data.fold, self.member.data.output_bias
        network.initialise(seeds.generator(self.member.seeds.trial, fold, "weights"), bias)
        return network

    def groups(self) -> list[dict[str, Any]]:
        """The parameters, as an optimiser takes them: each group may have a learning rate of its own."""
        return [{"params": list(self.network.parameters())}]

    def begin(self) -> None:
        """A new epoch."""
        self.steps, self.total = 0, torch.zeros((), device=self.device)

    @property
    def loss(self) -> Tensor:
        """float []: the mean over its training rows, at the end of an epoch."""
        return self.total / len(self.member.data.train)

    def train(self, epoch: int) -> Iterator[None]:
        """Takes the steps of an epoch that are left, and stops after each."""
        size, rows = self.member.training.batch_size, len(self.member.data.train)
        left = range(self.steps * size, rows, size)
        if not left:
            return
        self.network.train()
        drawn = draw(self.member, epoch, self.augmentation, self.member.model.hidden)
        for begin in left:
            self._step(drawn, slice(begin, begin + size))
            self.steps, self.taken = self.steps + 1, self.taken + 1
            if self.average is not None:
                self.average.follow(self.taken)
            yield

    @torch.enable_grad()
    def _step(self, drawn: Draws, part: slice) -> None:
        self.optimizer.zero_grad(set_to_none=False)
        count = len(drawn.rows[part])
        for begin in range(part.start, part.start + count, self.at_once):
            piece = slice(begin, min(begin + self.at_once, part.start + count))
            rows, masks = drawn.rows[piece], [mask[piece] for mask in drawn.masks]
            moves = None if drawn.moves is None else drawn.moves[piece]
            fed = self.fed(drawn.read[piece], self.augmentation, moves)
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.half):
                outputs = self.network(fed, masks)
            loss = self.head.loss(outputs, self.member.data.targets[rows]) * (len(rows) / count)
            loss.backward()  # type: ignore[no-untyped-call]
            self.total = self.total + loss.detach() * count
        self.optimizer.step()

    def fed(self, rows: Tensor, augmentation: Augmentation | None = None, moves: Tensor | None = None) -> Tensor:
        """What the network reads of some rows."""
        raw = self.member.data.inputs[rows]
        if augmentation is not None and moves is not None:
            raw = augmentation.apply(raw, moves)
        return self.inputs.batch(raw, self.member.data.input_constants)

    @property
    def judged(self) -> Network:
        """The network that answers."""
        return self.network if self.average is None else self.average.network

    def answers(self) -> Tensor:
        """float [V, columns], on the CPU."""
        network = self.judged.eval()
        parts = torch.split(self.member.data.validation, min(VALIDATED, self.at_once))
        outputs = torch.cat([network(self.fed(rows)) for rows in parts])
        return self.head.answer(outputs.cpu(), self.member.data.target_constants)

    def weights(self) -> State:
        """A copy on the CPU, also of what is not learned, such as running means."""
        return {name: _copied(value) for name, value in self.judged.state_dict().items()}

    def _networks(self) -> dict[str, Network]:
        """Which differ: without a running mean there is one."""
        return {"network": self.network} | ({} if self.average is None else {"judged": self.average.network})

    def state(self) -> State:
        """See `Stack.member_state`."""
        state = {
            f"{kind}.{name}": _copied(value)
            for kind, network in self._networks().items()
            for name, value in network.state_dict().items()
        }
        for name, parameter in self.network.named_parameters():
            moments = self.optimizer.state.get(parameter, {})
            state |= {f"{moment}.{name}": _copied(moments[moment]) for moment in MOMENTS if moment in moments}
        counts = {"steps": torch.tensor(self.steps), "taken": torch.tensor(self.taken)}
        return state | counts | {"total": _copied(self.total)}

    def restore(self, state: State) -> None:
        """See `Stack.restore`."""
        for kind, network in self._networks().items():
            network.load_state_dict({name: state[f"{kind}.{name}"] for name in network.state_dict()})
        self.optimizer.state.clear()
        for name, parameter in self.network.named_parameters():
            kept = {moment: state[f"{moment}.{name}"] for moment in MOMENTS if f"{moment}.{name}" in state}
            self.optimizer.state[parameter] = {
                moment: torch.zeros_like(parameter if value.dim() else self.total).copy_(value)
                for moment, value in kept.items()
            }
        self.steps, self.taken = int(state["steps"]), int(state["taken"])
        self.total = state["total"].to(self.device)


def _copied(value: Tensor) -> Tensor:
    """On the CPU, with its numbers in a row."""
    return value.detach().cpu().clone(memory_format=torch.contiguous_format)


def _optimizer(groups: list[dict[str, Any]], training: Training) -> torch.optim.Optimizer:
    rate, decay = training.learning_rate, training.weight_decay
    if training.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=rate, weight_decay=decay, fused=True)
    return torch.optim.AdamW(groups, lr=rate, weight_decay=decay, fused=True)


@contextmanager
def _repeatable() -> Iterator[None]:
    """On a GPU, where some convolutions would otherwise add up in any order."""
    before = torch.backends.cudnn.deterministic
    torch.backends.cudnn.deterministic = True
    try:
        yield
    finally:
        torch.backends.cudnn.deterministic = before
