"""From PTX text to a control-flow graph."""
