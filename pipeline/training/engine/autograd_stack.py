"""Training with autograd, one member after the other: for any layer, and the reference of the fused step in tests."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from pipeline.models.heads import Head
from pipeline.models.networks import FinetunedNetwork, Network, StateDict, build_network, count_multiplications
from pipeline.preprocessing import Inputs
from pipeline.preprocessing.augmentation import build_augmentation
from pipeline.runtime import seeds
from pipeline.training.engine.cpu_kernels import MAX_SINGLE_THREADED_MULTIPLICATIONS, single_threaded
from pipeline.training.engine.interface import Member, Precision
from pipeline.training.engine.optimizers import build_torch_optimizer
from pipeline.training.engine.randomness import EpochRandomness, draw_epoch_randomness
from pipeline.training.engine.schedule import compute_rate_share
from pipeline.training.engine.weight_average import build_ema, resolve_ema_decay

VALIDATION_BATCH_SIZE = 512  # rows


class SingleNetwork:
    """A member with its network and optimizer; a running mean of the network predicts if there is one.

    microbatch_size: rows of a forward pass; the gradients of a minibatch's passes are added.
    total_steps, epoch_steps: taken in all and in this epoch; loss_sum: float [], over the rows of this epoch.
    eval_network: the network that predicts, which is the running mean if there is one.
    """

    microbatch_size = 2**30  # the whole minibatch

    def __init__(self, member: Member, inputs: Inputs, head: Head, precision: Precision) -> None:
        self.member = member
        self.inputs = inputs
        self.head = head
        self.is_bf16 = precision == "bf16"
        self.device = member.data.inputs.device
        self.network = self.build_initial_network().to(self.device)
        self.optimizer = build_torch_optimizer(self.param_groups(), member.training)
        self.learning_rates = [group["lr"] for group in self.optimizer.param_groups]
        ema_decay = resolve_ema_decay(member)
        self.ema = build_ema(self.network, ema_decay) if ema_decay > 0 else None
        self.eval_network = self.network if self.ema is None else self.ema.module
        self.augmentation = build_augmentation(member.training, member.data.inputs)
        self.total_steps = 0
        self.start_epoch()

    def build_initial_network(self) -> Network:
        """Return the network before its first step."""
        network = build_network(self.inputs.feature_count, self.member.model, self.head.output_count)
        assert not isinstance(network, FinetunedNetwork)
        generator = seeds.make_generator(self.member.seeds.trial, self.member.data.fold, "weights")
        network.init_weights(generator, self.member.data.output_bias)
        return network

    def param_groups(self) -> list[dict[str, Any]]:
        """Return the parameters as groups for a torch optimizer; a group may have its own learning rate."""
        return [{"params": list(self.network.parameters())}]

    @property
    def planned_epochs(self) -> int:
        """Return the epochs over which the schedule of the learning rate extends."""
        return self.member.training.epochs

    def start_epoch(self) -> None:
        """Reset the counts of the epoch."""
        self.epoch_steps = 0
        self.loss_sum = torch.zeros((), device=self.device)

    def train_steps(self, epoch: int) -> Iterator[None]:
        """Take the remaining steps of an epoch, yielding after each."""
        batch_size = self.member.training.batch_size
        remaining_starts = range(self.epoch_steps * batch_size, len(self.member.data.train), batch_size)
        if not remaining_starts:
            return
        self.network.train()
        randomness = draw_epoch_randomness(self.member, epoch, self.augmentation, self.member.model.hidden)
        for start in remaining_starts:
            self._set_learning_rates()
            self._step(randomness, slice(start, start + batch_size))
            self.epoch_steps += 1
            self.total_steps += 1
            if self.ema is not None:
                self.ema.update_parameters(self.network)
            yield

    def _set_learning_rates(self) -> None:
        training = self.member.training
        if training.has_constant_rate:
            return
        epoch_steps = math.ceil(len(self.member.data.train) / training.batch_size)
        share = compute_rate_share(training, self.total_steps, self.planned_epochs * epoch_steps)
        for group, learning_rate in zip(self.optimizer.param_groups, self.learning_rates, strict=True):
            group["lr"] = learning_rate * share

    @torch.enable_grad()
    def _step(self, randomness: EpochRandomness, minibatch: slice) -> None:
        self.optimizer.zero_grad(set_to_none=False)
        count = len(randomness.rows[minibatch])
        for start in range(minibatch.start, minibatch.start + count, self.microbatch_size):
            microbatch = slice(start, min(start + self.microbatch_size, minibatch.start + count))
            rows = randomness.rows[microbatch]
            dropout_masks = [mask[microbatch] for mask in randomness.dropout_masks]
            indices = randomness.augmentation_indices
            indices = None if indices is None else indices[microbatch]
            batch = self.read_inputs(randomness.input_rows[microbatch], indices)
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.is_bf16):
                outputs = self.network(batch, dropout_masks)
            # Each microbatch weighs as much as its rows, so that the gradients add up to that of the minibatch.
            loss = self.head.loss(outputs, self.member.data.targets[rows], self.member.training) * (len(rows) / count)
            loss.backward()  # type: ignore[no-untyped-call]
            self.loss_sum = self.loss_sum + loss.detach() * count
        if self.member.training.gradient_clip is not None:
            nn.utils.clip_grad_norm_(self.network.parameters(), self.member.training.gradient_clip)
        self.optimizer.step()

    def read_inputs(self, rows: Tensor, augmentation_indices: Tensor | None = None) -> Tensor:
        """Return the network's inputs for these rows, augmented if there are indices."""
        raw_inputs = self.member.data.inputs[rows]
        if self.augmentation is not None and augmentation_indices is not None:
            raw_inputs = self.augmentation.apply(raw_inputs, augmentation_indices)
        return self.inputs.prepare_batch(raw_inputs, self.member.data.input_constants)

    def predict_validation(self) -> Tensor:
        """Return the predictions for the V validation rows, float [V, columns], on the CPU."""
        network = self.eval_network.eval()
        parts = torch.split(self.member.data.validation, min(VALIDATION_BATCH_SIZE, self.microbatch_size))
        outputs = torch.cat([network(self.read_inputs(rows)) for rows in parts])
        return self.head.to_predictions(outputs.cpu(), self.member.data.target_constants)

    def state_dict(self) -> StateDict:
        """Return a copy of the parameters and buffers of the network that predicts, on the CPU."""
        return {name: _copy_to_cpu(value) for name, value in self.eval_network.state_dict().items()}

    def _networks_by_kind(self) -> dict[str, nn.Module]:
        """Return the networks by their prefix in a checkpoint: the trained one, and its running mean if any."""
        return {"network": self.network} | ({} if self.ema is None else {"judged": self.eval_network})

    def training_state(self) -> StateDict:
        """Return the networks, the optimizer's state and the counts, copied to the CPU."""
        state = {
            f"{kind}.{name}": _copy_to_cpu(value)
            for kind, network in self._networks_by_kind().items()
            for name, value in network.state_dict().items()
        }
        for name, parameter in self.network.named_parameters():
            optimizer_state = self.optimizer.state.get(parameter, {})
            state |= {f"{key}.{name}": _copy_to_cpu(value) for key, value in optimizer_state.items()}
        counts = {"steps": torch.tensor(self.epoch_steps), "taken": torch.tensor(self.total_steps)}
        return state | counts | {"total": _copy_to_cpu(self.loss_sum)}

    def load_training_state(self, state: StateDict) -> None:
        """Set the networks, the optimizer's state and the counts to what `training_state` returned."""
        networks = self._networks_by_kind()
        for kind, network in networks.items():
            network.load_state_dict({name: state[f"{kind}.{name}"] for name in network.state_dict()})
        self.optimizer.state.clear()
        parameters = dict(self.network.named_parameters())
        for key, value in state.items():
            kind, _, name = key.partition(".")
            if name in parameters and kind not in networks:
                # A moment lies where its parameter lies; the step count, a number, where the loss lies.
                device_copy = torch.zeros_like(parameters[name] if value.dim() else self.loss_sum).copy_(value)
                self.optimizer.state[parameters[name]][kind] = device_copy
        self.epoch_steps = int(state["steps"])
        self.total_steps = int(state["taken"])
        self.loss_sum = state["total"].to(self.device)
        if self.ema is not None:
            self.ema.n_averaged.fill_(self.total_steps)


def _copy_to_cpu(value: Tensor) -> Tensor:
    """Return a contiguous copy on the CPU, as safetensors requires."""
    return value.detach().cpu().clone(memory_format=torch.contiguous_format)


@contextmanager
def _deterministic_cudnn() -> Iterator[None]:
    """Make cuDNN deterministic inside the block: some of its convolutions add in any order otherwise."""
    previous = torch.backends.cudnn.deterministic
    torch.backends.cudnn.deterministic = True
    try:
        yield
    finally:
        torch.backends.cudnn.deterministic = previous


class AutogradStack:
    """A network and a torch optimizer for each member; a member takes all steps of an epoch before the next member."""

    single_class = SingleNetwork

    def __init__(self, members: Sequence[Member], inputs: Inputs, head: Head, precision: Precision) -> None:
        self.networks = [self.single_class(member, inputs, head, precision) for member in members]
        self.position = (-1, 0, 0)
        member = members[0]
        row_multiplications = count_multiplications(inputs.feature_count, member.model, head.output_count)
        step_multiplications = member.training.batch_size * row_multiplications
        is_counted = member.model.tail is None  # a backbone's part multiplies far more often than it has weights
        is_on_cpu = member.data.inputs.device.type == "cpu"
        self.is_small = is_counted and is_on_cpu and step_multiplications <= MAX_SINGLE_THREADED_MULTIPLICATIONS

    @property
    def members(self) -> Sequence[Member]:
        return [each.member for each in self.networks]

    def train_epoch(self, epoch: int, on_step: Callable[[], None] = lambda: None) -> Tensor:
        """Train every member on each of its training rows once; return their mean losses: see `NetworkStack`."""
        if self.position[0] != epoch:
            self.position = (epoch, 0, 0)
            for each in self.networks:
                each.start_epoch()
        with _deterministic_cudnn(), single_threaded() if self.is_small else nullcontext():
            for each in self.networks:
                for _ in each.train_steps(epoch):
                    self.position = (epoch, 0, sum(each.epoch_steps for each in self.networks))
                    on_step()
        return torch.stack([each.loss_sum / len(each.member.data.train) for each in self.networks]).cpu()

    @torch.no_grad()
    def validate(self) -> list[Tensor]:
        with _deterministic_cudnn(), single_threaded() if self.is_small else nullcontext():
            return [each.predict_validation() for each in self.networks]

    def retain(self, indices: Sequence[int]) -> None:
        self.networks = [self.networks[index] for index in indices]

    def training_state(self, index: int) -> StateDict:
        return self.networks[index].training_state()

    def load_training_state(self, index: int, state: StateDict) -> None:
        self.networks[index].load_training_state(state)

    def state_dict(self, index: int) -> StateDict:
        return self.networks[index].state_dict()
