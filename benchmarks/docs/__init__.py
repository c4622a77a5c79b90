"""The scripts that write measured numbers and figures into the documentation."""
