"""Search for the best network for a task: `python -m pipeline.search task=cat_species`."""

import sys
from collections.abc import Sequence

from pipeline.config import command_line
from pipeline.config.schema import Search
from pipeline.runtime.arguments import RESUME_MESSAGE, run_reporting_errors
from pipeline.tracking.process import Tracker

HELP = """\
How many layers and nodes? Compares networks by cross-validation, logs every
trial to MLflow, and tests the best one once on rows held out from all of it.

  python -m pipeline.search task=<name> [key=value ...] [--config-dir <folder>]

task=     {task}
dataset=  {dataset}
search    space=dense | pictures | convolutions | table | none
          sampler={sampler}   pruner={pruner}  seed=0
          metric={metric}
network   model.layers  nodes  shape  activation  dropout  norm  residual
          model.backbone=pixels | convolutions | efficientnet_lite0 | resnet18
          convolutions: model.blocks  channels  growth  kernel  pooling
          pretrained: model.weights  finetune=none | last | all  features.views
training  training.epochs  batch_size  learning_rate  weight_decay  patience
          optimizer={optimizer}  flip  shift  label_smoothing
          schedule  warmup_ratio  ema_decay  gradient_clip  (or ranges)
splits    cv.folds=5  cv.repeats=1  cv.test=0.2   budget.trials=20
result    champion=refit | fold_average | ensemble   references=[trees,linear]
where     store=mlruns   study=<name>   cache.max_gb=20   tracking.uri=
          compute=auto | cpu | gpu   compute.precision=auto | fp32 | bf16
          compute.workers=1 | auto   compute.stack=auto   budget.minutes=null

  python -m pipeline.search task=images dataset.root=my_photos
  python -m pipeline.search task=table dataset.file=a.csv dataset.target=price \\
      'training.learning_rate={{low: 1e-4, high: 1e-1, log: true}}'
--cfg job prints the whole configuration, --info explains it, -m runs several.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    return run_reporting_errors(lambda: command_line.run_command_line(argv, HELP, search), RESUME_MESSAGE)


def search(config: Search) -> int:
    """Run one search and return its exit code; slow libraries are imported only after the configuration is checked."""
    with Tracker() as tracker:
        from pipeline.tuner.search import run_search

        return run_reporting_errors(lambda: run_search(config, tracker), RESUME_MESSAGE)


if __name__ == "__main__":
    sys.exit(main())
