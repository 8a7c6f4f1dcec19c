"""What `tools/bench` measures: our figures and the peers', in the same run, as medians of alternating rounds."""
