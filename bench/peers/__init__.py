"""bench/peers: one file per proxy: how it is configured, started and asked. The fairness choices are argued there."""
