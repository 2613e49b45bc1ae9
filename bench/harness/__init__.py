"""bench/harness: what bench/run is made of. Standard library only."""
