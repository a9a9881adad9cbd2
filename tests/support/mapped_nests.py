"""Small problems with random mappings of them."""

from hypothesis import strategies as st
from schedule_builders import conv, mapping

STORES = ("dram", "act", "wbuf", "oreg")


@st.composite
def nests(draw):
    """A small problem and a random mapping of it."""
    problem = conv(
        draw(st.sampled_from([1, 2, 4])),
        draw(st.sampled_from([1, 2])),
        draw(st.sampled_from([1, 2, 4])),
        draw(st.sampled_from([1, 1, 2])),
        draw(st.sampled_from([1, 2])),
    )
    loops = {}
    for dimension, bound in problem.size.items():
        while bound > 1:
            node = draw(st.sampled_from([*STORES, "pe"]))
            here = loops.setdefault(node, {})
            here[dimension] = here.get(dimension, 1) * 2
            bound //= 2
    return problem, mapping({node: draw(st.permutations(list(here.items()))) for node, here in loops.items()})
