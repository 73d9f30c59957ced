"""Speed as ratios, measured side by side; `make bench` runs them all."""
