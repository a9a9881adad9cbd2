"""Which of Timeloop's accounting rules the model follows. docs/model.md says what each one does."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ModelRules:
    """Timeloop's rules that are not physics; each may be switched off.

    Attributes:
        forget_halo: the overlap of two consecutive tiles is reused only along the innermost loop that moves
            the tile, and loops are walked with the indices 0 and 1 only. Off: every change of tile loads
            the words that the previous tile did not hold, with the true loop bounds.
        link_transfers: a child takes a tile from a neighbour that held it one step earlier, free of charge
            into compute units. Off: everything comes from the parent.
        count_gaps: a tile is its bounding box, words that a stride skips included. Off: only words that are touched.
    """

    forget_halo: bool = True
    link_transfers: bool = True
    count_gaps: bool = True


TIMELOOP = ModelRules()
PHYSICAL = ModelRules(forget_halo=False, link_transfers=False, count_gaps=False)
