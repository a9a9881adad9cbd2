"""A small but complete Timeloop v0.4 specification, and a component library with round figures."""

from __future__ import annotations

from collections.abc import Mapping

from camel_plugin.components.constant import ComponentCost
from camel_plugin.errors import SpecError, UnknownNameError
from camel_plugin.spec.machine import EdramCells

ARCH = """\
architecture:
  version: 0.4
  nodes:
  - !Container
    name: system
    attributes:
      technology: "45nm"
      global_cycle_seconds: 2e-9
      temperature: 60
  - !Component
    name: dram
    class: DRAM
    attributes: {type: "LPDDR4", width: 64, datawidth: 8}
  - !Container
    name: chip
    attributes: {word: 8, vector_lanes: 16}
  - !Component
    name: glb
    class: storage
    subclass: edram
    attributes:
      depth: 1024 * 4
      width: word * 8
      datawidth: word
      row_bits: 70
      read_bandwidth: 16
      write_bandwidth: max(4, word)
    constraints:
      dataspace: {keep: [Inputs, Outputs], bypass: [Weights]}
      temporal: {permutation: [P, Q], factors: [R=1, C<=4]}
  - !Container
    name: pe
    spatial: {meshX: 4, meshY: glb.attributes.datawidth // 2}
    constraints:
      spatial: {permutation: [C, M], split: 1, factors: [N=1]}
  - !Parallel
    nodes:
    - !Component
      name: wreg
      class: regfile
      attributes: {depth: 32, width: 16, datawidth: 8}
      constraints:
        dataspace: {keep: [Weights]}
    - !Component
      name: oreg
      class: smartbuffer_RF
      attributes: {depth: 16, width: 24, datawidth: 24}
      constraints:
        dataspace: {keep: [Outputs]}
    - !Nothing {constraints: {dataspace: {keep: [Inputs]}}}
  - !Component
    name: mac
    class: intmac
    spatial: {meshX: 2}
    attributes: {width: 8}
"""

PROBLEM = """\
problem:
  version: 0.4
  instance: {C: 8, M: 8, R: 3, N: 1, P: 6, Q: 4, Hstride: 2}
  shape:
    name: "conv"
    dimensions: [C, M, R, N, P, Q]
    coefficients:
    - {name: Hstride, default: 1}
    - {name: Hdilation, default: 1}
    data_spaces:
    - name: Weights
      projection: [[[C]], [[M]], [[R]]]
    - name: Inputs
      projection: [[[N]], [[C]], [[R, Hdilation], [P, Hstride]], [[Q]]]
    - name: Outputs
      projection: [[[N]], [[M]], [[P]], [[Q]]]
      read_write: true
"""

MAPPING = """\
mapping:
- {target: dram, type: dataspace, keep: [Weights, Inputs, Outputs], bypass: []}
- {target: dram, type: temporal, factors: [C=2, M=1, R=1, N=1, P=3, Q=1], permutation: [P, C, M, R, N, Q]}
- {target: glb, type: temporal, factors: [Q=4], permutation: [Q]}
- {target: pe, type: spatial, factors: [C=4, M=4], permutation: [C, M], split: 2}
- {target: wreg, type: temporal, factors: "R=3, M=1"}
- {target: oreg, type: temporal, factors: {P: 2}}
- {target: mac, type: spatial, factors: "M2"}
"""

PJ_PER_ACCESS = {"dram": 512.0, "edram": 8.0, "regfile": 0.5, "smartbuffer_rf": 0.25}


def fake_estimate(kind: str, attributes: Mapping[str, object]) -> ComponentCost:
    """Costs that do not depend on the attributes: writes cost twice a read, updates three times."""
    name = kind.lower()
    if name in PJ_PER_ACCESS:
        if "width" not in attributes:
            raise SpecError("this attribute is needed", field="attributes.width")
        read_J = PJ_PER_ACCESS[name] * 1e-12
        refresh = EdramCells(2, 4, 64, 70, 1e-12, 1.0, 4e-5, 1e-3, 0.5) if name == "edram" else None
        actions = {"read": read_J, "write": 2 * read_J, "update": 3 * read_J}
        return ComponentCost(actions, 1e-3, 2e-9, refresh, unconfirmed=(f"{name} is made up",))
    if name in ("intmac", "vector_alu"):
        return ComponentCost({"compute": 1e-12}, 1e-6, 1e-10)
    if name == "adder":
        return ComponentCost({"add": 1e-13}, 2e-6, 3e-11)
    raise UnknownNameError("component", kind, [*PJ_PER_ACCESS, "intmac", "vector_alu", "adder"])
