"""How well gaps are filled: measured on real loads whose gaps were made by us, so that the truth is known.

Four sets of `data/README.md`: homes (every half hour), a Chinese region, and "sectors": a steel plant and ten Dutch
substations. Gaps of 1 h, 6 h, 24 h and 3 days at random places, never where the set itself has a hole; each gap keeps the
energy between its two ends, as two registers would tell it. WAPE is the sum of absolute errors over the sum of energy.

What was tuned (weights of like days, the mixture of scales, the bound's factor): on the first 25 homes, on Guangdong before
June 2021 and on the first 70 % of the sectors' time. What is printed is the rest, which nothing was tuned on.
"""

import argparse
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from zoneinfo import ZoneInfo

import duckdb
import numpy as np
import numpy.typing as npt

from wattkeeper.readings.estimation.profile import estimate
from wattkeeper.readings.estimation.windows import Clock, Series, Wanted, batches

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

DATA = Path(os.environ.get("WATTKEEPER_SHARED", Path(__file__).resolve().parents[2] / "shared")) / "data"
HOURS = (1, 6, 24, 72)
GAPS_PER_LENGTH = {"homes": 400, "guangdong": 200, "sectors": 330}
DAY_US = 86_400_000_000
HOLD_OUT = np.datetime64("2021-06-01T00:00:00", "us").astype(np.int64)


@dataclass(frozen=True, slots=True)
class Load:
    """One series on a regular grid of its own clock [µs]; nan where the set has a hole."""

    zone: ZoneInfo
    step_us: int
    start: int
    energy: Floats
    tested_from: int
    """Slots from here on were never tuned on."""


def main() -> int:
    """Print WAPE and coverage for each set and length; fail where ours is not the best."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tuned", action="store_true", help="measure on what was tuned on instead")
    arguments = parser.parse_args()
    if not DATA.is_dir():
        print(f"gaps: skipped, no data in {DATA} (set WATTKEEPER_SHARED)")
        return 0
    beaten = []
    for name, loads in (("homes", _homes), ("guangdong", _guangdong), ("sectors", _sectors)):
        for hours in HOURS:
            scores = _measured(list(loads(tuned=arguments.tuned)), hours, GAPS_PER_LENGTH[name])
            ours = scores.pop("ours")
            width, coverage = scores.pop("half width"), scores.pop("coverage")
            others = ", ".join(f"{method} {wape:6.2f}" for method, wape in scores.items())
            print(
                f"{name:9} {hours:3} h  WAPE %: {others}, ours {ours:6.2f};  "
                f"90 % bound holds {coverage:.1f} %, half width {width:.1f} % of the energy"
            )
            if ours >= min(scores.values()):
                beaten.append(f"{name} at {hours} h")
    print(
        "ours is the best at each length on each set" if not beaten else f"not the best: {', '.join(beaten)}"
    )
    return 1 if beaten else 0


def _measured(loads: list[Load], hours: int, count: int) -> dict[str, float]:
    """WAPE of each method over the same gaps, and how often the bound held."""
    random = np.random.default_rng(hours)
    missed: dict[str, float] = {}
    energy = slots = inside = width = 0.0
    for load in loads:
        length = hours * 3_600_000_000 // load.step_us
        for first in _places(load, length, count // len(loads), random):
            truth = load.energy[first : first + length]
            hidden = load.energy.copy()
            hidden[first : first + length] = np.nan
            likely, bound = _ours(load, hidden, first, truth)
            guesses = {
                method: guess(load, hidden, first, length, truth.sum()) for method, guess in OTHERS.items()
            }
            for method, guessed in (guesses | {"ours": likely}).items():
                missed[method] = missed.get(method, 0.0) + float(np.abs(guessed - truth).sum())
            energy += float(np.abs(truth).sum())
            slots += length
            inside += int((np.abs(likely - truth) <= bound).sum())
            width += float(bound.sum())
    scores = {method: 100 * total / energy for method, total in missed.items()}
    return scores | {"coverage": 100 * inside / slots, "half width": 100 * width / energy}


def _places(load: Load, length: int, count: int, random: np.random.Generator) -> Iterator[int]:
    """Where gaps are made: nothing missing in it and a slot around it, little in the four weeks before it."""
    per_day = DAY_US // load.step_us
    known = np.concatenate([[0], np.cumsum(np.isfinite(load.energy))])
    found = 0
    first, last = max(load.tested_from, 28 * per_day), len(load.energy) - length - per_day // 4
    for place in random.permutation(np.arange(first, max(first, last))).tolist():
        if found == count:
            return
        whole = known[place + length + 1] - known[place - 1] == length + 2
        before = known[place] - known[place - 28 * per_day]
        if whole and before > 0.9 * 28 * per_day and load.energy[place : place + length].sum() > 0:
            found += 1
            yield place


def _ours(load: Load, hidden: Floats, first: int, truth: Floats) -> tuple[Floats, Floats]:
    """As derivation does it: history only from before the gap, one slot behind it."""
    length = len(truth)
    low = max(0, first - 62 * (DAY_US // load.step_us))
    starts = load.start + np.arange(low, first + length + 2) * load.step_us
    clock = Clock.of(starts, load.step_us, ZoneInfo("UTC"))  # the sets are in local time
    number = np.zeros(first - low, dtype=np.int64)
    series = Series.of(clock, 1, number, starts[: first - low], hidden[low:first])
    begin = starts[first - low]
    wanted = Wanted(
        np.zeros(1, dtype=np.int64),
        np.array([begin]),
        np.array([begin + length * load.step_us]),
        np.array([truth.sum()]),
    )
    after = np.array([hidden[first + length]])
    [(_, _, gaps)] = batches(wanted, series, clock, load.zone, only_before=True, after=after)
    found = estimate(gaps)
    assert found.known[0]
    return found.energy[0], found.error[0]


def _linear(_load: Load, hidden: Floats, first: int, length: int, _total: float) -> Floats:
    """Between the slot before and the slot after."""
    return np.interp(np.arange(1, length + 1), [0, length + 1], [hidden[first - 1], hidden[first + length]])


def _register_line(_load: Load, _hidden: Floats, _first: int, length: int, total: float) -> Floats:
    """The straight line between the two registers."""
    return np.full(length, total / length)


def _same_hour(load: Load, hidden: Floats, first: int, length: int, _total: float) -> Floats:
    """The mean of the same slot over the 28 days before."""
    return np.nanmean(_earlier(load, hidden, first, length, 28), axis=0)


def _like_days(load: Load, hidden: Floats, first: int, length: int, total: float) -> Floats:
    """The mean of the same weekdays of eight weeks, scaled to the register difference: the floor of the data's README."""
    weeks = _earlier(load, hidden, first, length, 56)[6::7]
    shape = np.nanmean(weeks, axis=0)
    return (
        shape * total / shape.sum() if shape.sum() > 0 else _register_line(load, hidden, first, length, total)
    )


def _earlier(load: Load, hidden: Floats, first: int, length: int, days: int) -> Floats:
    per_day = DAY_US // load.step_us
    place = np.arange(first, first + length)[None] - np.arange(1, days + 1)[:, None] * per_day
    return np.where((place >= 0) & (place < first), hidden[np.maximum(place, 0)], np.nan)


OTHERS: dict[str, Callable[[Load, Floats, int, int, float], Floats]] = {
    "linear": _linear,
    "register line": _register_line,
    "same-hour mean": _same_hour,
    "like days scaled": _like_days,
}


def _homes(*, tuned: bool) -> Iterator[Load]:
    rows = duckdb.sql(
        f"SELECT customer_id, epoch_us(ts_local) AS at, kwh::DOUBLE AS energy FROM '{DATA}/sgsc_50hh_30min_raw.parquet'"
    ).fetchnumpy()
    homes = np.unique(rows["customer_id"])
    for home in homes[:25] if tuned else homes[25:]:
        own = rows["customer_id"] == home
        yield _load("Australia/Sydney", 30, rows["at"][own], rows["energy"][own])


def _guangdong(*, tuned: bool) -> Iterator[Load]:
    rows = duckdb.sql(
        f"SELECT epoch_us(ts) AS at, kw / 4 AS energy FROM '{DATA}/guangdong_region_15min.parquet'"
    ).fetchnumpy()
    load = _load("Asia/Shanghai", 15, rows["at"], rows["energy"])
    # Drop-outs below 30 % of the week's median are defects of the set, not loads.
    weeks = len(load.energy) // 672
    median = np.nanmedian(load.energy[: weeks * 672].reshape(weeks, 672), axis=1)
    load.energy[
        load.energy < 0.3 * np.repeat(median, 672)[np.minimum(np.arange(len(load.energy)), weeks * 672 - 1)]
    ] = np.nan
    hold_out = int((HOLD_OUT - load.start) // load.step_us)
    energy = load.energy[:hold_out] if tuned else load.energy
    yield Load(load.zone, load.step_us, load.start, energy, 0 if tuned else hold_out)


def _sectors(*, tuned: bool) -> Iterator[Load]:
    steel = duckdb.sql(
        f"""
        SELECT epoch_us(CASE WHEN ts::TIME = '00:00' THEN ts + INTERVAL 1 DAY ELSE ts END - INTERVAL 15 MINUTE) AS at,
               kwh AS energy
        FROM '{DATA}/steel_plant_15min.parquet'
        """
    ).fetchnumpy()
    loads = [_load("Asia/Seoul", 15, steel["at"], steel["energy"])]
    rows = duckdb.sql(
        f"""
        SELECT station, epoch_us(datetime) - 900000000 AS at, total_substation * 250 AS energy
        FROM '{DATA}/liander_substations_15min.parquet'
        """
    ).fetchnumpy()
    for station in np.unique(rows["station"].astype(str)):
        own = rows["station"] == station
        loads.append(_load("Europe/Amsterdam", 15, rows["at"][own], rows["energy"][own]))
    for load in loads:
        cut = int(0.7 * len(load.energy))
        energy = load.energy[:cut] if tuned else load.energy
        yield Load(load.zone, load.step_us, load.start, energy, 0 if tuned else cut)


def _load(zone: str, minutes: int, at: Integers, energy: Floats) -> Load:
    step = minutes * 60_000_000
    start = int(at.min()) // DAY_US * DAY_US
    laid = np.full((int(at.max()) - start) // step + 1, np.nan)
    laid[(at - start) // step] = energy
    return Load(ZoneInfo(zone), step, start, laid, 0)


if __name__ == "__main__":
    sys.exit(main())
