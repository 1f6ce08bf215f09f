"""Parts `Borzoi`, `coverage` and `sequences ahead`: equality with the CPU, and steps at the published sizes."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from _gpu_equality import NETWORK, network_rows, one_hot, row, shaken
from _gpu_measure import Record, Setting, flops, matrix_rate, synchronise, timed

WINDOW = 196_608
SMALL = {"width": 48, "depth": 1, "num_downsamples": 5, "norm": "running"}
WITHOUT_DROPOUT = {"dropout": 0.0, "attention_dropout": 0.0, "position_dropout": 0.0}
CLIP = 384.0  # of squashed coverage
CPU = torch.device("cpu")


def borzoi(record: Record, setting: Setting) -> None:
    """Forward and backward of the published Borzoi and Flashzoi at 196,608 bases, in bfloat16."""
    from varfx.models.expression import ExpressionNetwork

    if record.enough("equality", 10):
        with record.measurement("equality") as values:
            rows = _borzoi_rows("relative", setting) + _borzoi_rows("rotary", setting)
            values |= {"checks": rows, "passed": all(each["passed"] for each in rows)}
    rate = float("nan")
    with record.measurement("matrix rate") as values:
        rate = matrix_rate(torch.bfloat16, setting)
        values["matrix_rate_bfloat16"] = rate
    for model in ("borzoi", "flashzoi"):
        networks: list[Any] = []
        with record.measurement(f"{model}, network") as values:
            networks.append(ExpressionNetwork(_published(model, setting)).to(setting.device).train())
            values["parameters"] = sum(weight.numel() for weight in networks[0].parameters())
        for individuals, checkpointing in ((1, False), (4, True)) if networks else ():
            how = ", checkpointing" if checkpointing else ""
            name = f"{model}, forward and backward, {individuals} individuals{how}"
            if record.enough(name, 8):
                with record.measurement(name) as values:
                    trunk = networks[0].trunk
                    trunk.config = dataclasses.replace(trunk.config, checkpointing=checkpointing)
                    values |= _passes(networks[0], individuals, rate, setting)


def _borzoi_rows(attention: str, setting: Setting) -> list[dict[str, Any]]:
    """A small Borzoi with one head in each precision against float64 on the CPU."""
    from varfx.models.borzoi import Borzoi
    from varfx.models.borzoi_config import BorzoiConfig

    x = one_hot(2, setting.size(4096, 256))
    sizes = {"depth": 1, "blocks": 3, "norm": "running", "output_heads": {"human": 7}, "target_length": None}
    config = BorzoiConfig.of_width(48, attention=attention, **sizes, **WITHOUT_DROPOUT)
    network = shaken(Borzoi(config, generator=torch.Generator().manual_seed(0)), lambda net: net(x.float()))

    def forward(net: nn.Module, device: torch.device, dtype: torch.dtype) -> Tensor:
        return net(x.to(device, dtype))["human"]

    return network_rows(attention, network, forward, setting)


def _passes(network: Any, individuals: int, rate: float, setting: Setting) -> dict[str, Any]:
    """Times of a network of expression on a batch: forward with its graph and backward, and forward alone."""
    x = _sequences(individuals, network.config.window, setting)

    def both() -> None:
        network(x).sum().backward()

    def alone() -> None:
        with torch.no_grad():
            network(x)

    operations = flops(lambda: network(x[:1]).sum().backward()) * individuals
    values: dict[str, Any] = timed(both, setting.device, warm_up=1, runs=3, budget=6.0)
    values |= {
        "window": network.config.window,
        "operations": operations,
        "share_of_matrix_rate": operations / values["seconds"] / rate,
        "individuals_per_second": individuals / values["seconds"],
        "forward_alone": timed(alone, setting.device, warm_up=1, runs=3, budget=2.0),
    }
    return values


def coverage(record: Record, setting: Setting) -> None:
    """Loss of coverage against the CPU, and a step of the published Borzoi on two tracks: trunk held, and everything."""
    from varfx.models.coverage import CoverageNetwork

    with record.measurement("equality") as values:
        rows = _coverage_rows(setting)
        values |= {"checks": rows, "passed": all(each["passed"] for each in rows)}
    for held in (True, False):
        name = f"step, {'head alone' if held else 'everything, checkpointing'}"
        if not record.enough(name, 10):
            continue
        with record.measurement(name) as values:
            config = _published("borzoi", setting, checkpointing=not held, coverage_tracks=2, freeze_trunk=held)
            network = CoverageNetwork(config).to(setting.device).train()
            individuals = setting.size(4, 2)
            x = _sequences(individuals, config.window, setting)
            bins = config.trunk().num_bins(config.window)
            y = _squashed(individuals, bins).to(setting.device, torch.float32)
            learning = [weight for weight in network.parameters() if weight.requires_grad]
            optimizer = torch.optim.AdamW(learning, lr=1e-5)
            loss = _loss_of(network, bins, y)

            def step(x: Tensor = x, loss: Callable[[Tensor], Tensor] = loss) -> None:
                loss(x).sum().backward()
                optimizer.step()  # noqa: B023
                optimizer.zero_grad()  # noqa: B023

            values |= timed(step, setting.device, warm_up=1, runs=3, budget=6.0)
            values |= {"individuals": individuals, "bins": bins}
            values["individuals_per_second"] = individuals / values["seconds"]
            del network


def _squashed(individuals: int, bins: int) -> Tensor:
    """Made-up coverage of two tracks, on both sides of the soft clip."""
    from varfx.models.coverage import squash

    generator = torch.Generator().manual_seed(3)
    return squash(torch.rand(individuals, bins, 2, generator=generator, dtype=torch.float64) * 4 * CLIP, CLIP)


def _loss_of(network: Any, bins: int, y: Tensor) -> Callable[[Tensor], Tensor]:
    """The loss of training on coverage per individual, of sequences."""
    from varfx.models.coverage import GeneTotals, poisson_multinomial
    from varfx.training.people.coverage import total_error

    exons = torch.zeros(bins, dtype=torch.bool)
    exons[bins // 4 : bins // 2] = True
    totals = GeneTotals(network, exons, 5.0, 0.5, CLIP).to(y.device)

    def loss(x: Tensor) -> Tensor:
        predicted = network(x)
        return poisson_multinomial(predicted, y, 0.2) + total_error(totals, predicted, y)

    return loss


def _coverage_rows(setting: Setting) -> list[dict[str, Any]]:
    """Squashing and back, and the loss through a small network, in each precision against float64 on the CPU."""
    from varfx.models.coverage import CoverageNetwork, unsquash
    from varfx.models.expression_config import ExpressionNetworkConfig

    window = setting.size(4096, 256)
    sizes = ExpressionNetworkConfig(model="borzoi", window=window, coverage_tracks=2, **SMALL, **WITHOUT_DROPOUT)
    x, bins = one_hot(2, window), sizes.trunk().num_bins(window)
    y = _squashed(2, bins)
    network = shaken(CoverageNetwork(sizes), lambda net: net(x.float()))

    def forward(net: nn.Module, device: torch.device, dtype: torch.dtype) -> Tensor:
        return _loss_of(net, bins, y.to(device, dtype))(x.to(device, dtype))

    back = [
        row(f"unsquash, {dtype}", unsquash(y.to(setting.device, dtype), CLIP), unsquash(y, CLIP), NETWORK[dtype])
        for dtype in (torch.float64, torch.float32)
    ]
    return back + network_rows("loss of coverage", network, forward, setting)


def sequences_ahead(record: Record, setting: Setting) -> None:
    """Personal sequences laid out on the device by a thread while the network computes: the same bases, and how much is hidden."""
    from varfx.expression.network.sequences import WindowSequences, WindowVariants
    from varfx.models.expression import ExpressionNetwork
    from varfx.training.people.ahead import Ahead

    length, cohort, batch = setting.size(49_152, 512), setting.size(704, 16), setting.size(32, 4)
    generator = torch.Generator().manual_seed(1)
    reference = torch.randint(4, (length,), generator=generator, dtype=torch.uint8)
    offsets = torch.randperm(length, generator=generator)[: length // 80].sort().values
    window = WindowVariants(reference, offsets, reference[offsets], (reference[offsets] + 1) % 4, "-")
    genotypes = torch.randint(-1, 3, (cohort, offsets.shape[0]), generator=generator, dtype=torch.int8)
    people = WindowSequences(window, genotypes, device=setting.device, missing="mean")
    plain = WindowSequences(window, genotypes, missing="mean")
    cuts = torch.arange(cohort).split(batch)
    with record.measurement("equality") as values:
        found = torch.cat([people.encode(cut).cpu() for cut in cuts[:2]])
        rows = [row("sequences", found, torch.cat([plain.encode(cut) for cut in cuts[:2]]), 1e-6)]
        with Ahead(people.encode(cut) for cut in cuts) as ahead:
            same = [bool((x == people.encode(cut)).all()) for cut, x in zip(cuts, ahead, strict=True)]
        rows.append({"check": "made ahead, bit for bit", "passed": all(same), "batches": len(same)})
        values |= {"checks": rows, "passed": all(each["passed"] for each in rows)}
    sizes = SMALL | {"num_downsamples": 4} if setting.dry_run else {"width": 384, "depth": 4}
    from varfx.models.expression_config import ExpressionNetworkConfig

    config = ExpressionNetworkConfig(window=length, precision="bfloat16", **sizes)
    network = ExpressionNetwork(config).to(setting.device).train()

    def learn(x: Tensor) -> None:
        network(x).sum().backward()

    def encoded() -> Iterator[Tensor]:
        return (people.encode(cut) for cut in cuts)

    def one_after_another() -> None:
        for x in encoded():
            learn(x)

    def at_once() -> None:
        with Ahead(encoded()) as ahead:
            for x in ahead:
                learn(x)

    still = people.encode(cuts[0])
    tasks: dict[str, Callable[[], object]] = {
        "sequences": lambda: [x.shape for x in encoded()],
        "network": lambda: [learn(still) for _ in cuts],
        "one after another": one_after_another,
        "ahead": at_once,
    }
    if not record.enough("pass over the individuals of a gene", 12):
        return
    with record.measurement("pass over the individuals of a gene") as values:
        values |= {"individuals": cohort, "variants": int(offsets.shape[0]), "window": length}
        for name, task in tasks.items():
            values[name] = timed(task, setting.device, warm_up=1, runs=3, budget=3.0)["seconds"]
        synchronise(setting.device)
        least = min(values["sequences"], values["network"])
        values["hidden"] = (values["sequences"] + values["network"] - values["ahead"]) / least


def _published(model: str, setting: Setting, **options: Any) -> Any:
    """The published sizes at 196,608 bases; in a dry run small ones."""
    from varfx.models.expression_config import ExpressionNetworkConfig

    sizes: dict[str, Any] = {"window": 256, **SMALL} if setting.dry_run else {"window": WINDOW, "depth": 8}
    return ExpressionNetworkConfig(model=model, precision="bfloat16", **{**sizes, **options})


def _sequences(individuals: int, length: int, setting: Setting) -> Tensor:
    return one_hot(individuals, length).float().to(setting.device)
