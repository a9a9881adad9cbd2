"""Technology scaling of Accelergy's library plug-in, after Stillmaker and Baas (Integration 58, 2017).

Energies at 0.8 V whatever the supply, linear between the nodes of the table; areas by their table of factors from node
to node, bilinear between. Between two nodes the plug-in gives each the share that belongs to the other: 40 nm is 0.62
of 32 nm and 0.38 of 45 nm. All its figures at 40 nm are moved by that, so it is followed here. Beyond the table energy
goes with the root of the node and area with the node itself; energy stands still below 1 nm.
"""

import math

from camel_plugin.components.scaling import NODES, NODES_NM

# From the node of the row to that of the column, 130 nm to 7 nm: table of the plug-in, rounded as in the paper.
_NODES_NM = tuple(sorted(NODES, reverse=True))
_AREA = (
    (1, 0.44, 0.23, 0.16, 0.072, 0.033, 0.03, 0.027, 0.016, 0.0092),
    (2.3, 1, 0.53, 0.35, 0.16, 0.075, 0.067, 0.061, 0.036, 0.021),
    (4.3, 1.9, 1, 0.66, 0.31, 0.14, 0.13, 0.12, 0.068, 0.039),
    (6.4, 2.8, 1.5, 1, 0.46, 0.21, 0.19, 0.17, 0.1, 0.059),
    (14, 6.1, 3.3, 2.2, 1, 0.46, 0.41, 0.38, 0.22, 0.13),
    (30, 13, 7.1, 4.7, 2.2, 1, 0.89, 0.82, 0.48, 0.28),
    (34, 15, 7.9, 5.3, 2.4, 1.1, 1, 0.91, 0.54, 0.31),
    (37, 16, 8.7, 5.8, 2.7, 1.2, 1.1, 1, 0.59, 0.34),
    (63, 28, 15, 9.8, 4.5, 2.1, 1.9, 1.7, 1, 0.58),
    (110, 48, 25, 17, 7.8, 3.6, 3.2, 2.9, 1.7, 1),
)
_VOLTAGE_V = 0.8
_LEAST_NM = 1.0


def energy_ratio(origin_nm: float, target_nm: float) -> float:
    """Factor on a dynamic or leakage energy from one node to another."""
    return _energy(target_nm) / _energy(origin_nm)


def area_ratio(origin_nm: float, target_nm: float) -> float:
    """Factor on an area from one node to another."""
    origin, target = _inside(origin_nm), _inside(target_nm)
    factor = sum(
        part * other * _AREA[row][column] for row, part in _shares(origin) for column, other in _shares(target)
    )
    return factor * (target_nm / target) / (origin_nm / origin)


def _energy(node_nm: float) -> float:
    """Relative switching energy."""
    node_nm = max(node_nm, _LEAST_NM)
    inside = _inside(node_nm)
    energy = sum(share * NODES[_NODES_NM[index]].energy_at(_VOLTAGE_V) for index, share in _shares(inside))
    return energy * math.sqrt(node_nm / inside)


def _inside(node_nm: float) -> float:
    return min(max(node_nm, NODES_NM[0]), NODES_NM[1])


def _shares(node_nm: float) -> tuple[tuple[int, float], ...]:
    """The nodes of the table around ``node_nm`` by index, each with its share."""
    smaller = next(index for index, known in enumerate(_NODES_NM) if known <= node_nm)
    if _NODES_NM[smaller] == node_nm:
        return ((smaller, 1.0),)
    larger = smaller - 1
    share = (node_nm - _NODES_NM[smaller]) / (_NODES_NM[larger] - _NODES_NM[smaller])
    return ((larger, 1 - share), (smaller, share))
