"""What a run writes: overlays, JSON, CSV, COCO, TOML."""
