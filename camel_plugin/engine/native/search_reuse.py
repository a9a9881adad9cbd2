"""Reuse: what multicast, loop orders and neighbours leave of the words that a partial mapping asks for.

Never more than the model counts: see docs/mapper.md for what is taken on the favourable side.
"""

import itertools

import numpy as np

from camel_plugin.engine.native.orders import LoopOrder, idle_loops
from camel_plugin.engine.native.search_state import States
from camel_plugin.mapspace.lattice import Bools, Floats, Ints, Lattice, ranks_are_separate
from camel_plugin.mapspace.space import Keep, MapSpace
from camel_plugin.spec.machine import Storage


class Reuse:
    """Reuse under one bypass pattern.

    Args:
        space: the map space.
        lattice: its tiles.
        keep: the bypass pattern.
    """

    def __init__(self, space: MapSpace, lattice: Lattice, keep: Keep) -> None:
        self._space = space
        self._lattice = lattice
        storages = [level for level, node in enumerate(space.nodes) if isinstance(node, Storage)]
        self._kept = {level: keep[s] for s, level in enumerate(storages)}
        self._idle = idle_loops(space.problem)

    def multicast(self, parent: States, tile: Ints, factors: Ints, level: int) -> States:
        """The states inside a container whose loops ``factors`` [n, D] make their tiles ``tile``."""
        lattice = self._lattice
        dims = self._space.problem.dimensions
        index, index_after = lattice.index(parent.tile), lattice.index(tile)
        used = factors.prod(axis=1).astype(np.float64)
        sent, live, idles = np.ones(parent.asked.shape), parent.live.copy(), parent.idles.copy()
        shift, along, needs = parent.shift.copy(), parent.along.copy(), parent.needs.copy()
        copies = np.ones(len(parent))
        into_compute = level == len(self._space.nodes) - 1
        for t, dataspace in enumerate(self._space.problem.dataspaces):
            shifted, longest = np.zeros(len(parent), np.bool_), np.ones(len(parent))
            separable = ranks_are_separate(dataspace)
            for rank in dataspace.projection:
                places = [dims.index(dim) for dim, _ in rank]
                steps = [coef * lattice.divisors[d][index[:, d]] for d, (_, coef) in zip(places, rank, strict=True)]
                different = _distinct([factors[:, d] for d in places], steps)
                sent[:, t] = sent[:, t] * different if separable else np.maximum(sent[:, t], different)
                for (i, a), (j, b) in itertools.permutations(enumerate(places), 2):
                    shifts = (factors[:, a] > 1) & (index_after[:, b] < lattice.shape[b] - 1)
                    if len(places) == 2:
                        # Loops over a move the tile by multiples of what its neighbours are apart, and further than
                        # the array reaches; one loop over b that does not fit in between never makes up for it.
                        single = (factors[:, b] == 1) & (index_after[:, b] == lattice.shape[b] - 2)
                        shifts &= ~(single & (steps[j] % steps[i] != 0))
                    longest = np.where(shifts, np.maximum(longest, different), longest)
                    shifted |= shifts
                    if into_compute:
                        along[:, t] |= np.where(shifts, 1 << a | 1 << b, 0)
                        needs[:, t] |= np.where(shifts, 1 << b, 0)
            inside, outside = lattice.boxes[t, parent.tile], lattice.density[t, tile] * lattice.volume[tile]
            if into_compute:
                # A neighbour hands on what it held a step before, to all but those at the edge.
                idles[:, t] = sent[:, t] < used
                shift[:, t] = 1 / longest
                live[:, t] = idles[:, t] | shifted
            else:
                passed = self._passed(t, index, index_after) & needs[:, t]
                needs[:, t] &= ~passed
                shift[:, t] = np.where((passed > 0) & (needs[:, t] == 0), 1.0, shift[:, t])
            if not into_compute and self._kept_by(level + 1, t):
                least = np.maximum(1.0, lattice.touched[t, tile] * lattice.volume[tile] / inside)
                sent[:, t] = np.where(shifted, np.minimum(sent[:, t], least), sent[:, t])
            if dataspace.read_write:
                copies *= np.maximum(1.0, used / np.maximum(1.0, outside / inside))
        shrunk = np.where(np.arange(parent.spent.shape[1]) > 0, 1 / used[:, None], 1.0)
        missing = needs & lattice.open[tile][:, None] == 0
        return parent.but(
            tile=tile,
            spent=parent.spent * shrunk,
            pending=parent.pending * shrunk[:, :, None],
            asked=parent.asked * np.where(missing, parent.undo, 1.0) * sent / used[:, None],
            undo=np.where(missing, 1.0, parent.undo),
            live=live,
            idles=idles,
            shift=shift,
            along=along,
            needs=needs,
            spared=parent.spared * shrunk * copies[:, None],
            leakage_J=parent.leakage_J * used,
        )

    def _passed(self, t: int, before: Ints, after: Ints) -> Ints:
        """[n] bits of the loops that from a container on move the tile further than neighbours are apart.

        Children of the innermost container are apart by no more than the loops of another dimension reach along the
        rank, if all these stand inside. A loop over an unrolled dimension skips what is unrolled, whatever the loops
        inside it took back.
        """
        passed = np.zeros(len(before), np.int64)
        dims, divisors = self._space.problem.dimensions, self._lattice.divisors
        for rank in self._space.problem.dataspaces[t].projection:
            if len(rank) != 2:
                continue
            for (one, apart), (other, step) in itertools.permutations(rank):
                a, b = dims.index(one), dims.index(other)
                moved = step * (divisors[b][after[:, b]] - divisors[b][before[:, b]] + 1)
                inside = before[:, a] == self._lattice.shape[a] - 1
                passed |= np.where(inside & (moved > apart * (divisors[a][-1] - 1)), 1 << b, 0)
        return passed

    def _kept_by(self, level: int, t: int) -> bool:
        return level in self._kept and bool(self._kept[level][t])

    def shared(self, parent: States, picks: Ints, order: LoopOrder) -> States:
        """The states once the loops ``picks`` [n, D] stand around them in the given order."""
        lattice = self._lattice
        pending, asked, live = parent.pending.copy(), parent.asked.copy(), parent.live.copy()
        undo = parent.undo.copy()
        so_far, tile = np.zeros_like(picks), parent.tile
        moved = np.zeros(live.shape, np.bool_)
        idle_picks = [np.zeros_like(picks) for _ in self._idle]
        for k, (stage, reused) in enumerate(zip(order.stages, order.reused, strict=True)):
            so_far[:, stage] = picks[:, stage]
            tile = lattice.grown(parent.tile, so_far)
            closed = picks[:, [d for later in order.stages[k + 1 :] for d in later]].any(axis=1)
            for t, idle in enumerate(self._idle):
                quiet = [d for d in stage if d in idle]
                idle_picks[t][:, quiet] = picks[:, quiet] * ~moved[:, t, None]
                moved[:, t] |= picks[:, [d for d in stage if d not in idle]].any(axis=1)
            for t in reused:
                words = lattice.density[t, lattice.grown(parent.tile, idle_picks[t])]
                words = np.where(parent.idles[:, t], words, lattice.density[t, parent.tile])
                words = np.where(parent.overlaps[:, t], lattice.touched[t, tile], words)
                share = np.minimum(1.0, words / lattice.density[t, parent.tile])
                handed_on = self._handed_on(parent, t, so_far)
                undo[:, t] = np.where(self._any(so_far, parent.needs[:, t]), 1.0, 1 / handed_on)
                share *= handed_on
                pending[:, :, t] *= share[:, None]
                asked[:, t] *= share
                live[:, t] &= ~closed & (parent.overlaps[:, t] | ~moved[:, t])
        live[:, list(order.none)] &= np.logical_not(picks.any(axis=1))[:, None]
        shared = parent.but(pending=pending, asked=asked, live=live, undo=undo)
        return self.cancelled(shared, picks).but(tile=tile)

    def cancelled(self, states: States, picks: Ints) -> States:
        """The states once the loops ``picks`` [n, D] around them have moved tiles that children share.

        Timeloop lets every loop make one step: a loop moves nothing when its step takes back those of the loops inside
        it. Where two dimensions move a tile along one rank that may spare all steps but those of the innermost loop.
        """
        shared = states.idles & ~states.overlaps & ~states.moved
        if not shared.any():
            return states
        lattice = self._lattice
        factors = np.stack([each[picks[:, d]] for d, each in enumerate(lattice.divisors)], axis=1)
        index = lattice.index(states.tile)
        left = index < np.array(lattice.shape) - 1
        share = np.ones(states.asked.shape)
        moved = states.moved.copy()
        dims = self._space.problem.dimensions
        for t, dataspace in enumerate(self._space.problem.dataspaces):
            for rank in dataspace.projection:
                least = np.full(len(states), np.inf)
                for (one, apart), (other, step) in itertools.permutations(rank, 2):
                    a, b = dims.index(one), dims.index(other)
                    steps = apart * lattice.divisors[a][index[:, a]], step * lattice.divisors[b][index[:, b]]
                    odd = (index[:, b] == lattice.shape[b] - 2) & (steps[1] % steps[0] != 0)
                    odd |= (index[:, a] == lattice.shape[a] - 2) & (steps[0] % steps[1] != 0)
                    meets = (factors[:, a] > 1) & left[:, b] & ~(odd & (len(rank) == 2))
                    least = np.where(meets, np.minimum(least, factors[:, a]), least)
                share[:, t] = np.where(shared[:, t], np.minimum(share[:, t], 1 - 1 / least), share[:, t])
            moved[:, t] |= (picks[:, [dims.index(dim) for dim in sorted(dataspace.dimensions)]] > 0).any(axis=1)
        return states.but(pending=states.pending * share[:, None, :], asked=states.asked * share, moved=moved)

    def _handed_on(self, parent: States, t: int, picks: Ints) -> Floats:
        """[n] share of the words still asked for when the loops ``picks`` shift the tile along its neighbours.

        Only steps of the loops in ``needs`` shift it by the distance of neighbours. Other loops along the same rank
        that stand inside leave such steps a fraction of all.
        """
        shifted = self._any(picks, parent.along[:, t]) & (parent.needs[:, t] & self._lattice.open[parent.tile] > 0)
        others = np.ones(len(parent))
        for d, divisors in enumerate(self._lattice.divisors):
            other = (parent.along[:, t] & ~parent.needs[:, t]) >> d & 1
            others *= np.where(other, divisors[picks[:, d]], 1)
        others = np.where(self._any(picks, parent.needs[:, t]), 1.0, others)
        return np.where(shifted, 1 - (1 - parent.shift[:, t]) / others, 1.0)

    @staticmethod
    def _any(picks: Ints, dims: Ints) -> Bools:
        """[n] one of the dimensions with bits ``dims`` [n] has a loop in ``picks`` [n, D]."""
        return ((picks > 0) @ (1 << np.arange(picks.shape[1])) & dims) > 0


def _distinct(factors: list[Ints], steps: list[Ints]) -> Floats:
    """Different sums of multiples of two steps: all pairs less those reached again; a bound for more loops."""
    if len(factors) == 1:
        return np.asarray(factors[0], np.float64)
    if len(factors) == 2:
        common = np.gcd(steps[0], steps[1])
        again = np.maximum(0, factors[0] - steps[1] // common) * np.maximum(0, factors[1] - steps[0] // common)
        return np.asarray(factors[0] * factors[1] - again, np.float64)
    return np.asarray(np.sum([factor - 1.0 for factor in factors], axis=0) + 1.0, np.float64)
