"""PTX text: its tokens, its grammar, its control-flow graph."""
